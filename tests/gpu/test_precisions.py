"""Every precision and every INT8 mode, against ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedeploy.runtime.trt_options import TrtOptions
from edgedeploy.types import PUBLISHED, Family, Precision
from tests.gpu.making import SIDE, distance, make
from tests.prepared_sources import images

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.runtime.cuda_memory import Cuda
    from edgedeploy.runtime.trt_dialects import Dialect
    from tests.gpu.making import Record


# FP32 has TF32 off.
TOLERANCES = {Precision.FP32: 1e-4, Precision.FP16: 2e-2}
# TensorRT may add before it rounds where ONNX Runtime rounds first, layer after layer.
ROUNDING = 3.0
FAMILIES = pytest.mark.parametrize("family", PUBLISHED, ids=lambda family: family.value)
FLOATS = pytest.mark.parametrize("precision", list(TOLERANCES), ids=lambda p: p.value)
MODES = pytest.mark.parametrize("mode", ["implicit", "qdq", "typed"])


def require(dialect: Dialect, mode: str) -> None:
    if mode not in dialect.int8:
        pytest.skip(f"TensorRT of the generation {dialect.name} has no INT8 mode {mode}")


@FAMILIES
@FLOATS
def test_a_float_engine_agrees_with_onnx_runtime(
    cuda: Cuda,
    tmp_path: Path,
    family: Family,
    precision: Precision,
    record_property: Record,
) -> None:
    made = make(tmp_path, family, precision)
    batch = images(8, SIDE)
    session = made.load()
    found = session.run(batch)
    session.close()
    wanted = made.answers(batch)
    assert found.shape == wanted.shape
    assert found.dtype == np.float32
    record_property("error", f"{distance(found, wanted):.2e}")
    assert distance(found, wanted) < TOLERANCES[precision]


@FAMILIES
@MODES
def test_an_int8_engine_is_as_near_to_float_as_its_quantised_source(
    dialect: Dialect,
    tmp_path: Path,
    family: Family,
    mode: str,
    record_property: Record,
) -> None:
    require(dialect, mode)
    made = make(tmp_path, family, Precision.INT8, TrtOptions(int8_mode=mode))
    batch = images(8, SIDE)
    session = made.load()
    found = session.run(batch)
    session.close()
    wanted = made.answers(batch)
    quantised = distance(made.quantised_answers(batch), wanted)
    record_property("error", f"{distance(found, wanted):.2e}")
    record_property("error in onnx runtime", f"{quantised:.2e}")
    assert distance(found, wanted) < ROUNDING * quantised


@MODES
def test_the_inspector_counts_int8_layers(
    dialect: Dialect, tmp_path: Path, mode: str, record_property: Record
) -> None:
    require(dialect, mode)
    if dialect.name == "rtx":
        pytest.skip("TensorRT-RTX compiles the whole network as one layer")
    options = TrtOptions(int8_mode=mode)
    known = make(tmp_path, Family.MOBILENET_V1, Precision.INT8, options).manifest
    record_property("runs", str(known.runs))
    record_property("fell back", ", ".join(known.fell_back))
    assert known.raw["precision"]["int8_mode"] == mode
    assert known.runs.get("int8", 0) > 20


def test_tuning_keeps_the_fastest_mode(
    dialect: Dialect, tmp_path: Path, record_property: Record
) -> None:
    if len(dialect.int8) < 2:
        pytest.skip(f"TensorRT of the generation {dialect.name} has {dialect.int8[0]} only")
    known = make(tmp_path, Family.MOBILENET_V1, Precision.INT8, TrtOptions(tune=True)).manifest
    about = known.raw["precision"]
    times = {mode: seen["latency_ms"] for mode, seen in about["tried"].items()}
    record_property("latency_ms", str(times))
    assert sorted(times) == sorted(dialect.int8)
    timed = {mode: found for mode, found in times.items() if found is not None}
    assert about["int8_mode"] == min(timed, key=lambda mode: timed[mode])
