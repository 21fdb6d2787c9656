"""MobileNetV1's rows: 13 depthwise-separable blocks (Howard et al. 2017, table 1)."""

from __future__ import annotations

from edgedeploy.types import Family
from edgedeploy.zoo.rows import Kind, Network, Row, Style

# (channels out, stride) of each block; the table prints stride 2 for the last one, but its own
# map sizes and every published set of weights have stride 1 there.
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip


def width(channels: int, alpha: float) -> int:
    """Return ``channels`` thinned by α: int(c·α), at least 8 (TF-Slim, mobilenet_v1.py)."""
    return max(int(channels * alpha), 8)


def network(alpha: float, classes: int, style: Style) -> Network:
    """Return the V1 network of width ``alpha``."""
    rows = []

    def add(name: str, kind: Kind, channels_in: int, channels_out: int, stride: int) -> None:
        rows.append(
            Row(
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
        )

    channels = width(32, alpha)
    add("stem", Kind.STANDARD, 3, channels, 2)
    for number, (out, stride) in enumerate(_BLOCKS, start=1):
        add(f"block_{number:02}/depthwise", Kind.DEPTHWISE, channels, channels, stride)
        add(f"block_{number:02}/pointwise", Kind.POINTWISE, channels, width(out, alpha), 1)
        channels = width(out, alpha)
    return Network(
        family=Family.MOBILENET_V1, alpha=alpha, classes=classes, style=style, rows=tuple(rows)
    )
