"""Lines of points as an SVG that stands alone: white paper, the report's colours and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shipped import plots

from edgedeploy.reporting import palette, vega

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
    return plots.on_white(spec, alt=alt)
