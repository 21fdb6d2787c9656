"""MobileNetV2's rows: inverted residuals, linear bottlenecks (Sandler et al. 2018, table 2)."""

from __future__ import annotations

from edgedeploy.types import Family
from edgedeploy.zoo.rows import Kind, Network, Row, Style

# (expansion t, channels c, repeats n, stride s of the first repeat)
_STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Round to the nearest multiple of ``divisor``, never below 90 % of ``channels``.

    Source:
        TF-Slim, nets/mobilenet/mobilenet.py, ``_make_divisible``.

    Example:
        >>> make_divisible(16 * 0.35)
        8
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def network(alpha: float, classes: int, style: Style) -> Network:
    """Return the V2 network of width ``alpha``."""
    rows: list[Row] = []

    def add(name: str, kind: Kind, channels: tuple[int, int], stride: int, **extra: str) -> None:
        linear = name.endswith("/project")
        rows.append(
            Row(
                name=name,
                kind=kind,
                in_channels=channels[0],
                out_channels=channels[1],
                kernel=1 if kind is Kind.POINTWISE else 3,
                stride=stride,
                activation=None if linear else style.activation,
                padding=style.padding_of(name),
                eps=style.eps,
                **extra,
            )
        )

    channels = make_divisible(32 * alpha)
    add("stem", Kind.STANDARD, (3, channels), 2)
    block = 0
    for expansion, stage_channels, repeats, first_stride in _STAGES:
        out = make_divisible(stage_channels * alpha)
        for repeat in range(repeats):
            block += 1
            stride = first_stride if repeat == 0 else 1
            name = f"block_{block:02}"
            before = rows[-1].name
            wide = channels * expansion
            if expansion > 1:
                add(f"{name}/expand", Kind.POINTWISE, (channels, wide), 1)
            add(f"{name}/depthwise", Kind.DEPTHWISE, (wide, wide), stride)
            skip = {"adds": before} if stride == 1 and channels == out else {}
            add(f"{name}/project", Kind.POINTWISE, (wide, out), 1, **skip)
            channels = out
    add("head", Kind.POINTWISE, (channels, make_divisible(1280 * max(1.0, alpha))), 1)
    return Network(
        family=Family.MOBILENET_V2, alpha=alpha, classes=classes, style=style, rows=tuple(rows)
    )
