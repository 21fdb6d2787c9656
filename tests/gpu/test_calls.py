"""Ways of calling an engine: bound, from a CUDA graph, without copies, from two threads."""

from __future__ import annotations

import statistics
import threading
from typing import TYPE_CHECKING

import pytest

from edgedeploy import Runtime
from edgedeploy.errors import UsageError
from edgedeploy.types import Precision
from tests.gpu.making import SIDE, Made, distance, in_turns_ms
from tests.prepared_sources import images

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedeploy.runtime.cuda_memory import Cuda
    from edgedeploy.runtime.trt import TrtSession
    from edgedeploy.runtime.trt_dialects import Dialect
    from edgedeploy.types import Array
    from tests.gpu.making import Record

EACH = pytest.mark.parametrize(
    "precision", [Precision.FP32, Precision.FP16, Precision.INT8], ids=lambda p: p.value
)


def with_graphs(made: Made) -> TrtSession:
    """Load with CUDA graphs, or skip where the GPU or the library has none."""
    session = made.load()
    batch = images(1, SIDE)
    for _ in range(3):
        session.run(batch)
    reason = session.described["cuda_graph"]["reason"]
    if not session.described["cuda_graph"]["used"]:
        session.close()
        pytest.skip(f"no CUDA graph: {reason}")
    return session


@EACH
def test_a_bound_call_is_at_least_as_fast_as_run(
    made: Callable[[Precision], Made], precision: Precision, record_property: Record
) -> None:
    session = made(precision).load()
    batch = images(1, SIDE)
    bound_ms, run_ms = in_turns_ms(session.bind(batch), lambda: session.run(batch))
    session.close()
    record_property("bound_ms", f"{bound_ms:.3f}")
    record_property("run_ms", f"{run_ms:.3f}")
    assert bound_ms < run_ms * 1.1


@EACH
@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_graph_answers_exactly_as_plain_calls_do(
    dialect: Dialect, made: Callable[[Precision], Made], precision: Precision, count: int
) -> None:
    # TensorRT-RTX goes on compiling while it runs, and may round otherwise afterwards
    most = 1e-3 if dialect.name == "rtx" else 0.0
    replayed = with_graphs(made(precision))
    plain = made(precision).load(graphs=False)
    assert plain.described["cuda_graph"]["used"] is False
    for seed in range(4):  # the first is queued, the second captured, the others replayed
        batch = images(count, SIDE, seed=seed)
        assert distance(replayed.run(batch), plain.run(batch)) <= most
    assert replayed.described["cuda_graph"]["used"] is True
    replayed.close()
    plain.close()


def test_a_runtime_can_do_without_graphs(made: Callable[[Precision], Made]) -> None:
    first = made(Precision.FP32)
    batch = images(2, SIDE)
    with Runtime.load(first.folder, cuda_graphs=False) as runtime:
        for _ in range(3):
            assert distance(runtime.infer(batch), first.answers(batch)) < 1e-4
        assert runtime.info["engine"]["cuda_graph"]["used"] is False


def test_a_graph_follows_every_change_of_the_batch(made: Callable[[Precision], Made]) -> None:
    session = with_graphs(made(Precision.FP32))
    for count in (1, 1, 1, 8, 8, 8, 1, 2, 2, 2, 20, 20, 1):
        batch = images(count, SIDE, seed=count)
        wanted = made(Precision.FP32).answers(batch)
        assert distance(session.run(batch), wanted) < 1e-4
    session.close()


@EACH
def test_what_graphs_save(
    made: Callable[[Precision], Made], precision: Precision, record_property: Record
) -> None:
    replayed = with_graphs(made(precision))
    plain = made(precision).load(graphs=False)
    batch = images(1, SIDE)
    graph_ms, plain_ms = in_turns_ms(replayed.bind(batch), plain.bind(batch))
    replayed.close()
    plain.close()
    record_property("graph_ms", f"{graph_ms:.3f}")
    record_property("plain_ms", f"{plain_ms:.3f}")
    assert graph_ms < plain_ms * 1.1


@EACH
def test_the_stages_add_up_to_about_the_call(
    made: Callable[[Precision], Made], precision: Precision, record_property: Record
) -> None:
    session = made(precision).load(graphs=False)
    batch = images(8, SIDE)
    call = session.bind(batch)
    calls_ms, stages = [], dict[str, list[float]]()
    for _ in range(10):  # in turns, so that drift meets both alike
        calls_ms.append(in_turns_ms(call, call, seconds=0.1)[0])
        for name, times in session.stage_times(batch, 20).items():
            stages.setdefault(name, []).extend(times)
    session.close()
    call_ms = statistics.median(calls_ms)
    medians = {name: statistics.median(times) for name, times in stages.items()}
    record_property("stages_ms", str({name: round(ms, 4) for name, ms in medians.items()}))
    record_property("call_ms", f"{call_ms:.4f}")
    assert {len(times) for times in stages.values()} == {200}
    assert min(medians.values()) >= 0
    # the call also waits for the host to queue and to wake up; events cost a few µs each
    assert 0.3 * call_ms < sum(medians.values()) < 1.5 * call_ms + 0.05


def test_nothing_is_copied_where_memory_is_shared(
    cuda: Cuda, made: Callable[[Precision], Made]
) -> None:
    session = made(Precision.FP32).load()
    batch = images(2, SIDE)
    stages = session.stage_times(batch, 5)
    assert session.described["zero_copy"] is cuda.shares_memory
    assert ("h2d" in stages, "d2h" in stages) == (not cuda.shares_memory, not cuda.shares_memory)
    wanted = made(Precision.FP32).answers(batch)
    assert distance(session.run(batch), wanted) < 1e-4
    session.close()


def test_threads_share_a_runtime_and_each_gets_its_own_results(
    made: Callable[[Precision], Made],
) -> None:
    first = made(Precision.FP32)
    with Runtime.load(first.folder) as runtime:
        check_threads(first, [runtime, runtime])


def test_threads_have_a_runtime_each(made: Callable[[Precision], Made]) -> None:
    first = made(Precision.FP32)
    with Runtime.load(first.folder) as one, Runtime.load(first.folder) as other:
        check_threads(first, [one, other])


def check_threads(made: Made, runtimes: list[Runtime]) -> None:
    """Let each thread infer batches of its own, over and over, and compare all answers."""
    batches = [images(1 + 3 * i, SIDE, seed=i) for i in range(len(runtimes))]
    found: list[list[Array]] = [[] for _ in runtimes]

    def infer(place: int) -> None:
        for _ in range(50):
            found[place].append(runtimes[place].infer(batches[place]))

    threads = [threading.Thread(target=infer, args=(place,)) for place in range(len(runtimes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for batch, answers in zip(batches, found, strict=True):
        wanted = made.answers(batch)
        assert len(answers) == 50
        assert max(distance(answer, wanted) for answer in answers) < 1e-4


def test_a_bound_call_says_that_its_engine_is_closed(made: Callable[[Precision], Made]) -> None:
    session = made(Precision.FP32).load()
    call = session.bind(images(1, SIDE))
    call()
    session.close()
    session.close()
    with pytest.raises(UsageError, match="closed"):
        call()
