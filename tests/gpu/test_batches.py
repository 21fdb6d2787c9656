"""Batches of every size, on engines of several profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedeploy.runtime.trt_options import TrtOptions
from edgedeploy.types import Family, Precision
from tests.gpu.making import SIDE, Made, distance, make
from tests.prepared_sources import images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgedeploy.runtime.cuda_memory import Cuda
    from edgedeploy.runtime.trt import TrtSession


@pytest.fixture(scope="module")
def session(made: Callable[[Precision], Made]) -> Iterator[TrtSession]:
    opened = made(Precision.FP32).load()
    yield opened
    opened.close()


@pytest.mark.parametrize("count", range(1, 21))
def test_a_batch_gives_the_results_of_single_images(session: TrtSession, count: int) -> None:
    batch = images(count, SIDE, seed=count)
    single = np.concatenate([session.run(image[None]) for image in batch])
    np.testing.assert_allclose(session.run(batch), single, rtol=1e-3, atol=1e-4)


def test_sizes_may_follow_each_other_in_any_order(
    session: TrtSession, made: Callable[[Precision], Made]
) -> None:
    for count in (8, 1, 20, 3, 8, 9, 1):
        batch = images(count, SIDE, seed=count)
        wanted = made(Precision.FP32).answers(batch)
        assert distance(session.run(batch), wanted) < 1e-4


@pytest.mark.parametrize(
    "profile", [(1, 1, 1), (1, 4, 8), (4, 4, 4), (2, 4, 20)], ids=lambda p: "-".join(map(str, p))
)
def test_every_profile_takes_every_batch(
    cuda: Cuda, tmp_path: Path, profile: tuple[int, int, int]
) -> None:
    made = make(tmp_path, Family.MOBILENET_V1, Precision.FP32, TrtOptions(batch=profile))
    session = made.load()
    low, best, high = profile
    assert session.described["largest_batch"] == high
    for count in sorted({1, low, best, high, high + 1}):
        batch = images(count, SIDE, seed=count)
        assert distance(session.run(batch), made.answers(batch)) < 1e-4
    session.close()


def test_outputs_survive_the_next_call(session: TrtSession) -> None:
    first = session.run(images(2, SIDE))
    kept = first.copy()
    session.run(images(2, SIDE, seed=1))
    np.testing.assert_array_equal(first, kept)
