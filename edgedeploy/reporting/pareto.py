"""Accuracy against tail latency, and which runs no other beats in both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgedeploy.reporting import palette, vega
from edgedeploy.reporting.figures import Cell, DataTable, Figure, number
from edgedeploy.reporting.settings import group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.reporting.settings import Setting
    from edgedeploy.reporting.vega import Spec

_SIZES = (70, 420)  # areas of the smallest and the largest of few points, in square pixels
_FEW = 40
_HOLLOW = "hollow: p90, because there are too few samples for p99"
_DASHED = "dashed: the verdict is not 'measured', its reasons stand below"


def chart(records: Sequence[ProfileRecord], setting: Setting) -> Figure | None:
    """Draw top-1 accuracy against p99 latency; None where no record has both.

    A point is large for much energy, or for much memory where not all points have an energy. The
    line joins those that no other point beats in both.

    Args:
        records: Of one setting.
        setting: Theirs.
    """
    points = [point for record in records if (point := _point(record)) is not None]
    if not points:
        return None
    points.sort(key=lambda point: (point["ms"], -point["top1"]))
    size = _sized(points)
    front = _mark_front(points)
    groups = sorted({str(point["group"]) for point in points})
    left_out = len(records) - len(points)
    notes = [
        "Better is up and to the left; the line joins the runs that no other beats in both.",
        f"A larger point: more {size}." if size else "No run tells its energy or memory.",
        f"Points: {_HOLLOW}." if any(point["share"] == "p90" for point in points) else "",
        f"Outlines: {_DASHED}." if any(point["level"] != "measured" for point in points) else "",
        f"Not drawn: {left_out} without an accuracy or with too few samples." if left_out else "",
    ]
    alt = (
        f"Scatter of {len(points)} runs: top-1 accuracy against tail latency. "
        f"{len(front)} of them are best for their latency; the fastest of these takes "
        f"{number(front[0]['ms'])} ms for {front[0]['top1']:.1%}, the most accurate "
        f"{number(front[-1]['ms'])} ms for {front[-1]['top1']:.1%}."
    )
    return Figure(
        title=f"Accuracy against latency: {setting.words}",
        alt=alt,
        caption=" ".join(note for note in notes if note),
        svg=vega.draw(_spec(points, front, groups), alt=alt),
        table=_table(points, setting),
        wide=True,
    )


def _point(record: ProfileRecord) -> dict[str, Any] | None:
    document = record.document
    top1 = (document["accuracy"] or {}).get("top1")
    latency = document["latency_ms"]
    share = "p99" if latency["p99"] is not None else "p90"
    if top1 is None or latency[share] is None:
        return None
    variant = document["variant"]
    name = record.model if variant is None else f"α {variant['alpha']:g} ρ {variant['rho']:.2g}"
    return {
        "ms": latency[share],
        "share": share,
        "top1": top1,
        "group": group(record),
        "name": name,
        "model": record.model,
        "energy": document["energy_mj_per_inference"],
        "memory": document["memory_mb"]["peak_rss"],
        "level": record.level,
    }


def _sized(points: Sequence[dict[str, Any]]) -> str:
    """Give each point an area; return what it stands for, ``""`` where nothing is known."""
    for key, words in (("energy", "energy per inference"), ("memory", "peak memory")):
        values = [point[key] for point in points]
        if all(value is not None for value in values):
            least, most = min(values), max(values)
            smallest, largest = _SIZES if len(points) <= _FEW else (_SIZES[0] / 2, _SIZES[1] / 2)
            for point, value in zip(points, values, strict=True):
                share = (value - least) / (most - least) if most > least else 0.5
                point["area"] = smallest + (largest - smallest) * share
            return words
    for point in points:
        point["area"] = _SIZES[0]
    return ""


def _mark_front(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark and return the points that no other beats; ``points`` are sorted by latency."""
    best = -1.0
    front = []
    for point in points:
        point["front"] = point["top1"] > best
        if point["front"]:
            front.append(point)
            best = point["top1"]
    return front


def _spec(
    points: Sequence[dict[str, Any]], front: Sequence[dict[str, Any]], groups: Sequence[str]
) -> Spec:
    looks = [palette.series(index) for index in range(len(groups))]
    shown = ("ms", "top1", "group", "name", "area", "share", "level")
    values = [{key: point[key] for key in shown} for point in points]
    colour = {
        "field": "group",
        "scale": {"domain": groups, "range": [look[0] for look in looks]},
        "title": None,
        "legend": {"columns": 2},
    }
    shape = {
        **colour,
        "scale": {"domain": groups, "range": [look[1] for look in looks]},
    }
    filled = {"test": "datum.share === 'p99'", "value": 0.55}
    dashed = {"test": "datum.level !== 'measured'", "value": [2.5, 2]}
    return {
        "width": 760,
        "height": 360,
        "encoding": {
            "x": vega.milliseconds("ms", "p99 latency, ms", points[0]["ms"], points[-1]["ms"]),
            "y": {
                "field": "top1",
                "type": "quantitative",
                "scale": {"zero": False, "padding": 14},
                "axis": vega.axis("top-1 accuracy", format=".1%"),
            },
        },
        "layer": [
            {
                "data": {
                    "values": [{key: point[key] for key in ("ms", "top1")} for point in front]
                },
                "mark": {
                    "type": "line",
                    "interpolate": "step-after",
                    "color": palette.variable("quiet"),
                    "strokeDash": [4, 3],
                    "strokeWidth": 1.5,
                },
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": False, "strokeWidth": 1.8},
                "encoding": {
                    "stroke": colour,
                    "fill": {**colour, "legend": None},
                    "shape": shape,
                    "size": {"field": "area", "type": "quantitative", "scale": None},
                    "fillOpacity": {"condition": filled, "value": 0},
                    "strokeDash": {"condition": dashed, "value": [1, 0]},
                },
            },
            {
                "data": {
                    "values": [{key: point[key] for key in shown} for point in _labelled(front)]
                },
                "mark": {"type": "text", "align": "left", "dx": 4, "dy": -14, "fontSize": 11},
                "encoding": {"text": {"field": "name"}},
            },
        ],
    }


def _labelled(front: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the points whose names have room beside that of the one before."""
    width = math.log(max(front[-1]["ms"], 1e-9) / max(front[0]["ms"], 1e-9)) or 1.0
    height = front[-1]["top1"] - front[0]["top1"] or 1.0
    kept = [front[0]]
    for point in front[1:]:
        right = math.log(max(point["ms"], 1e-9) / max(kept[-1]["ms"], 1e-9)) / width
        above = (point["top1"] - kept[-1]["top1"]) / height
        if right > 0.12 or above > 0.06:
            kept.append(point)
    return kept


def _table(points: Sequence[dict[str, Any]], setting: Setting) -> DataTable:
    rows: list[tuple[Cell, ...]] = [
        (
            point["model"],
            point["group"],
            f"{point['top1']:.2%}",
            number(point["ms"]),
            point["share"],
            number(point["energy"]),
            number(point["memory"]),
            "yes" if point["front"] else "no",
            point["level"],
        )
        for point in points
    ]
    head = ("model", "backend and precision", "top-1", "latency ms", "percentile")
    return DataTable(
        caption=f"Runs by latency, {setting.words}",
        head=(*head, "energy mJ", "peak RSS MB", "best for its latency", "verdict"),
        rows=tuple(rows),
    )
