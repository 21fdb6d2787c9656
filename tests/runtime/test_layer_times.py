from __future__ import annotations

import tempfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy.errors import UsageError
from edgedeploy.runtime import trt_engine, trt_layers
from edgedeploy.runtime.runtime import Runtime
from edgedeploy.runtime.trt_session import TrtSession
from tests.artifacts import SIDE, write_artifact
from tests.runtime import fake_engine
from tests.runtime.fake_engine import FakeGpu

if TYPE_CHECKING:
    from pathlib import Path


def test_onnx_runtime_tells_its_kernels_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_artifact(tmp_path / "a")
    (traces := tmp_path / "traces").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(traces))
    with Runtime.load(str(folder), threads=1) as runtime:
        found = runtime.layer_times(np.ones((1, 3, SIDE, SIDE), np.float32), 3)
    assert found.reason is None
    assert "GlobalAveragePool" in [layer.kind for layer in found.layers or []]
    assert all(layer.ms >= 0 for layer in found.layers or [])
    assert list(traces.iterdir()) == []


def trt_session(**more: Any) -> tuple[TrtSession, SimpleNamespace]:
    gpu = FakeGpu()
    engine, context, inside = fake_engine.engine("10.3.0", gpu)
    context.profiler = None
    run = context.execute_async_v3
    told = iter(range(1, 100))

    def execute(stream: int) -> bool:
        if context.profiler is not None:
            context.profiler.report_layer_time("conv1", 1.0)
            context.profiler.report_layer_time("conv2", float(next(told)))
        return bool(run(stream))

    context.execute_async_v3 = execute
    assert inside.enqueues
    return TrtSession(trt_engine.wrap(engine, context), gpu, {}, **more), context


class FakeProfiler:
    """What ``trt.IProfiler`` is."""


def make() -> Any:
    return trt_layers.make_profiler(SimpleNamespace(IProfiler=FakeProfiler))


def test_tensorrt_tells_means_in_order_and_its_profiler_is_taken_off_again() -> None:
    session, context = trt_session(profiler=make)
    found = session.layer_times(np.ones((2, 3, 4, 4), np.float32), 3)
    assert [(layer.name, layer.ms) for layer in found.layers or []] == [("conv1", 1), ("conv2", 2)]
    assert context.profiler is None


def test_tensorrt_that_replays_whole_graphs_says_so() -> None:
    session, _ = trt_session()
    found = session.layer_times(np.ones((1, 3, 4, 4), np.float32), 3)
    assert (found.layers, "whole graphs" in str(found.reason)) == (None, True)


def test_batches_in_pieces_have_no_layers_but_a_reason() -> None:
    session, _ = trt_session(profiler=make)
    found = session.layer_times(np.ones((9, 3, 4, 4), np.float32), 3)
    assert (found.layers, found.reason) == (None, "9 images go in several calls of 8")


def test_a_closed_engine_refuses() -> None:
    session, _ = trt_session(profiler=make)
    session.close()
    with pytest.raises(UsageError, match="closed"):
        session.layer_times(np.ones((1, 3, 4, 4), np.float32), 3)


def test_openvino_tells_what_it_executed(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    onnx_file = write_artifact(tmp_path / "o") / "model.onnx"
    openvino.save_model(openvino.convert_model(onnx_file), tmp_path / "model.xml")
    content = {name: (tmp_path / name).read_bytes() for name in ("model.xml", "model.bin")}
    folder = write_artifact(tmp_path / "a", backend="openvino", content=content)
    with Runtime.load(str(folder), threads=1) as runtime:
        found = runtime.layer_times(np.ones((1, 3, SIDE, SIDE), np.float32), 3)
    assert "ReduceMean" in [layer.kind for layer in found.layers or []]
