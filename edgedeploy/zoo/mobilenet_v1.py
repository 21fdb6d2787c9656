"""MobileNetV1's rows: 13 depthwise-separable blocks (Howard et al. 2017, table 1).

And those of the two networks that the paper compares it with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.types import Family
from edgedeploy.zoo.rows import Kind, Network, Row, Style

if TYPE_CHECKING:
    from collections.abc import Sequence

# (channels out, stride) of each block; the table prints stride 2 for the last one, but its own
# map sizes and every published set of weights have stride 1 there.
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
_ALIKE = (512, 1)  # the five blocks of 14x14x512, of which the shallow network has none


def width(channels: int, alpha: float) -> int:
    """Return ``channels`` thinned by α: int(c·α), at least 8 (TF-Slim, mobilenet_v1.py)."""
    return max(int(channels * alpha), 8)


def network(alpha: float, classes: int, style: Style) -> Network:
    """Return the V1 network of width ``alpha``."""
    rows = _rows(_BLOCKS, alpha, style)
    return Network(
        family=Family.MOBILENET_V1, alpha=alpha, classes=classes, style=style, rows=tuple(rows)
    )


def shallow(alpha: float, classes: int, style: Style) -> Network:
    """Return V1 without its five blocks of one size (paper, section 4.1 and table 5)."""
    rows = _rows([block for block in _BLOCKS if block != _ALIKE], alpha, style)
    return Network(
        family=Family.MOBILENET_V1_SHALLOW,
        alpha=alpha,
        classes=classes,
        style=style,
        rows=tuple(rows),
    )


def full(alpha: float, classes: int, style: Style) -> Network:
    """Return V1 with full convolutions: one row ``block_01/full`` a block (paper, table 4)."""
    rows = [_row("stem", Kind.STANDARD, (3, width(32, alpha)), 2, style)]
    for number, (out, stride) in enumerate(_BLOCKS, start=1):
        channels = (rows[-1].out_channels, width(out, alpha))
        rows.append(_row(f"block_{number:02}/full", Kind.STANDARD, channels, stride, style))
    return Network(
        family=Family.MOBILENET_V1_FULL,
        alpha=alpha,
        classes=classes,
        style=style,
        rows=tuple(rows),
    )


def _rows(blocks: Sequence[tuple[int, int]], alpha: float, style: Style) -> list[Row]:
    """Return the stem and two rows a block."""
    channels = width(32, alpha)
    rows = [_row("stem", Kind.STANDARD, (3, channels), 2, style)]
    for number, (out, stride) in enumerate(blocks, start=1):
        block, wider = f"block_{number:02}", width(out, alpha)
        rows += [
            _row(f"{block}/depthwise", Kind.DEPTHWISE, (channels, channels), stride, style),
            _row(f"{block}/pointwise", Kind.POINTWISE, (channels, wider), 1, style),
        ]
        channels = wider
    return rows


def _row(name: str, kind: Kind, channels: tuple[int, int], stride: int, style: Style) -> Row:
    channels_in, channels_out = channels
    return Row(
        name=name,
        kind=kind,
        in_channels=channels_in,
        out_channels=channels_out,
        kernel=1 if kind is Kind.POINTWISE else 3,
        stride=stride,
        activation=style.activation,
        padding=style.padding_of(name),
        eps=style.eps,
    )
