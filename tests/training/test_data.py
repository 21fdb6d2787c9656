from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from edgedeploy.errors import UsageError
from edgedeploy.images import open_images
from edgedeploy.runtime.preprocessing import prepare
from edgedeploy.training.data import augmented, classes, packed, scaled_input
from edgedeploy.training.spec import RULE
from tests.training.tiny import SPEC

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize(("odd", "rest", "kept"), [(8, 24, 24), (64, 16, 16), (200, 200, 32)])
def test_one_picture_of_another_size_does_not_decide_how_all_are_kept(
    tmp_path: Path, odd: int, rest: int, kept: int
) -> None:
    found = _saved(tmp_path, {"a": [odd, rest], "b": [rest, rest]})
    assert packed(found, SPEC, CPU).images.shape == (4, kept, kept, 3)


def test_pictures_of_one_size_are_kept_as_they_are(tmp_path: Path) -> None:
    found = _saved(tmp_path, {"a": [16, 16], "b": [16, 16]})
    wanted = np.stack([frame for _, frame in found.pictures()])
    np.testing.assert_array_equal(packed(found, SPEC, CPU).images.numpy(), wanted)


def test_what_is_trained_on_is_said_in_words(tmp_path: Path, images: ImageSet) -> None:
    said = str(packed(images, SPEC, CPU))
    assert said == "24 images, 2 classes (dark, light), kept at 16×16"
    many = _saved(tmp_path, {str(number): [8] for number in (0, 1, 2, 4, 6)})
    said = str(packed(many, SPEC, CPU))
    assert said == "5 images, 7 classes (0, 1, 2, –, …), kept at 8×8"


@pytest.mark.parametrize(
    ("folders", "found", "fix"),
    [
        (("test", "train"), "the folders test, train", "pass --data '{}/train'"),
        (("Training", "val"), "the folders Training, val", "pass --data '{}/Training'"),
        (("test", "val"), "the folders test, val", "pass the folder that has one folder per class"),
        (("train",), "the one folder train", "pass --data '{}/train'"),
        (("cats",), "the one folder cats", "pass the folder that has one folder per class"),
    ],
)
def test_folders_that_are_no_classes_are_refused(
    tmp_path: Path, folders: tuple[str, ...], found: str, fix: str
) -> None:
    root = tmp_path / "two words"
    pictures = _saved(root, {name: [8, 8] for name in folders})
    with pytest.raises(UsageError, match=f"has {found}, training needs a folder for") as caught:
        classes(pictures)
    assert caught.value.fix == fix.format(root)


def test_a_set_may_have_a_class_called_train(tmp_path: Path) -> None:
    assert classes(_saved(tmp_path, {"car": [8], "train": [8]})) == ("car", "train")


def test_a_date_as_a_folders_name_is_no_class(tmp_path: Path) -> None:
    found = _saved(tmp_path, {"20240101": [8], "20240102": [8]})
    with pytest.raises(UsageError, match="20240102 makes 20240103 classes, of which 2 have"):
        classes(found)


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


def _saved(folder: Path, sides: dict[str, list[int]]) -> ImageSet:
    """Write pictures of these sides, one folder per class."""
    for label, each in sides.items():
        (folder / label).mkdir(parents=True)
        for number, side in enumerate(each):
            pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return open_images(folder)


def _cut(
    padded: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    top: int,
    left: int,
    *,
    mirrored: bool,
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    cut = padded[top : top + 8, left : left + 8]
    return cut[:, ::-1] if mirrored else cut
