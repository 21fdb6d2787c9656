from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy.errors import EdgeDeployError, UnsupportedError, UsageError
from edgedeploy.runtime import trt_engine
from edgedeploy.runtime.cuda_pycuda import PyCuda
from edgedeploy.runtime.trt_session import TrtSession
from tests.runtime import fake_engine
from tests.runtime.fake_engine import FakeContext, FakeGpu
from tests.runtime.test_cuda_memory import FakeCudart, FakeDriver

if TYPE_CHECKING:
    from edgedeploy.types import Array

GENERATIONS = pytest.mark.parametrize("generation", fake_engine.GENERATIONS)
MEMORIES = pytest.mark.parametrize("shares_memory", [False, True], ids=["copies", "zero copy"])


def images(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 3, 4, 4)).astype(np.float32)


def session(
    generation: str = "10.3.0",
    gpu: FakeGpu | None = None,
    no_graphs: str | None = None,
    **more: Any,
) -> tuple[TrtSession, FakeContext]:
    gpu = gpu or FakeGpu()
    engine, context, inside = fake_engine.engine(generation, gpu, **more)
    wrapped = trt_engine.wrap(engine, context)
    return TrtSession(wrapped, gpu, {"device": "Orin"}, no_graphs=no_graphs), inside


# ---- inference, on both generations of the API ----


@GENERATIONS
@pytest.mark.parametrize("count", [1, 2, 8, 9, 17])
def test_any_size_of_batch_gives_its_own_results(generation: str, count: int) -> None:
    loaded, _ = session(generation)
    batch = images(count)
    np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)


@GENERATIONS
def test_engine_of_a_fixed_batch_takes_fewer_and_more_images(generation: str) -> None:
    loaded, _ = session(generation, batches=(4, 4))
    for count in (1, 4, 7):
        batch = images(count, seed=count)
        np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)


@GENERATIONS
def test_outputs_survive_the_next_call(generation: str) -> None:
    loaded, _ = session(generation)
    first = loaded.run(images(2))
    kept = first.copy()
    loaded.run(images(2, seed=1))
    np.testing.assert_array_equal(first, kept)


@GENERATIONS
@pytest.mark.parametrize("count", [1, 8, 11])
def test_bound_call_copies_infers_and_waits_and_does_nothing_else(
    generation: str, count: int
) -> None:
    gpu = FakeGpu()
    loaded, _ = session(generation, gpu)
    call = loaded.bind(images(count))
    gpu.calls.clear()
    call()
    pieces = -(-count // 8)
    assert gpu.calls == ["upload", "infer", "download"] * pieces + ["synchronize"]


def test_bound_call_still_works_after_a_batch_of_another_size() -> None:
    gpu = FakeGpu()
    loaded, inside = session(gpu=gpu)
    call = loaded.bind(images(1))
    loaded.run(images(5))
    call()
    assert inside.shape == (1, 3, 4, 4)


def test_inference_that_tensorrt_refuses_is_an_error() -> None:
    loaded, inside = session()
    inside.enqueues = False
    with pytest.raises(
        EdgeDeployError, match=r"did not run a batch of shape \(1, 3, 4, 4\): it gave no reason"
    ):
        loaded.run(images(1))


def test_close_frees_what_was_allocated() -> None:
    gpu = FakeGpu()
    loaded, _ = session(gpu=gpu)
    loaded.bind(images(9))
    loaded.close()
    assert not gpu.holds


def test_load_that_runs_out_of_memory_frees_what_it_has_taken() -> None:
    gpu = FakeGpu(budget_bytes=8 * 3 * 4 * 4 * 4)  # the input fits, the output does not
    with pytest.raises(UnsupportedError, match="out of memory"):
        session(gpu=gpu)
    assert not gpu.holds


@MEMORIES
def test_close_frees_everything_and_may_come_twice(*, shares_memory: bool) -> None:
    gpu = FakeGpu(shares_memory=shares_memory)
    loaded, _ = session(gpu=gpu)
    for _ in range(3):
        loaded.run(images(2))
    loaded.bind(images(9))()
    loaded.stage_times(images(2), 1)
    loaded.close()
    assert not gpu.holds
    loaded.close()


def test_closed_session_and_its_bound_calls_are_refused() -> None:
    gpu = FakeGpu()
    loaded, _ = session(gpu=gpu)
    call = loaded.bind(images(2))
    loaded.run(images(1))
    loaded.close()
    gpu.calls.clear()
    for work in (
        call,
        lambda: loaded.run(images(1)),
        lambda: loaded.run(images(3)),
        lambda: loaded.bind(images(1)),
        lambda: loaded.stage_times(images(1), 1),
    ):
        with pytest.raises(UsageError, match="the engine is closed") as caught:
            work()
        assert "Runtime.load" in caught.value.fix
    assert gpu.calls == []


def test_session_works_on_another_thread_through_pycuda_too() -> None:
    driver = FakeDriver()
    cuda = PyCuda(driver, FakeCudart())
    engine, context, inside = fake_engine.engine("8.2.1", FakeGpu())
    loaded = TrtSession(trt_engine.wrap(engine, context), cuda, {})
    seen: list[int] = []

    def run(source: int, result: int, stream: int) -> bool:
        seen.append(stream)
        return True

    inside.run = run  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(loaded.run, images(2)).result().shape == (2, 3)
    assert (seen, driver.current) == ([7], 0)
    loaded.close()
    assert driver.alive == []


# ---- CUDA graphs ----


@GENERATIONS
@MEMORIES
def test_replayed_graph_answers_as_the_first_call(generation: str, *, shares_memory: bool) -> None:
    gpu = FakeGpu(shares_memory=shares_memory)
    loaded, _ = session(generation, gpu)
    for seed in range(4):
        batch = images(3, seed)
        np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)
    assert [name for name in gpu.calls if name in ("infer", "capture", "graph")] == [
        "infer", "capture", "graph", "graph", "graph",
    ]  # fmt: skip
    assert loaded.described["cuda_graph"] == {"used": True, "reason": None}


def test_graph_is_dropped_when_another_size_of_batch_comes() -> None:
    gpu = FakeGpu()
    loaded, _ = session(gpu=gpu)
    for count in (1, 1, 4, 4, 1, 1, 5):
        batch = images(count, count)
        np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)
    assert [name for name in gpu.calls if name in ("infer", "capture", "graph")] == [
        "infer", "capture", "graph", "infer", "capture", "graph", "infer", "capture", "graph",
        "infer",
    ]  # fmt: skip
    assert gpu.graphs == {}


def test_sizes_that_alternate_run_plainly() -> None:
    gpu = FakeGpu()
    loaded, _ = session(gpu=gpu)
    for _ in range(3):
        loaded.run(images(11))  # 8 and 3
    assert "capture" not in gpu.calls
    assert loaded.described["cuda_graph"]["reason"] == "no batch has come twice in a row yet"


def test_bound_buffers_of_zero_copy_have_graphs_of_their_own() -> None:
    gpu = FakeGpu(shares_memory=True)
    loaded, _ = session(gpu=gpu)
    call = loaded.bind(images(2, 1))
    for _ in range(3):
        call()
    batch = images(2, 2)
    for _ in range(3):
        np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)
    gpu.calls.clear()
    for _ in range(2):
        call()
        loaded.run(batch)
    assert gpu.calls == ["graph", "synchronize"] * 4
    assert len(gpu.graphs) == 2


@pytest.mark.parametrize(
    ("gpu", "no_graphs", "reason"),
    [
        (FakeGpu(capture_fails="CUDA failed: not permitted"), None, "CUDA failed: not permitted"),
        (FakeGpu(no_graphs="PyCUDA has none"), None, "PyCUDA has none"),
        (FakeGpu(), "it was switched off", "it was switched off"),
    ],
    ids=["refused", "lacking", "switched off"],
)
def test_without_graphs_calls_run_plainly_and_described_says_why(
    gpu: FakeGpu, no_graphs: str | None, reason: str
) -> None:
    loaded, _ = session(gpu=gpu, no_graphs=no_graphs)
    for seed in range(3):
        batch = images(2, seed)
        np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)
    assert gpu.calls.count("infer") == 3
    assert loaded.described["cuda_graph"] == {"used": False, "reason": reason}


def test_engine_that_refuses_to_be_captured_runs_plainly() -> None:
    gpu = FakeGpu()
    loaded, inside = session(gpu=gpu)
    loaded.run(images(1))
    plain = inside.run

    def run(source: int, result: int, stream: int) -> bool:
        return not gpu.captures and plain(source, result, stream)

    inside.run = run  # type: ignore[method-assign]
    loaded.run(images(1))
    loaded.run(images(1))
    assert gpu.calls.count("capture") == 1
    assert "did not run a batch of shape" in loaded.described["cuda_graph"]["reason"]


# ---- zero copy ----


def test_nothing_is_copied_where_cpu_and_gpu_share_their_memory() -> None:
    gpu = FakeGpu(shares_memory=True)
    loaded, _ = session(gpu=gpu)
    batch = images(5)
    np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)
    loaded.bind(batch)()
    assert not {"upload", "download"} & set(gpu.calls)
    assert loaded.described["zero_copy"] is True
    assert session()[0].described["zero_copy"] is False


@pytest.mark.parametrize("count", [1, 4, 7])
def test_zero_copy_serves_an_engine_of_a_fixed_batch(count: int) -> None:
    loaded, _ = session(gpu=FakeGpu(shares_memory=True), batches=(4, 4))
    batch = images(count)
    loaded.bind(batch)()
    np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)


# ---- times of the stages ----


@GENERATIONS
def test_every_stage_is_timed_by_itself_and_no_sample_is_dropped(generation: str) -> None:
    loaded, _ = session(generation)
    times = loaded.stage_times(images(2), 5)
    assert times == {"h2d": [1.0] * 5, "compute": [1.0] * 5, "d2h": [1.0] * 5, "graph": [1.0] * 5}


def test_stages_that_are_not_there_are_not_timed() -> None:
    loaded, _ = session(gpu=FakeGpu(shares_memory=True))
    assert sorted(loaded.stage_times(images(1), 2)) == ["compute", "graph"]
    loaded, _ = session(no_graphs="it was switched off")
    assert sorted(loaded.stage_times(images(1), 2)) == ["compute", "d2h", "h2d"]


def test_stages_are_timed_after_and_between_other_calls() -> None:
    gpu = FakeGpu()
    loaded, _ = session(gpu=gpu)
    call = loaded.bind(images(3))
    for _ in range(3):
        call()
    assert len(loaded.stage_times(images(3), 4)["graph"]) == 4
    batch = images(2)
    np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)
    assert gpu.events == {}


@pytest.mark.parametrize(("count", "runs"), [(9, 1), (1, 0)])
def test_stage_times_of_more_than_a_call_takes_are_refused(count: int, runs: int) -> None:
    with pytest.raises(UsageError, match=f"{runs} timed calls of {count} images were asked for"):
        session()[0].stage_times(images(count), runs)
