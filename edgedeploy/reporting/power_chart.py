"""The power of one run, with the timed window in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.reporting import envelopes, palette, vega
from edgedeploy.reporting.figures import Figure, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.reporting.envelopes import Bucket
    from edgedeploy.reporting.vega import Spec


_SIZE = {"width": 330, "height": 170}


def chart(record: ProfileRecord, *, points: int) -> Figure | None:
    """Draw the module's power with the timed window shaded; None where no trace was kept.

    Args:
        record: The run.
        points: At most; neighbours share one, which keeps their smallest and largest.
    """
    about = record.document["power"] or {}
    trace = about.get("trace") or {}
    at_s, watts = (np.asarray(trace.get(key) or [], float) for key in ("t_ns", "mw"))
    if not len(at_s) or len(at_s) != len(watts):
        return None
    at_s, watts = at_s / 1e9, watts / 1e3
    found = envelopes.buckets(at_s, watts, points)
    window_s = about["window_ns"] / 1e9
    mean_w, idle_w = about.get("mean_w"), about.get("idle_w")
    levels = [
        {"w": value, "name": name}
        for name, value in (("mean", mean_w), ("idle", idle_w))
        if value is not None
    ]
    alt = (
        f"Power over time, {len(watts)} readings of {about.get('source', 'a sensor')} from "
        f"{number(float(watts.min()))} to {number(float(watts.max()))} W; "
        + ", ".join(f"{level['name']} {number(level['w'])} W" for level in levels)
        + f". The timed window of {number(window_s)} s is shaded."
    )
    spec = {**_SIZE, "layer": _layers(found, window_s, levels, float(watts.max()))}
    thinned = f"{len(watts)} readings in {len(found)} groups: line = median, band = extremes. "
    return Figure(
        title="Power",
        alt=alt,
        caption=thinned * (len(found) < len(watts))
        + f"Shaded: the timed window. Rule of the total: {about.get('rule', 'not told')}.",
        svg=vega.draw(spec, alt=alt),
        table=envelopes.table("Power over time, from the start of the window", "W", found),
    )


def _layers(
    found: Sequence[Bucket], window_s: float, levels: Sequence[dict[str, Any]], most_w: float
) -> list[Spec]:
    y = {
        "field": "median",
        "type": "quantitative",
        "scale": {"domain": [0, most_w * 1.1 or 1], "nice": False},
        "axis": vega.axis("W"),
    }
    level = {"y": {"field": "w", "type": "quantitative"}}
    return [
        {
            "data": {"values": [{"start": 0, "end": window_s}]},
            "mark": {"type": "rect", "color": palette.variable("series-4"), "opacity": 0.2},
            "encoding": {
                "x": {"field": "start", "type": "quantitative"},
                "x2": {"field": "end"},
            },
        },
        *envelopes.layers(found, "series-1", y),
        {
            "data": {"values": levels},
            "mark": {"type": "rule", "color": palette.variable("quiet"), "strokeDash": [3, 3]},
            "encoding": level,
        },
        {
            "data": {"values": levels},
            "mark": {"type": "text", "align": "right", "x": 326, "dy": -6, "fontSize": 11},
            "encoding": {**level, "text": {"field": "name"}},
        },
    ]
