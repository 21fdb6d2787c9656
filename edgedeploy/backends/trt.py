"""TensorRT: an engine for one GPU and one TensorRT; TensorRT-RTX where only that is installed."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from edgedeploy.errors import BuildError
from edgedeploy.runtime import trt_api, trt_build, trt_dialects, trt_timing_cache
from edgedeploy.source_forms import SourceForm, trt_form
from edgedeploy.types import Built, Precision

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.types import BuildSpec

trt = trt_api.library()

# Names the folder of timing caches; "off" for none.
TIMING_CACHE = "EDGEDEPLOY_TIMING_CACHE"
_QDQ = ("QuantizeLinear", "DequantizeLinear")

_log = logging.getLogger(__name__)


def version() -> str:
    """Return the version of TensorRT, or of TensorRT-RTX."""
    return str(trt.__version__)


def precisions() -> frozenset[Precision]:
    """Return what `build` accepts."""
    return frozenset({Precision.FP32, Precision.FP16, Precision.INT8})


def source_form(spec: BuildSpec) -> SourceForm:
    """Return what this generation of TensorRT reads.

    Raises:
        UnsupportedError: It has no such INT8 mode, or drives no DLA.
    """
    dialect, options = trt_dialects.of(trt), spec.trt
    dla = options.dla_core is not None
    mode = trt_dialects.int8_mode(dialect, options.int8_mode, dla=dla)
    return trt_form(dialect, spec.precision, mode)


def candidates(spec: BuildSpec) -> tuple[BuildSpec, ...]:
    """Return ``spec`` once for every INT8 mode that this TensorRT has, where it is to be tuned."""
    options = spec.trt
    if not options.tune or spec.precision is not Precision.INT8 or options.int8_mode != "auto":
        return (spec,)
    return tuple(
        replace(spec, trt=options._replace(int8_mode=mode)) for mode in trt_dialects.of(trt).int8
    )


def build(source: Path, spec: BuildSpec, folder: Path) -> Built:
    """Compile ``source`` and keep it beside the engine, so that a board can build its own from it.

    Two builds of one source differ: TensorRT times its kernels and takes the fastest. What it has
    timed is kept for the next build, in the folder that the environment variable
    ``EDGEDEPLOY_TIMING_CACHE`` names (``off``: nowhere), by default that of
    `trt_timing_cache.default_folder`.

    Raises:
        BuildError: TensorRT refused the model, or it is quantised with uint8.
        UnsupportedError: This TensorRT, or this GPU, does not have what is asked.
    """
    _refuse_uint8(source)
    kept = _copied(source, folder / trt_build.SOURCE)
    mode, cache = _int8_mode(spec), None
    if mode == "implicit":
        cache = _copied(source.with_name(trt_build.CACHE), folder / trt_build.CACHE)
    report = trt_build.build_engine(
        str(kept),
        str(folder / trt_build.ENGINE),
        precision=spec.precision.value,
        options=spec.trt,
        int8_mode=mode,
        cache=None if cache is None else str(cache),
        timing_cache=_timing_folder(),
        progress=_log_phase,
    )
    if report.log:
        _log.info("%s %s warned:\n%s", report.library, report.version, report.log)
    kept_files = [trt_build.SOURCE] + ([] if cache is None else [trt_build.CACHE])
    return Built(
        engine=trt_build.ENGINE,
        files=(*report.files, *kept_files),
        runs=report.runs,
        runs_on=report.runs_on,
        floats=report.floats,
        int8_mode=report.int8_mode,
        gpu_fallback=report.gpu_fallback,
    )


def _int8_mode(spec: BuildSpec) -> str | None:
    """Return how INT8 is said to the TensorRT that is here; None of other precisions."""
    if spec.precision is not Precision.INT8:
        return None
    dla = spec.trt.dla_core is not None
    return trt_dialects.int8_mode(trt_dialects.of(trt), spec.trt.int8_mode, dla=dla)


def _copied(file: Path, target: Path) -> Path:
    target.write_bytes(file.read_bytes())
    return target


def _timing_folder() -> str | None:
    asked = os.environ.get(TIMING_CACHE, "")
    return None if asked == "off" else asked or trt_timing_cache.default_folder()


def _log_phase(phase: str, done: int, total: int) -> None:
    if done == 0:
        _log.info("%s (%d steps)", phase, total)


def _refuse_uint8(source: Path) -> None:
    """Refuse uint8 Q/DQ: TensorRT-RTX would read zero point 0 as int8, with a warning only.

    Raises:
        BuildError: A Q/DQ node has a uint8 zero point, or a QuantizeLinear has none at all, which
            means uint8 in ONNX.
    """
    graph = onnx.load(source).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            types[node.output[0]] = node.attribute[0].t.data_type
        if node.op_type in _QDQ and _quantised_type(node, types) == TensorProto.UINT8:
            raise BuildError(
                f"node {node.name!r} ({node.op_type}) is uint8, TensorRT takes int8 only",
                fix="build from the float model: edgedeploy build MODEL --backend trt --int8",
            )


def _quantised_type(node: onnx.NodeProto, types: dict[str, int]) -> int | None:
    if len(node.input) > 2 and node.input[2]:
        return types.get(node.input[2])
    if node.op_type == "DequantizeLinear":
        return types.get(node.input[0])
    asked = [attribute.i for attribute in node.attribute if attribute.name == "output_dtype"]
    return asked[0] if asked and asked[0] else int(TensorProto.UINT8)
