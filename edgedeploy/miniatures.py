"""Small graphs, made for one measurement: built and loaded as artifacts are, then timed."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgedeploy import backends
from edgedeploy.calibration_values import TensorRange
from edgedeploy.runtime.manifest import Manifest, TensorInfo
from edgedeploy.types import BuildSpec, Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edgedeploy.runtime.session import Session
    from edgedeploy.source_forms import SourceForm
    from edgedeploy.types import Array, Built

INPUT, OUTPUT = "image", "y"
CPU_BACKENDS = ("ort", "openvino")
"""What runs on the processor."""

_RANGE = TensorRange(0, 6, 0, 6)  # of all activations in INT8: time does not depend on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Miniature:
    """A graph that is loaded.

    Attributes:
        call: One inference of random numbers; it blocks until it is done.
        runs: What the engine reports it runs: convolutions and matrix products by type.
        library: Name and version, e.g. ``"onnxruntime 1.31.1"``.
    """

    call: Callable[[], None]
    runs: Mapping[str, int]
    library: str


@contextmanager
def opened(
    model: onnx.ModelProto, backend: str, precision: Precision, *, threads: int
) -> Iterator[Miniature]:
    """Build a graph for a backend, load it, and close it behind the block.

    Args:
        model: float32, opset 13, from `graph`.
        backend: One of `CPU_BACKENDS`.
        precision: FP32 or INT8.
        threads: Of the CPU.

    Raises:
        BuildError: The library does not build it.
        ArtifactError: It does not load it.
    """
    vendor = backends.get(backend)
    spec = BuildSpec(backend=backend, precision=precision)
    sides = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    with tempfile.TemporaryDirectory() as root:
        path, folder = Path(root, "source.onnx"), Path(root, "artifact")
        folder.mkdir()
        path.write_bytes(_source(model, vendor.source_form(spec)))
        built = vendor.build(path, spec, folder)
        session = _load(backend, built, folder, precision, threads)
        try:
            batch = np.random.default_rng(0).random(sides, dtype=np.float32)
            library = str(session.described["library"])
            yield Miniature(call=session.bind(batch), runs=dict(built.runs), library=library)
        finally:
            session.close()


def graph(
    nodes: Sequence[onnx.NodeProto], shape: Sequence[int], weights: Mapping[str, Array]
) -> onnx.ModelProto:
    """Return a model of nodes from `INPUT` to `OUTPUT`.

    Args:
        nodes: In their order.
        shape: Of the input, batch first.
        weights: float32, by name.
    """
    made = helper.make_graph(
        list(nodes),
        "miniature",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def matrix_product(side: int) -> onnx.ModelProto:
    """Return the product of two square matrices, ``side ** 3`` multiply-adds."""
    weight = np.random.default_rng(1).normal(size=(side, side)).astype(np.float32)
    node = helper.make_node("MatMul", [INPUT, "w"], [OUTPUT], name="product")
    return graph([node], (1, side, side), {"w": weight})


def _source(model: onnx.ModelProto, form: SourceForm) -> bytes:
    if form.style is None:
        return model.SerializeToString()
    import onnx_ir as ir

    from edgedeploy.graph.qdq import quantise
    from edgedeploy.graph.tensors import activations

    inferred = ir.serde.deserialize_model(onnx.shape_inference.infer_shapes(model))
    quantise(inferred, dict.fromkeys(activations(inferred), _RANGE), form.style)
    data: bytes = ir.serde.serialize_model(inferred).SerializeToString()
    return data


def _load(backend: str, built: Built, folder: Path, precision: Precision, threads: int) -> Session:
    # not by Runtime and a file, which take pictures of three channels only
    about = Manifest(
        model="miniature",
        variant=None,
        backend=backend,
        backend_version="",
        precision=precision.value,
        runs=dict(built.runs),
        quantised=None,
        fell_back=(),
        input=TensorInfo(INPUT, (), "float32"),
        output=TensorInfo(OUTPUT, (), "float32"),
        softmax=False,
        preprocessing=None,
        labels=None,
        engine=built.engine,
        files=(),
        runs_on={},
        needs={},
        options={},
        raw={},
    )
    session: Session = import_module(f"edgedeploy.runtime.{backend}").load(
        str(folder), about, threads
    )
    return session
