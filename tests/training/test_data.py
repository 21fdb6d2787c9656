from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgedeploy.errors import UsageError
from edgedeploy.runtime.preprocessing import prepare
from edgedeploy.training.data import augmented, packed, scaled_input
from edgedeploy.training.spec import RULE
from tests.training.tiny import SPEC

if TYPE_CHECKING:
    from edgedeploy.images import ImageSet

CPU = torch.device("cpu")


def _pictures(count: int, side: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (count, side, side, 3), generator=draw, dtype=torch.uint8)


def test_pictures_are_packed_once_and_split_by_seed(images: ImageSet) -> None:
    data = packed(images, SPEC, CPU)
    assert data.images.shape == (24, 16, 16, 3)
    assert data.images.dtype is torch.uint8
    assert sorted([*data.train.tolist(), *data.held_out.tolist()]) == list(range(24))
    assert len(data.held_out) == 6
    assert data.held_out.tolist() != packed(images, replace(SPEC, seed=2), CPU).held_out.tolist()


def test_pictures_larger_than_the_base_are_fitted_to_it(images: ImageSet) -> None:
    data = packed(images, replace(SPEC, resolutions=(8,)), CPU)
    assert data.images.shape == (24, 8, 8, 3)


def test_too_few_pictures_are_refused(images: ImageSet) -> None:
    with pytest.raises(UsageError, match="2 images are too few to train on"):
        packed(images.evenly(2), SPEC, CPU)


@pytest.mark.parametrize("resolution", [12, 16, 30, 56])
def test_scaling_a_batch_is_the_preprocessing_of_each_picture(resolution: int) -> None:
    pictures = _pictures(3, 16)
    batch = scaled_input(pictures, resolution)
    assert batch.shape == (3, 3, resolution, resolution)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    for picture, found in zip(pictures.numpy(), batch.numpy(), strict=True):
        wanted = prepare(picture, (resolution, resolution), RULE)[0]
        assert np.abs(found - wanted).max() <= 0.51 / 127.5  # the other one rounds to levels


def test_augmented_pictures_are_shifted_and_mirrored_copies() -> None:
    pictures = _pictures(40, 8)
    found = augmented(pictures, torch.Generator().manual_seed(3), 1 / 8)
    moves = []
    for before, after in zip(pictures.numpy(), found.numpy(), strict=True):
        padded = np.pad(before, ((1, 1), (1, 1), (0, 0)))
        moves += [
            (top, left, mirrored)
            for top in range(3)
            for left in range(3)
            for mirrored in (False, True)
            if (_cut(padded, top, left, mirrored=mirrored) == after).all()
        ]
    assert len(moves) == 40  # one each
    assert {top for top, _, _ in moves} == {left for _, left, _ in moves} == {0, 1, 2}
    assert 8 < sum(mirrored for _, _, mirrored in moves) < 32


def test_without_a_shift_pictures_are_mirrored_only() -> None:
    pictures = _pictures(6, 8)
    found = augmented(pictures, torch.Generator().manual_seed(0), 0.0)
    for before, after in zip(pictures, found, strict=True):
        assert torch.equal(before, after) or torch.equal(before.flip(1), after)


def _cut(
    padded: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    top: int,
    left: int,
    *,
    mirrored: bool,
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    cut = padded[top : top + 8, left : left + 8]
    return cut[:, ::-1] if mirrored else cut
