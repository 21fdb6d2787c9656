"""A graph as a row of operations on activations, read from ONNX."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Shape = tuple[int | None, ...]

_SMALL = 64  # numbers in a constant that a shape may be computed from; weights have more
OF_SHAPES = frozenset({"Shape", "Size", "ShapeOf"})
"""What they put out is no activation, whatever they read."""
# What leaves a constant the same weights, so that two layers that read it share them.
_SHAPING = frozenset({"Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_KEEPING = _SHAPING | {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear"}
# Inputs that were trained, where scales and zero points stand among them.
_TRAINED = {
    "ConvInteger": (1,),
    "MatMulInteger": (1,),
    "QLinearConv": (3, 8),
    "QLinearMatMul": (3,),
}
# Whose operators are known by their words alone.
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_BITS = {"BOOL": 8, "DOUBLE": 64, "FLOAT": 32}


@dataclass(frozen=True, slots=True)
class Tensor:
    """What an operation reads or writes.

    Attributes:
        shape: None where not even the number of sides is known; None for a side that is not.
        bits: Of one number as it is stored: 8 behind DequantizeLinear, 16 of weights that a Cast
            makes float32; None where nobody says.
        name: Of a constant as the file has it (of IR the layer's id), so that shared weights have
            one; else any.
    """

    shape: Shape | None
    bits: int | None = None
    name: str = ""

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the whole tensor; None where its size or type is not known."""
        numbers = count(self.shape)
        return None if numbers is None or self.bits is None else -(-numbers * self.bits // 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation on activations.

    Attributes:
        names: Of itself and of what it puts out.
        type: Word of ONNX or of OpenVINO, e.g. ``"Conv"`` or ``"GroupConvolution"``; of an
            operator that is neither's, its domain and a dot stand before it.
        source: Number of the operation that its first input comes from; None: the graph's input.
        inputs: Its inputs that are activations, in their order; at least one.
        constants: Its inputs that are constants, in their order; of quantised operators without
            scales and zero points.
        outputs: What it puts out.
        groups: Of a convolution.
    """

    names: tuple[str, ...]
    type: str
    source: int | None
    inputs: tuple[Tensor, ...] = ()
    constants: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    groups: int = 1

    @property
    def output(self) -> Shape | None:
        """Shape of its first output."""
        return self.outputs[0].shape if self.outputs else None


def count(shape: Sequence[int | None] | None) -> int | None:
    """Return how many numbers a tensor holds; None where a side is not known.

    Example:
        >>> count((8, 3, 3)), count((8, None)), count(None)
        (72, None, None)
    """
    known = [size for size in shape or () if size is not None]
    return math.prod(known) if shape is not None and len(known) == len(shape) else None


def from_onnx(model: onnx.ModelProto, shape: Sequence[int]) -> tuple[Op, ...]:
    """Return the operations of a model in the order of its file, constants left out.

    Shapes that the file leaves out are inferred; what a subgraph holds is not looked into.

    Args:
        model: With one image input; left as it is.
        shape: Of the input, ``(N, 3, H, W)``; see `batch_of`.

    Raises:
        ValueError: The input has another number of sides, or a convolution no groups.
    """
    values = _Values(_inferred(model, shape), model)
    ops: list[Op] = []
    makers: dict[str, int] = {}
    for node in model.graph.node:
        inputs = [name for name in node.input if name]
        # none at all: Constant; and what is made of a shape is no activation
        if node.op_type in OF_SHAPES or all(name in values.fixed for name in inputs):
            values.fix(node, inputs)
            continue
        moving = [name for name in inputs if name not in values.fixed]
        makers.update(dict.fromkeys(node.output, len(ops)))
        ops.append(
            Op(
                names=(node.name, *node.output),
                type=node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}",
                source=makers.get(moving[0]),
                inputs=values.tensors(moving),
                constants=values.tensors(_trained(node, values.fixed)),
                outputs=values.tensors(name for name in node.output if name),
                groups=_groups(node),
            )
        )
    return tuple(ops)


def batch_of(model: onnx.ModelProto) -> int:
    """Return how many images a model takes in each call: what its file says, 1 where it is open."""
    constants = {each.name for each in model.graph.initializer}
    image = next((each for each in model.graph.input if each.name not in constants), None)
    dims = image.type.tensor_type.shape.dim if image is not None else ()
    return max(dims[0].dim_value, 1) if dims else 1  # 0: it has a name, or nothing


class _Values:
    """What is known of a graph's tensors by name."""

    def __init__(self, graph: onnx.GraphProto, model: onnx.ModelProto) -> None:
        self._types = {
            each.name: each.type.tensor_type
            for each in (*graph.value_info, *graph.input, *graph.output)
        } | {each.name: _type(each) for each in graph.initializer}
        self.fixed = {
            *(each.name for each in model.graph.initializer),
            *(each.values.name for each in model.graph.sparse_initializer),
        }
        self._stored = dict(_stored(model.graph))
        self._roots: dict[str, str] = {}

    def fix(self, node: onnx.NodeProto, inputs: Sequence[str]) -> None:
        """Note that what a node puts out is the same for every image."""
        self.fixed.update(node.output)
        if node.op_type in _KEEPING and inputs:
            (made, *_), (read, *_) = node.output, inputs
            self._roots[made] = self._roots.get(read, read)
            if node.op_type != "QuantizeLinear":  # that stores what it makes
                self._stored[made] = self._stored.get(read, read)

    def tensors(self, names: Iterable[str]) -> tuple[Tensor, ...]:
        return tuple(self._tensor(name) for name in names)

    def _tensor(self, name: str) -> Tensor:
        found = self._types.get(name)
        stored = self._types.get(self._stored.get(name, name), found)
        return Tensor(
            shape=None if found is None else _dims(found),
            bits=None if stored is None else _bits(TensorProto.DataType.Name(stored.elem_type)),
            name=self._roots.get(name, name),
        )


def _inferred(model: onnx.ModelProto, shape: Sequence[int]) -> onnx.GraphProto:
    """Infer every shape for an input of ``shape``; of weights only their shapes go along."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.functions.extend(model.functions)
    graph = light.graph
    graph.node.extend(model.graph.node)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= _SMALL:
            graph.initializer.append(tensor)
        else:
            graph.input.append(_info(tensor.name, tensor.data_type, tensor.dims))
    for sparse in model.graph.sparse_initializer:
        graph.input.append(_info(sparse.values.name, sparse.values.data_type, sparse.dims))
    constants = {*(each.name for each in graph.input), *(each.name for each in graph.initializer)}
    images = [each for each in model.graph.input if each.name not in constants]
    for number, image in enumerate(images):
        graph.input.append(image)
        if number == 0:
            dims = graph.input[-1].type.tensor_type.shape.dim
            for dim, size in zip(dims, shape, strict=True):
                dim.dim_value = size
    for output in model.graph.output:
        graph.output.append(_info(output.name, output.type.tensor_type.elem_type, None))
    return onnx.shape_inference.infer_shapes(light, data_prop=True).graph


def _stored(graph: onnx.GraphProto) -> Iterable[tuple[str, str]]:
    """Yield tensors that exist as integers only, each with the tensor that holds those."""
    readers: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    outputs = {each.name for each in graph.output}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            yield node.output[0], node.input[0]
        elif node.op_type == "QuantizeLinear":
            source = node.input[0]
            if readers[source] == {"QuantizeLinear"} and source not in outputs:
                yield source, node.output[0]


def _trained(node: onnx.NodeProto, fixed: set[str]) -> list[str]:
    kept = _TRAINED.get(node.op_type, range(len(node.input)))
    return [name for number, name in enumerate(node.input) if name in fixed and number in kept]


def _groups(node: onnx.NodeProto) -> int:
    found = next((a.i for a in node.attribute if a.name == "group"), 1)
    if found < 1:
        raise ValueError(f"{node.output[0]} has {found} groups")
    return found


def _info(name: str, kind: int, dims: Sequence[int] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, dims)


def _type(tensor: TensorProto) -> onnx.TypeProto.Tensor:
    return _info(tensor.name, tensor.data_type, tensor.dims).type.tensor_type


def _dims(found: onnx.TypeProto.Tensor) -> Shape | None:
    if not found.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in found.shape.dim)


def _bits(word: str) -> int | None:
    """Return the bits of one number.

    Example:
        >>> _bits("FLOAT"), _bits("BFLOAT16"), _bits("INT4"), _bits("STRING")
        (32, 16, 4, None)
    """
    digits = re.search(r"\d+", word)
    return _BITS.get(word) if digits is None else int(digits[0])
