"""What is known of a network's layers before anything is converted: weights, spectra, work."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from edgedeploy.errors import FileError
from edgedeploy.graph import cost, dac, operations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.graph.cost import Cost
    from edgedeploy.graph.operations import Shape
    from edgedeploy.types import Array


_LOSSLESS = 1e-3
"""A relative error of weights that counts as none: below it there is only rounding."""


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

    def loses_nothing(self, rank: int | None) -> bool:
        """Return whether the weights are of this rank, but for rounding."""
        return self.weight_error(rank) <= _LOSSLESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A model's layers.

    Attributes:
        layers: Those that can be decomposed, in graph order.
        convolutions: How many convolutions there are in all.
        pointwise: How many of them are 1×1.
        grouped: How many of them have several groups, as depthwise ones.
        others: Why others cannot be decomposed, e.g. ``"have bfloat16 weights"``, and how many.
        multiply_adds: Of all convolutions and matrix products for one image; None while the size
            is not known.
    """

    layers: tuple[Layer, ...]
    convolutions: int
    pointwise: int
    grouped: int
    multiply_adds: int | None
    others: Mapping[str, int] = field(default_factory=dict)

    def left_alone(self) -> str:
        """Return how many convolutions cannot be decomposed, and why.

        Example:
            >>> Network(
            ...     layers=(), convolutions=3, pointwise=1, grouped=2, multiply_adds=None
            ... ).left_alone()
            'of its 3 convolutions 1 are 1×1 and 2 are depthwise or grouped'
        """
        more = "".join(f", {count} {why}" for why, count in self.others.items())
        return (
            f"of its {self.convolutions} convolutions {self.pointwise} are 1×1 and "
            f"{self.grouped} are depthwise or grouped{more}"
        )


def survey(model: ir.Model, side: tuple[int, int] | None) -> Network:
    """Describe a model's layers; it stays as it is.

    Args:
        model: Float.
        side: Height and width in pixels; None where they are not known.

    Raises:
        FileError: The shapes do not fit each other at that size, or weights cannot be decomposed.
    """
    costs = () if side is None else _costs(model, side)
    maps = {name: each.op.output for each in costs for name in each.op.names[1:]}  # no node's
    convolutions = [node for node in model.graph if node.op_type == "Conv"]
    grouped = [node for node in convolutions if node.attributes.get_int("group", 1) != 1]
    pointwise = [node for node in convolutions if node not in grouped and _is_pointwise(node)]
    found = dac.convertible(model)
    others = [n for n in convolutions if n not in (*grouped, *pointwise, *found.values())]
    return Network(
        layers=tuple(
            _layer(name, node, maps.get(node.outputs[0].name or "")) for name, node in found.items()
        ),
        convolutions=len(convolutions),
        pointwise=len(pointwise),
        grouped=len(grouped),
        multiply_adds=None if side is None else cost.total(each.multiply_adds for each in costs),
        others=Counter(_obstacle(node) for node in others),
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
    if weight.size == 0 or not np.isfinite(weight).all():
        what = f"of shape {weight.shape}" if weight.size == 0 else "that are not finite"
        raise FileError(
            f"the layer {name} has weights {what}",
            fix="export the model again, of a training that went well",
        )
    return Layer(
        name=name,
        shape=weight.shape,
        energies=np.square(dac.spectra(weight)).sum(axis=0),
        positions=None if output is None else operations.count((*output[:1], *output[2:])),
    )


def _obstacle(node: ir.Node) -> str:
    """Return why a convolution of one group that is no 1×1 cannot be decomposed."""
    weight = dac.stored_weight(node)
    if weight is None:
        return "have weights that depend on the input"
    if weight.dtype.kind != "f":
        return f"have {weight.dtype} weights"
    return "have a constant input, or a kernel of size 0"


def _is_pointwise(node: ir.Node) -> bool:
    value = node.inputs[1]
    array = dac.stored_weight(node)
    shape = array.shape if array is not None else (value and value.shape) or ()
    return len(shape) > 2 and all(side == 1 for side in list(shape)[2:])
