"""What is known of a network's layers before anything is converted: weights, spectra, work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.graph import dac
from edgedeploy.graph.constants import array_of
from edgedeploy.graph.shapes import fix_size

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgedeploy.types import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A convolution that can be decomposed.

    Attributes:
        name: As users call it.
        shape: Of its weights: ``(out, in, *kernel)``.
        energies: ``(full rank,)`` float64: squared singular values, summed over input channels.
        positions: Of its output for one image; None while the size is not known.
    """

    name: str
    shape: tuple[int, ...]
    energies: Array
    positions: int | None

    @property
    def full_rank(self) -> int:
        """The rank at which nothing is lost."""
        return len(self.energies)

    @property
    def saving_rank(self) -> int:
        """The highest rank with fewer multiply-adds than the layer has; 0 where none has.

        Source:
            Li et al. 2018, section 3.2: the work changes by the factor r·(1/k² + 1/n).
        """
        out, _, *kernel = self.shape
        taps = math.prod(kernel)
        return min((out * taps - 1) // (out + taps), self.full_rank)

    def parameters(self, rank: int | None) -> int:
        """Return how many weights it has at a rank; None: as it is."""
        out, channels, *kernel = self.shape
        taps = math.prod(kernel)
        return out * channels * taps if rank is None else channels * rank * (taps + out)

    def multiply_adds(self, rank: int | None) -> int | None:
        """Return its work for one image at a rank; None while the size is not known."""
        return None if self.positions is None else self.positions * self.parameters(rank)

    def weight_error(self, rank: int | None) -> float:
        """Return what the weights lose, relative to themselves, in the Frobenius norm."""
        total = float(self.energies.sum())
        if rank is None or total == 0.0:
            return 0.0
        return math.sqrt(float(self.energies[rank:].sum()) / total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A model's layers.

    Attributes:
        layers: Those that can be decomposed, in graph order.
        convolutions: How many convolutions there are in all.
        pointwise: How many of them are 1×1.
        grouped: How many of them have several groups, as depthwise ones.
        multiply_adds: Of all convolutions and matrix products for one image; None while the size
            is not known.
    """

    layers: tuple[Layer, ...]
    convolutions: int
    pointwise: int
    grouped: int
    multiply_adds: int | None


def survey(model: ir.Model, side: tuple[int, int] | None) -> Network:
    """Describe a model's layers; it stays as it is.

    Args:
        model: Float.
        side: Height and width in pixels; None where they are not known.

    Raises:
        UsageError: The model has another size.
        BuildError: The shapes do not fit each other at that size.
    """
    sized = model.clone()
    fix_size(sized, side)
    convolutions = [node for node in sized.graph if node.op_type == "Conv"]
    grouped = [node for node in convolutions if node.attributes.get_int("group", 1) != 1]
    return Network(
        layers=tuple(_layer(name, node) for name, node in dac.convertible(sized).items()),
        convolutions=len(convolutions),
        pointwise=sum(node not in grouped and _taps(node) == 1 for node in convolutions),
        grouped=len(grouped),
        multiply_adds=_total(sized),
    )


def _taps(node: ir.Node) -> int | None:
    weight = node.inputs[1]
    return None if weight is None else _count(weight, start=2)


def _layer(name: str, node: ir.Node) -> Layer:
    weight = dac.weight_of(node)
    return Layer(
        name=name,
        shape=weight.shape,
        energies=np.square(dac.spectra(weight)).sum(axis=0),
        positions=_count(node.outputs[0], start=2),
    )


def _total(model: ir.Model) -> int | None:
    """Return the work of all layers with weights for one image, biases left out."""
    total = 0
    for node in model.graph:
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        work = _work(node)
        if work is None:
            return None
        total += work
    return total


def _work(node: ir.Node) -> int | None:
    """Return the multiply-adds of one node: outputs times what each of them sums up."""
    data, other = node.inputs[0], node.inputs[1]
    if data is None or other is None or other.shape is None:
        return None
    if node.op_type == "ConvTranspose":
        return _product(_count(data, start=1), _count(other, start=1))
    if node.op_type == "Conv":
        return _product(_count(node.outputs[0], start=1), _count(other, start=1))
    transposed = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    summed = other.shape[-1 if transposed else -2 if len(other.shape) > 1 else 0]
    return _product(_count(node.outputs[0], start=1), summed if isinstance(summed, int) else None)


def _product(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first * second


def _count(value: ir.Value, *, start: int) -> int | None:
    """Return how many numbers a tensor has from one axis on; None where a length is not known."""
    array = array_of(value)
    sides = value.shape if array is None else array.shape
    if sides is None:
        return None
    known = [side for side in list(sides)[start:] if isinstance(side, int)]
    return math.prod(known) if len(known) == len(sides) - start else None
