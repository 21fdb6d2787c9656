"""TensorRT: an engine for one GPU and one TensorRT; TensorRT-RTX where only that is installed."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from edgedeploy.errors import BuildError
from edgedeploy.runtime import trt_api, trt_build, trt_dialects, trt_rebuild
from edgedeploy.source_forms import SourceForm, trt_form
from edgedeploy.types import Built, Precision

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.types import BuildSpec

trt = trt_api.library()

ENGINE = "model.engine"
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

    Two builds of one source differ: TensorRT times its kernels and takes the fastest.

    Raises:
        BuildError: TensorRT refused the model, or it is quantised with uint8.
    """
    _refuse_uint8(source)
    kept = folder / trt_rebuild.SOURCE
    kept.write_bytes(source.read_bytes())
    report = trt_build.build_engine(str(kept), str(folder / ENGINE), precision=spec.precision.value)
    if report.log:
        _log.info("%s %s warned:\n%s", report.library, report.version, report.log)
    return Built(
        engine=ENGINE,
        files=(*report.files, trt_rebuild.SOURCE),
        runs=report.runs,
        runs_on=report.runs_on,
        floats=report.floats,
    )


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
