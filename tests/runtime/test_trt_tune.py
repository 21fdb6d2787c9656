from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import UnsupportedError
from edgedeploy.runtime import trt_tune
from tests.runtime import fake_engine, fake_trt
from tests.runtime.fake_engine import FakeGpu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def plan(tmp_path: Path) -> str:
    path = tmp_path / "model.engine"
    path.write_bytes(b"plan")
    return str(path)


def clock(*calls_ms: float) -> Callable[[], float]:
    """Return a clock under which calls take these times, over and over."""

    def times() -> Iterator[float]:
        now = 0.0
        for call_ms in itertools.cycle(calls_ms):
            yield now
            now += call_ms / 1e3
            yield now

    return times().__next__


@pytest.mark.parametrize("generation", ["8.2.1", "8.6.1", "10.3.0"])
def test_latency_is_the_median_of_blocking_calls(generation: str, plan: str) -> None:
    gpu = FakeGpu()
    trt = fake_trt.Library(generation, engine=fake_engine.loadable(generation, gpu))
    latency = trt_tune.latency_ms(trt, gpu, plan, 1, clock=clock(5, 1, 5, 5, 90))
    assert latency == pytest.approx(5)
    assert gpu.calls.count("synchronize") >= 200
    assert trt.seen.host_code is False
    assert not gpu.device
    assert not gpu.pinned
    assert not gpu.streams


def test_the_number_of_images_is_moved_into_what_the_engine_takes(plan: str) -> None:
    gpu = FakeGpu()
    made = fake_engine.loadable("10.3.0", gpu)
    trt = fake_trt.Library("10.3.0", engine=made)
    trt_tune.latency_ms(trt, gpu, plan, 100, clock=clock(1))
    assert made.inside.shape[0] == 8


def test_an_engine_for_a_dla_is_loaded_on_its_core(plan: str) -> None:
    gpu = FakeGpu()
    trt = fake_trt.Library("8.6.1", engine=fake_engine.loadable("8.6.1", gpu))
    trt_tune.latency_ms(trt, gpu, plan, dla_core=1, clock=clock(1))
    assert trt.seen.runtime_dla_core == 1


def test_an_engine_that_does_not_load_is_unsupported(plan: str) -> None:
    with pytest.raises(UnsupportedError, match=r"model.engine was built, but does not run here"):
        trt_tune.latency_ms(fake_trt.Library("10.3.0"), FakeGpu(), plan)
