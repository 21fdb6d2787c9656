"""Speeds beside their baselines as an SVG that stands alone: white paper, the report's colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shipped import plots

from edgedeploy.reporting import palette, vega

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def panels(panels_of: Mapping[str, Sequence[tuple[str, str, float]]], *, alt: str) -> str:
    """Draw a panel an experiment, a line of points a series.

    Args:
        panels_of: By title: points (setting, series, share of the baseline's speed).
        alt: What the drawing shows, in words.
    """
    names = list(dict.fromkeys(name for points in panels_of.values() for _, name, _ in points))
    marks = [palette.series(number) for number in range(len(names))]
    highest = max(share for points in panels_of.values() for _, _, share in points)
    spec: dict[str, Any] = {
        "columns": 2,
        "concat": [
            _panel(title, points, names, marks, highest) for title, points in panels_of.items()
        ],
    }
    return plots.on_white(spec, alt=alt)


def _panel(
    title: str,
    points: Sequence[tuple[str, str, float]],
    names: list[str],
    marks: list[tuple[str, str]],
    highest: float,
) -> dict[str, Any]:
    order = list(dict.fromkeys(setting for setting, _, _ in points))
    return {
        "title": {"text": title, "fontSize": 12, "fontWeight": "normal", "anchor": "start"},
        "width": 300,
        "height": 160,
        "data": {"values": [{"x": setting, "series": name, "y": y} for setting, name, y in points]},
        "mark": {"type": "line", "point": {"size": 60, "filled": True}},
        "encoding": {
            "x": {
                "field": "x",
                "type": "nominal",
                "sort": order,
                "axis": vega.axis(
                    "", labelAngle=0, labelOverlap=False, labelExpr="split(datum.label, ' ')"
                ),
            },
            "y": {
                "field": "y",
                "type": "quantitative",
                "axis": vega.axis("beside the baseline", format=".0%"),
                "scale": {"domain": [0, highest * 1.05], "nice": False},
            },
            "color": _told_by(names, [colour for colour, _ in marks]),
            "shape": _told_by(names, [shape for _, shape in marks]),
        },
    }


def _told_by(names: list[str], marks: list[str]) -> dict[str, Any]:
    return {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": names, "range": marks},
        "legend": {"title": None, "symbolType": "circle", "columns": 4},
    }
