"""Lines of points as an SVG that stands alone: white paper, the report's colours and shapes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from edgedeploy.reporting import palette, vega

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FONT = 'font-family="Arial, sans-serif" font-size="12px"'  # in a report the style sheet says it
_VARIABLE = re.compile(r"var\(--([a-z0-9-]+)\)")


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str,
    y: str,
    alt: str,
    x_format: str = "~g",
) -> str:
    """Draw one line of points a series.

    Args:
        series: Points (x, y) by name.
        x: Title of the axis across.
        y: Title of the axis upwards, of shares.
        alt: What the drawing shows, in words.
        x_format: Of the numbers across.
    """
    rows = [
        {"series": name, "x": across, "y": up}
        for name, points in series.items()
        for across, up in points
    ]
    marks = [palette.series(number) for number in range(len(series))]
    names = {"domain": list(series)}
    legend = {"title": None, "symbolType": "circle", "columns": 2}
    spec: dict[str, Any] = {
        "data": {"values": rows},
        "width": 560,
        "height": 300,
        "background": palette.LIGHT["paper"],
        "mark": {"type": "line", "point": {"size": 60, "filled": True}},
        "encoding": {
            "x": {
                "field": "x",
                "type": "quantitative",
                "axis": vega.axis(x, format=x_format),
                "scale": {"zero": False},
            },
            "y": {"field": "y", "type": "quantitative", "axis": vega.axis(y, format=".0%")},
            "color": {
                "field": "series",
                "type": "nominal",
                "scale": {**names, "range": [colour for colour, _ in marks]},
                "legend": legend,
            },
            "shape": {
                "field": "series",
                "type": "nominal",
                "scale": {**names, "range": [shape for _, shape in marks]},
                "legend": {**legend, "symbolType": "circle"},
            },
        },
    }
    drawn = vega.draw(spec, alt=alt).replace("<svg ", f"<svg {_FONT} ", 1)
    return _VARIABLE.sub(lambda found: palette.LIGHT[found[1]], drawn) + "\n"
