"""The graph behind an engine, read for what its layers are and what they have to compute."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import onnx

from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Shape = tuple[int | None, ...]

_SOURCE = "source.onnx"  # what a trt artifact's engine was built from


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation on activations.

    Attributes:
        names: Of itself and of what it puts out.
        type: Word of ONNX or of OpenVINO, e.g. ``"Conv"`` or ``"GroupConvolution"``.
        source: Number of the operation that its first input comes from; None: the graph's input.
        constants: Shapes of its inputs that are constants, in their order.
        output: Shape of its first output.
        groups: Of a convolution.
    """

    names: tuple[str, ...]
    type: str
    source: int | None
    constants: tuple[Shape, ...]
    output: Shape
    groups: int = 1


def read(folder: Path, engine: str, shape: Sequence[int]) -> tuple[Op, ...] | None:
    """Read the graph of an artifact, in the order of its file, constants left out.

    Args:
        folder: The artifact.
        engine: Its file.
        shape: Of the input, ``(N, 3, H, W)``; what is counted is counted for one image.

    Returns:
        None where the artifact holds no graph: an engine of TensorRT without its source.

    Raises:
        FileError: The file is there and is damaged.
    """
    path = folder / engine
    if path.suffix not in (".onnx", ".xml"):
        path = folder / _SOURCE
    if not path.exists():
        return None
    try:
        if path.suffix == ".xml":
            return _from_ir(ElementTree.parse(path).getroot())
        return _from_onnx(onnx.load(path, load_external_data=False), (1, *shape[1:]))
    except (OSError, ValueError, KeyError, ElementTree.ParseError, RuntimeError) as error:
        raise FileError(f"{path} cannot be read as a graph: {error}", fix="build it again") from (
            error
        )


def _from_onnx(model: onnx.ModelProto, shape: Sequence[int]) -> tuple[Op, ...]:
    constants = {each.name: tuple(each.dims) for each in model.graph.initializer}
    image = next(each for each in model.graph.input if each.name not in constants)
    dims = image.type.tensor_type.shape.dim
    for dim, size in zip(dims, shape, strict=True):
        dim.dim_value = size
    del model.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        each.name: _dims(each.type.tensor_type.shape.dim)
        for each in (*graph.value_info, *graph.input, *graph.output)
    } | constants
    ops: list[Op] = []
    makers: dict[str, int] = {}
    fixed = set(constants)
    for node in graph.node:
        inputs = [name for name in node.input if name]
        # none at all: Constant; and what is made of a shape is no activation
        if node.op_type == "Shape" or all(name in fixed for name in inputs):
            fixed.update(node.output)
            continue
        makers.update(dict.fromkeys(node.output, len(ops)))
        ops.append(
            Op(
                names=(node.name, *node.output),
                type=node.op_type,
                source=makers.get(next(name for name in inputs if name not in fixed)),
                constants=tuple(shapes.get(name, ()) for name in inputs if name in fixed),
                output=shapes.get(node.output[0], ()),
                groups=next((a.i for a in node.attribute if a.name == "group"), 1),
            )
        )
    return tuple(ops)


def _dims(dims: Sequence[Any]) -> Shape:
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)


def _from_ir(root: ElementTree.Element) -> tuple[Op, ...]:
    edges: dict[str, list[str]] = {}
    for edge in sorted(root.iterfind("edges/edge"), key=lambda edge: int(edge.attrib["to-port"])):
        edges.setdefault(edge.attrib["to-layer"], []).append(edge.attrib["from-layer"])
    ops: list[Op] = []
    numbers: dict[str, int | None] = {}
    fixed: set[str] = set()
    for layer in root.iterfind("layers/layer"):
        key, kind = layer.attrib["id"], layer.attrib["type"]
        sources = edges.get(key, [])
        if kind == "Parameter":
            numbers[key] = None
            continue
        # none at all: Const; and what is made of a shape is no activation
        if kind == "ShapeOf" or all(source in fixed for source in sources):
            fixed.add(key)
            continue
        numbers[key] = len(ops)
        taken = [_ir_shape(port) for port in layer.iterfind("input/port")]
        given = [_ir_shape(port) for port in layer.iterfind("output/port")]
        constants = [shape for source, shape in zip(sources, taken, strict=True) if source in fixed]
        ops.append(
            Op(
                names=(layer.attrib["name"],),
                type=kind,
                source=numbers[next(source for source in sources if source not in fixed)],
                constants=tuple(constants),
                output=given[0] if given else (),
                groups=constants[0][0] or 1 if kind == "GroupConvolution" and constants else 1,
            )
        )
    return tuple(ops)


def _ir_shape(port: ElementTree.Element) -> Shape:
    sizes = [int(dim.text or "-1") for dim in port.iterfind("dim")]
    return tuple(size if size >= 0 else None for size in sizes)


def count(shape: Shape) -> int | None:
    """Return how many numbers a tensor holds; None where a side is not known.

    Example:
        >>> count((8, 3, 3)), count((8, None))
        (72, None)
    """
    known = [size for size in shape if size is not None]
    return math.prod(known) if len(known) == len(shape) else None
