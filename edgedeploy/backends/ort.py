"""ONNX Runtime on the CPU: the source graph is the engine; its optimiser runs at load."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnxruntime as ort
from onnx import TensorProto

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import BuildError
from edgedeploy.runtime.ort import KEEP_FLOATS
from edgedeploy.source_forms import SourceForm
from edgedeploy.types import Built, Precision, Steps, no_steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.types import BuildSpec

ENGINE = "model.onnx"
_PROVIDERS = ["CPUExecutionProvider"]
_COMPUTE = ("Conv", "Gemm", "MatMul")
_BLOCKED = "_nchwc"  # ends the names of convolutions whose layout ONNX Runtime changes


def version() -> str:
    """Return the version of ONNX Runtime."""
    return str(ort.__version__)


def precisions() -> frozenset[Precision]:
    """Return what `build` accepts."""
    return frozenset({Precision.FP32, Precision.FP16, Precision.INT8})


def source_form(spec: BuildSpec) -> SourceForm:
    """Return float16 for FP16: ONNX Runtime runs the types that the graph has."""
    return SourceForm(
        style=QdqStyle.U8 if spec.precision is Precision.INT8 else None,
        half=spec.precision is Precision.FP16,
    )


def candidates(spec: BuildSpec) -> tuple[BuildSpec, ...]:
    """Return ``spec``: there is one way to build it."""
    return (spec,)


def fits(runs_on: Mapping[str, object]) -> bool:
    """Return True: what this builds is bound to nothing."""
    del runs_on
    return True


def build(source: Path, spec: BuildSpec, folder: Path, *, progress: Steps = no_steps) -> Built:
    """Keep the graph as it is: an optimised one is bound to the CPU that optimised it.

    Raises:
        BuildError: ONNX Runtime does not load it.
    """
    del spec, progress  # the source says it all, and it is soon done
    (folder / ENGINE).write_bytes(source.read_bytes())
    layers = running_layers(folder / ENGINE)
    return Built(
        engine=ENGINE,
        files=(ENGINE,),
        runs=dict(sorted(Counter(kind for _, kind in layers).items())),
        runs_on={"portable": True},
        floats=tuple(name for name, kind in layers if kind != "int8"),
    )


def running_layers(model: Path) -> list[tuple[str, str]]:
    """List the convolutions and matrix products of a loaded model, with the type they compute in.

    A float16 graph runs in float32 where the CPU has no float16 kernels: ONNX Runtime then
    inserts casts, and the weights of the optimised graph are float32.

    Raises:
        BuildError: ONNX Runtime does not load it.
    """
    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder, ENGINE)
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(optimised)
        options.add_session_config_entry(*KEEP_FLOATS)
        options.log_severity_level = 4  # it warns that the optimised file fits this CPU only
        try:
            ort.InferenceSession(str(model), options, providers=_PROVIDERS)
        except Exception as error:  # the vendor raises a dozen unrelated types
            raise BuildError(
                f"ONNX Runtime {version()} refused {model.name}: {error}",
                fix="export the model with operators and an opset that ONNX Runtime has",
            ) from error
        graph = onnx.load(optimised).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return [
        ((node.name or node.output[0]).removesuffix(_BLOCKED), _type_of(node, types))
        for node in graph.node
        if any(kind in node.op_type for kind in _COMPUTE)
    ]


def _type_of(node: onnx.NodeProto, types: dict[str, int]) -> str:
    if node.op_type.startswith("QLinear") or "Integer" in node.op_type or node.op_type == "QGemm":
        return "int8"
    half = any(types.get(name) == TensorProto.FLOAT16 for name in node.input)
    return "float16" if half else "float32"
