"""What the kernels of one layer read: the mean and the second moments of their inputs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.graph.constants import array_of
from edgedeploy.graph.placement import output_axis

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgedeploy.types import Array

# of each column of a layer's moments: an error of some 4 % in the worst direction
_SAMPLES, _SAMPLES_PER_COLUMN = 2048, 24


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a layer's kernels lie on its input.

    Attributes:
        name: Of the layer's output; it seeds the choice of positions.
        groups: Of a convolution, else 1.
        kernel: Height and width; ``(1, 1)`` for a matrix product.
        strides: Down and to the right.
        pads: Top, left, bottom, right.
        dilations: Down and to the right.
    """

    name: str
    groups: int = 1
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """Return the output's height and width for a padded input's."""
        sides = zip((height, width), self.kernel, self.strides, self.dilations, strict=True)
        rows, columns = ((n - (k - 1) * d - 1) // s + 1 for n, k, s, d in sides)
        return rows, columns


def geometry_of(node: ir.Node) -> Geometry | None:
    """Return where a weighted node's kernels lie; None where that is not known."""
    name = node.outputs[0].name or ""
    if node.op_type != "Conv":
        return Geometry(name)
    if node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
        return None
    kernel = np.asarray(array_of(node.inputs[1])).shape[2:]
    if len(kernel) != 2:
        return None
    top, left, bottom, right = node.attributes.get_ints("pads", [0] * 4)
    down, along = node.attributes.get_ints("strides", [1] * 2)
    rows, columns = node.attributes.get_ints("dilations", [1] * 2)
    return Geometry(
        name=name,
        groups=node.attributes.get_int("group", 1),
        kernel=(kernel[0], kernel[1]),
        strides=(down, along),
        pads=(top, left, bottom, right),
        dilations=(rows, columns),
    )


def by_group(weight: Array, node: ir.Node, groups: int) -> Array:
    """Return weights as ``(groups, rows, columns)``: a row an output channel."""
    rows = np.moveaxis(weight, output_axis(node), 0)
    return rows.reshape(groups, len(rows) // groups, -1)


def from_groups(rows: Array, node: ir.Node, shape: tuple[int, ...]) -> Array:
    """Undo `by_group`."""
    axis = output_axis(node)
    moved = (shape[axis], *shape[:axis], *shape[axis + 1 :])
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), 0, axis))


def mean_input(codes: Array, geometry: Geometry, zero: int) -> Array:
    """Return the mean of what every weight meets, in steps of the input's scale.

    Args:
        codes: ``(N, C, H, W)`` or ``(N, C)`` integers, or floats of scale 1.
        geometry: Of the layer.
        zero: What stands for 0, and for padding.

    Returns:
        ``(groups, columns)`` float64.
    """
    if codes.ndim != 4:
        flat: Array = codes.mean(axis=0, dtype=np.float64)[None] - zero
        return flat
    wide = np.float64 if codes.dtype.kind == "f" else np.int32
    total = codes.sum(axis=0, dtype=wide) - zero * len(codes)
    top, left, bottom, right = geometry.pads
    padded = np.pad(total, ((0, 0), (top, bottom), (left, right)))
    size = geometry.positions(*padded.shape[1:])
    taps = [window.mean(axis=(1, 2)) for window in _windows(padded, geometry, size)]
    mean = np.stack(taps, axis=1) / len(codes)  # (C, taps)
    return mean.reshape(geometry.groups, -1)


def centred_moments(codes: Array, geometry: Geometry, zero: int) -> Array:
    """Return the second moments of a layer's inputs about their mean, in steps of their scale.

    They are of a sample of the positions, the same in every picture, that the layer's name draws.

    Args:
        codes: ``(N, C, H, W)`` or ``(N, C)`` integers.
        geometry: Of the layer.
        zero: The integer that stands for padding.

    Returns:
        ``(groups, columns, columns)`` float64.
    """
    is_matrix = codes.ndim != 4
    sample = codes.T[None].astype(np.float32) if is_matrix else _sample(codes, geometry, zero)
    sample -= sample.mean(axis=2, keepdims=True)
    moments: Array = (sample @ sample.transpose(0, 2, 1)).astype(np.float64) / sample.shape[2]
    return moments


def _sample(codes: Array, geometry: Geometry, zero: int) -> Array:
    """Gather ``(groups, columns, samples)`` float32."""
    pictures, channels, height, width = codes.shape
    taps = geometry.kernel[0] * geometry.kernel[1]
    wanted = _SAMPLES + _SAMPLES_PER_COLUMN * taps * channels // geometry.groups
    top, left, bottom, right = geometry.pads
    rows, columns = geometry.positions(height + top + bottom, width + left + right)
    count = min(-(-wanted // pictures), rows * columns)
    draw = np.random.default_rng(zlib.crc32(geometry.name.encode()))
    chosen = np.sort(draw.choice(rows * columns, count, replace=False))
    down, along = geometry.strides
    gathered = np.empty((channels, taps, pictures, count), np.float32)
    for tap, (y, x) in enumerate(_offsets(geometry)):
        row = chosen // columns * down + y - top
        column = chosen % columns * along + x - left
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        met = codes[:, :, row.clip(0, height - 1), column.clip(0, width - 1)].transpose(1, 0, 2)
        gathered[:, tap] = np.where(inside, met, zero)
    return gathered.reshape(geometry.groups, -1, pictures * count)


def _windows(padded: Array, geometry: Geometry, size: tuple[int, int]) -> list[Array]:
    """Return, tap by tap, the view of the values that the tap meets."""
    (down, along), (rows, columns) = geometry.strides, size
    bottom, right = down * (rows - 1) + 1, along * (columns - 1) + 1
    return [padded[:, y : y + bottom : down, x : x + right : along] for y, x in _offsets(geometry)]


def _offsets(geometry: Geometry) -> list[tuple[int, int]]:
    (height, width), (rows, columns) = geometry.kernel, geometry.dilations
    return [(y * rows, x * columns) for y in range(height) for x in range(width)]
