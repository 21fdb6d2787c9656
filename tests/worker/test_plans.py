from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy.worker import plans
from edgedeploy.worker.answers import Host
from edgedeploy.worker.jobs import ProfileJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedeploy.types import Array

MS = 1_000_000


class FakeRuntime:
    """An engine that needs 1 ms a call and 1 ms an image, from 8 images on 2 ms an image."""

    def __init__(self, largest_batch: int | None = None) -> None:
        self.info = {"engine": {"largest_batch": largest_batch}}
        self.now = 0
        self.batches: list[int] = []

    def bind(self, batch: Array) -> Callable[[], None]:
        self.batches.append(len(batch))

        def call() -> None:
            self.now += MS + len(batch) * MS * (2 if len(batch) >= 8 else 1)

        return call


def prepared(job: ProfileJob, runtime: FakeRuntime, phases: list[str]) -> plans.Plan:
    host = Host(lambda: runtime.now)
    runtimes: Any = [runtime]
    return plans.prepare(job, runtimes, lambda size: np.zeros((size, 3)), phases.append, host)


def test_offline_measures_the_best_batch_anew_in_full() -> None:
    job = ProfileJob("a", scenario="offline", duration_s=10.0, min_runs=64)
    runtime, phases = FakeRuntime(), list[str]()
    plan = prepared(job, runtime, phases)
    assert phases == ["batch 1", "batch 2", "batch 4", "batch 8", "batch 16", "warm-up"]
    assert [step["batch"] for step in plan.steps] == [1, 2, 4, 8, 16]
    assert all(2e9 <= step["window_ns"] < 2.1e9 for step in plan.steps)
    assert len(plan.batch) == 4
    taken = plan.take(lambda runs, seconds: None)
    assert set(taken.ns) == {5 * MS}
    assert taken.window_ns == 10**10


def test_offline_does_not_ask_for_more_than_the_engine_takes_at_once() -> None:
    job = ProfileJob("a", scenario="offline", duration_s=1.0)
    runtime = FakeRuntime(largest_batch=3)
    prepared(job, runtime, [])
    assert runtime.batches == [1, 2, 2]


def test_batches_that_were_asked_for_are_all_measured() -> None:
    job = ProfileJob("a", scenario="offline", duration_s=1.0, batches=(16, 8, 32, 1))
    plan = prepared(job, FakeRuntime(largest_batch=8), [])
    assert [step["batch"] for step in plan.steps] == [16, 8, 32, 1]


@pytest.mark.parametrize(
    ("threads", "streams", "each"), [(None, 1, None), (3, 4, 3), (None, 2, 4), (None, 64, 1)]
)
def test_streams_share_the_cores_where_nobody_said_otherwise(
    threads: int | None, streams: int, each: int | None
) -> None:
    job = ProfileJob("a", scenario="multi", threads=threads, streams=streams)
    assert plans.threads(job, lambda: 8) == each
