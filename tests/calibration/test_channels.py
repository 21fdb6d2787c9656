from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgedeploy.calibration import channels as module
from edgedeploy.calibration.channels import CHANNEL_BINS, Channels

if TYPE_CHECKING:
    import pytest

# One batch of pictures: (N, C, n). Multiples of 2^-10, whose sums are exact.
_PICTURES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 9)),
    elements=st.integers(-(2**20), 2**20).map(lambda whole: whole / 1024),
)


def _of(pictures: np.ndarray) -> Channels:
    found = Channels(pictures.shape[1])
    for picture in pictures:
        found.add(picture)
    return found


@given(pictures=_PICTURES, seed=st.integers(0, 99))
def test_nothing_depends_on_the_order_of_the_pictures(pictures: np.ndarray, seed: int) -> None:
    first = _of(pictures)
    second = _of(np.random.default_rng(seed).permutation(pictures))
    assert first.width == second.width
    for part in ("min", "max", "counts"):
        np.testing.assert_array_equal(getattr(first, part), getattr(second, part))


@given(pictures=_PICTURES)
def test_statistics_are_those_of_all_values_at_once(pictures: np.ndarray) -> None:
    found = _of(pictures)
    whole = pictures.astype(np.float64).swapaxes(0, 1).reshape(pictures.shape[1], -1)
    np.testing.assert_array_equal(found.min, whole.min(axis=1))
    np.testing.assert_array_equal(found.max, whole.max(axis=1))
    bins = np.ceil(whole / found.width).astype(int) + CHANNEL_BINS - 1
    expected = [np.bincount(row, minlength=2 * CHANNEL_BINS) for row in bins]
    np.testing.assert_array_equal(found.counts, expected)


def test_blocks_of_channels_are_counted_as_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.random.default_rng(0).normal(size=(2, 7, 30)).astype(np.float32)
    whole = _of(pictures)
    monkeypatch.setattr(module, "_BLOCK", 60)
    blocks = _of(pictures)
    np.testing.assert_array_equal(blocks.counts, whole.counts)


def test_weights_add_up_the_channels_and_a_relus_zeros_cost_nothing() -> None:
    found = _of(np.array([[[0.0, 1.0, 1.0], [0.0, 0.0, 3.0]]], np.float32))
    assert found.weighted(np.ones(2)).sum() == 3.0
    assert found.weighted(np.array([10.0, 1.0])).sum() == 21.0
    signed = _of(np.array([[[0.0, -1.0, 1.0]]], np.float32))
    assert signed.weighted(np.ones(1)).sum() == 3.0


def test_channels_that_are_always_0_are_counted() -> None:
    found = _of(np.zeros((3, 2, 4), np.float32))
    assert found.counts[:, CHANNEL_BINS - 1].tolist() == [12, 12]
