"""What is known of a network's layers before anything is converted: weights, spectra, work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from edgedeploy.errors import FileError
from edgedeploy.graph import cost, dac, operations
from edgedeploy.graph.constants import array_of

if TYPE_CHECKING:
    from edgedeploy.graph.cost import Cost
    from edgedeploy.graph.operations import Shape
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
        FileError: The shapes do not fit each other at that size.
    """
    costs = () if side is None else _costs(model, side)
    maps = {name: each.op.output for each in costs for name in each.op.names}
    convolutions = [node for node in model.graph if node.op_type == "Conv"]
    grouped = [node for node in convolutions if node.attributes.get_int("group", 1) != 1]
    return Network(
        layers=tuple(
            _layer(name, node, maps.get(node.outputs[0].name or ""))
            for name, node in dac.convertible(model).items()
        ),
        convolutions=len(convolutions),
        pointwise=sum(node not in grouped and _is_pointwise(node) for node in convolutions),
        grouped=len(grouped),
        multiply_adds=None if side is None else cost.total(each.multiply_adds for each in costs),
    )


def _costs(model: ir.Model, side: tuple[int, int]) -> tuple[Cost, ...]:
    try:
        ops = operations.from_onnx(ir.serde.serialize_model(model), (1, 3, *side))
    except (ValueError, RuntimeError) as error:
        raise FileError(
            f"the shapes of the model cannot be inferred at {side[0]}x{side[1]}: "
            f"{str(error).strip().splitlines()[0]}",
            fix="pass the size that the model was made for: --resolution R",
        ) from error
    return cost.of(ops)


def _layer(name: str, node: ir.Node, output: Shape | None) -> Layer:
    weight = dac.weight_of(node)
    return Layer(
        name=name,
        shape=weight.shape,
        energies=np.square(dac.spectra(weight)).sum(axis=0),
        positions=None if output is None else operations.count(output[2:]),
    )


def _is_pointwise(node: ir.Node) -> bool:
    value = node.inputs[1]
    array = array_of(value)
    shape = array.shape if array is not None else (value and value.shape) or ()
    return len(shape) > 2 and all(side == 1 for side in list(shape)[2:])
