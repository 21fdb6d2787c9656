"""What operations cost: multiply-adds, parameters and memory accesses, by the graph alone.

docs/analyze.md has the formulas in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.graph import kinds
from edgedeploy.graph.operations import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgedeploy.graph.operations import Op, Shape, Tensor

# Nothing is computed and nothing moves: names for the same numbers, or the borders of INT8.
_FREE = frozenset(
    {
        "DequantizeLinear",
        "Dropout",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "Unsqueeze",
    }
)
# How many of the first constants were trained: a batch norm's mean and variance are measured.
_TRAINED = {
    "BatchNormalization": 2,
    "BatchNormInference": 2,
    "GroupNormalization": 2,
    "InstanceNormalization": 2,
    "LayerNormalization": 2,
    "PRelu": 1,
}
# They multiply, and how much is not seen from their shapes.
_UNCOUNTED = frozenset({"Attention", "Einsum", "GRU", "If", "LSTM", "Loop", "RNN", "Scan"})


@dataclass(frozen=True, slots=True)
class Gemm:
    """The matrix product that a convolution is by im2col: ``(m, k)`` times ``(k, n)``.

    Attributes:
        m: Outputs of a group: rows or columns of its weights.
        n: Places of the map, in all images of a call.
        k: Numbers that one output is made of.
        groups: How many such products there are, each with weights of its own.
        is_gemm: Whether the input is the second matrix as it lies: a 1x1 kernel at stride 1.

    Source:
        Chellapilla et al. 2006, "High Performance Convolutional Neural Networks for Document
        Processing", section 3; for the 1x1 kernel MobileNets, section 3.2.
    """

    m: int
    n: int
    k: int
    groups: int
    is_gemm: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one operation costs, for as many images as the graph's input has.

    Attributes:
        op: The operation.
        kind: One of `kinds.KINDS`.
        multiply_adds: Of convolutions and matrix products, without biases; 0 of all else; None
            where a map's size is not known.
        parameters: Kernels, biases, scale and shift of normalisations, slopes; weights that an
            operation before it has, too, count there. None where their shape is not known.
        memory_access_bytes: Read and written, inputs, outputs and weights, each once, in the type
            they are stored in; None where a size is not known.
        gemm: Of convolutions and matrix products with weights; None of all else.
    """

    op: Op
    kind: str
    multiply_adds: int | None
    parameters: int | None
    memory_access_bytes: int | None
    gemm: Gemm | None

    @property
    def is_free(self) -> bool:
        """Whether it only renames what is there, or is the border of INT8."""
        return self.op.type in _FREE

    @property
    def intensity(self) -> float | None:
        """Multiply-adds per byte; None where nothing is read, or one of the two is not known."""
        if self.multiply_adds is None or not self.memory_access_bytes:
            return None
        return self.multiply_adds / self.memory_access_bytes


def of(ops: Sequence[Op]) -> tuple[Cost, ...]:
    """Count each operation of a graph, in its order."""
    biases = _biases(ops)
    seen: set[str] = set()
    return tuple(
        Cost(
            op=op,
            kind=kinds.of(op, ops),
            multiply_adds=_multiply_adds(op),
            parameters=_parameters([*_trained(op), *biases.get(number, ())], seen),
            memory_access_bytes=_memory_access_bytes(op),
            gemm=_gemm(op),
        )
        for number, op in enumerate(ops)
    )


def total(numbers: Iterable[int | None]) -> int | None:
    """Return a sum; None where one of its numbers is not known.

    Example:
        >>> total([1, 2]), total([1, None]), total([])
        (3, None, 0)
    """
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)


def _biases(ops: Sequence[Op]) -> Mapping[int, list[Tensor]]:
    """Return the biases that an Add of their own brings, by the number of the operation before."""
    found: dict[int, list[Tensor]] = {}
    for op in ops:
        if op.type == "Add" and op.constants and op.source is not None:
            before, added = ops[op.source], op.constants[0]
            if kinds.is_weighted(before) and _is_bias(added.shape, before):
                found.setdefault(op.source, []).append(added)
    return found


def _is_bias(shape: Shape | None, op: Op) -> bool:
    """Return whether there is a number for each channel; one for all is part of an activation."""
    if shape is None:
        return True
    axis = 1 if kinds.of_word(op.type) == kinds.CONVOLUTION else -1
    channels = op.output[axis] if op.output and len(op.output) > 1 else None
    return bool(shape) and (channels is None or count(shape) == channels)


def _trained(op: Op) -> Sequence[Tensor]:
    return op.constants[: 2 if kinds.is_weighted(op) else _TRAINED.get(op.type, 0)]


def _parameters(tensors: Iterable[Tensor], seen: set[str]) -> int | None:
    """Count the numbers of tensors whose names are not in ``seen``, and add those."""
    numbers = []
    for tensor in tensors:
        if not tensor.name or tensor.name not in seen:
            numbers.append(count(tensor.shape))
            seen.add(tensor.name)
    return total(numbers)


def _multiply_adds(op: Op) -> int | None:
    kind = kinds.of_word(op.type)
    if op.type in _UNCOUNTED or kinds.is_foreign(op):
        return None
    if kind == kinds.CONNECTED:
        outputs, depth = count(op.output), _depth(op)
        return None if outputs is None or depth is None else outputs * depth
    if kind != kinds.CONVOLUTION:
        return 0
    weights = count(op.constants[0].shape) if kinds.is_weighted(op) else None
    places = _places(op)
    return None if weights is None or places is None else weights * places


def _places(op: Op) -> int | None:
    """Return how often a convolution uses each weight: the places of its maps, of every image."""
    shape = op.inputs[0].shape if kinds.is_transposed(op) else op.output
    return None if shape is None else count((*shape[:1], *shape[2:]))


def _depth(op: Op) -> int | None:
    """Return how many numbers one output of a matrix product is made of.

    Its operands may be turned (``transB``) and stand in either order, which is not seen here; so
    it is what makes ``(m, k)`` times ``(k, n)`` the product's ``(m, n)`` for their sizes.
    """
    shapes = [tensor.shape for tensor in _operands(op)]
    if len(shapes) != 2 or None in shapes or not op.output:
        return None
    if any(len(shape or ()) == 1 for shape in shapes):
        return next(size for shape in shapes for size in shape or () if len(shape or ()) == 1)
    first, second = (count((shape or ())[-2:]) for shape in shapes)
    rows, columns = op.output[-2:] if len(op.output) > 1 else (None, None)
    if not rows or not columns or not first or not second:
        return 0 if count(op.output) == 0 else None
    for one, other in ((first, second), (second, first)):
        if one * columns == other * rows and one % rows == 0:
            return one // rows
    return None


def _operands(op: Op) -> Sequence[Tensor]:
    if kinds.is_weighted(op):
        return (op.inputs[0], op.constants[0])
    return (*op.inputs, *op.constants)[:2]


def _part(shape: Shape | None, start: int) -> Shape | None:
    return None if shape is None else shape[start:]


def _memory_access_bytes(op: Op) -> int | None:
    if op.type in _FREE:
        return 0
    return total(tensor.size_bytes for tensor in (*op.inputs, *op.constants, *op.outputs))


def _gemm(op: Op) -> Gemm | None:
    weights = count(op.constants[0].shape) if kinds.is_weighted(op) else None
    if not weights:
        return None
    if kinds.of_word(op.type) == kinds.CONNECTED:
        return _gemm_of_product(op, weights)
    places = _places(op)
    if not places:
        return None
    shape = kinds.filters(op) or ()
    depth = count(shape[1:]) or 1
    own = weights // op.groups // depth
    if kinds.is_transposed(op):
        return Gemm(m=depth, n=places, k=own, groups=op.groups, is_gemm=False)
    same_map = _part(op.inputs[0].shape, 2) == _part(op.output, 2)
    one_image = places == count(_part(op.output, 2))
    plain = op.groups == 1 and all(size == 1 for size in shape[2:]) and same_map and one_image
    return Gemm(m=own, n=places, k=depth, groups=op.groups, is_gemm=plain)


def _gemm_of_product(op: Op, weights: int) -> Gemm | None:
    outputs, depth = count(op.output), _depth(op)
    matrix = count((op.constants[0].shape or ())[-2:])
    if not outputs or not depth or not matrix:
        return None
    own, groups = matrix // depth, weights // matrix
    return Gemm(m=own, n=outputs // own // groups, k=depth, groups=groups, is_gemm=True)
