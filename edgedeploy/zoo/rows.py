"""A network as a list of convolution rows: what every reader of the zoo works from."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgedeploy.types import Family


class Kind(enum.Enum):
    """What a convolution mixes."""

    STANDARD = "standard"
    DEPTHWISE = "depthwise"
    POINTWISE = "pointwise"


class Activation(enum.Enum):
    """The non-linearity behind a convolution's batch norm."""

    RELU = "relu"
    RELU6 = "relu6"


class Padding(enum.Enum):
    """Where a convolution's border zeros go."""

    SYMMETRIC = "symmetric"
    """``kernel // 2`` on every side (PyTorch)."""
    SAME = "same"
    """As many as the map's parity needs, the odd one at the bottom and right (TensorFlow)."""
    BOTTOM_RIGHT = "bottom_right"
    """At stride 2 one row and column at the bottom and right, then VALID (Keras V1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a published set of weights was made; not part of its tensors, yet it decides accuracy.

    Attributes:
        activation: Behind every convolution that has one.
        padding: Of every convolution, but see ``stem_padding``.
        eps: Batch norm's epsilon: 1e-5 in PyTorch, 1e-3 in Keras and TensorFlow.
        stem_padding: Of the first convolution where it differs (Keras V1 pads its stem SAME and
            the rest BOTTOM_RIGHT, which shows on odd sides only); None means ``padding``.
    """

    activation: Activation
    padding: Padding
    eps: float
    stem_padding: Padding | None = None

    def padding_of(self, row: str) -> Padding:
        """Return the padding of the row called ``row``."""
        return self.stem_padding or self.padding if row == "stem" else self.padding


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One convolution with its batch norm, activation and skip connection.

    Attributes:
        name: Path-like and stable, e.g. ``block_03/depthwise``: weights and ONNX tensors use it.
        kind: Standard, depthwise or pointwise.
        in_channels: Channels read.
        out_channels: Channels written.
        kernel: Side of the square kernel.
        stride: Step in both directions.
        activation: None for a linear bottleneck.
        padding: Where the border zeros go.
        eps: Batch norm's epsilon.
        adds: Name of the row whose output is added to this row's, or None.
    """

    name: str
    kind: Kind
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    activation: Activation | None
    padding: Padding
    eps: float
    adds: str | None = None

    @property
    def groups(self) -> int:
        """Convolution groups."""
        return self.in_channels if self.kind is Kind.DEPTHWISE else 1

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of the kernel, ``(out, in / groups, kernel, kernel)``."""
        return (self.out_channels, self.in_channels // self.groups, self.kernel, self.kernel)

    def pads(self, side: int) -> tuple[int, int]:
        """Return the zeros (before, after) each axis of a map that is ``side`` pixels long.

        Source:
            SAME: TensorFlow, "Neural Network: Notes on padding".
            BOTTOM_RIGHT: Keras applications, mobilenet.py, ``ZeroPadding2D(((0, 1), (0, 1)))``.
        """
        if self.padding is Padding.SYMMETRIC:
            return (self.kernel // 2, self.kernel // 2)
        if self.padding is Padding.BOTTOM_RIGHT and self.stride == 2 and self.kernel > 1:
            return (0, 1)
        total = max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0)
        return (total // 2, total - total // 2)

    def out_side(self, side: int) -> int:
        """Return the side of the output map for an input map of ``side`` pixels."""
        return (side + sum(self.pads(side)) - self.kernel) // self.stride + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Rows, then global average pooling and a fully connected classifier with a bias.

    Attributes:
        family: Which line of networks.
        alpha: Width multiplier.
        classes: Outputs of the classifier.
        style: Activation, padding and epsilon of the weights this network is for.
        rows: Convolutions in the order they run.
    """

    family: Family
    alpha: float
    classes: int
    style: Style
    rows: tuple[Row, ...]

    @property
    def features(self) -> int:
        """Channels that the classifier reads."""
        return self.rows[-1].out_channels

    def sides(self, resolution: int) -> tuple[int, ...]:
        """Return the side of the map that each row reads, for a square input, row by row."""
        sides = [resolution]
        for row in self.rows:
            sides.append(row.out_side(sides[-1]))
        return tuple(sides[:-1])

    def parameters(self) -> int:
        """Count trained numbers: kernels, batch norm's scale and shift, the classifier."""
        convolutions = sum(
            out * per_group * height * width + 2 * out
            for out, per_group, height, width in (row.weight_shape for row in self.rows)
        )
        return convolutions + (self.features + 1) * self.classes

    def multiply_adds(self, resolution: int) -> int:
        """Count the multiply-adds of one image: convolutions and classifier, without biases."""
        total = self.features * self.classes
        for row, side in zip(self.rows, self.sides(resolution), strict=True):
            out, per_group, height, width = row.weight_shape
            total += out * per_group * height * width * row.out_side(side) ** 2
        return total
