"""Latencies of one run: their distribution, and in call order."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.reporting import envelopes, palette, vega
from edgedeploy.reporting.figures import DataTable, Figure, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.reporting.vega import Spec


SIZE = {"width": 330, "height": 170}
_PERCENTILES = ("p50", "p90", "p95", "p97", "p99", "p99_9")


def distribution(record: ProfileRecord, *, points: int) -> Figure | None:
    """Draw the share of calls that took at most so long; None where no samples were kept.

    Args:
        record: The run.
        points: Of the curve, at most, besides the tail's.
    """
    if record.document["samples_ns"] is None:
        return None
    ordered = np.sort(record.samples_ns()) / 1e6
    shares = np.unique([*np.linspace(0, 1, points), 0.95, 0.99, 0.995, 0.999])
    ranks = np.unique(np.maximum(np.ceil(shares * len(ordered) - 1e-9).astype(int), 1))
    curve = [{"ms": float(ordered[r - 1]), "share": float(r) / len(ordered)} for r in ranks]
    latency = record.document["latency_ms"]
    tails = [
        {"ms": latency[name], "name": name}
        for name in ("p50", "p99")
        if latency[name] is not None and ordered[0] <= latency[name] <= ordered[-1]
    ]
    alt = f"Distribution of {len(ordered)} latencies: {_in_words(latency)}."
    spec = {
        **SIZE,
        "encoding": {
            "x": vega.milliseconds("ms", "latency, ms", float(ordered[0]), float(ordered[-1]))
        },
        "layer": [
            {
                "data": {"values": curve},
                "mark": {
                    "type": "line",
                    "interpolate": "step-after",
                    "color": palette.variable("series-0"),
                },
                "encoding": {
                    "y": {
                        "field": "share",
                        "type": "quantitative",
                        "scale": {"domain": [0, 1]},
                        "axis": vega.axis("share of calls", format=".0%"),
                    }
                },
            },
            *_rules(tails),
        ],
    }
    thinned = f"Drawn through {len(curve)} of {len(ordered)} calls. " * (len(curve) < len(ordered))
    return Figure(
        title="Latency distribution",
        alt=alt,
        caption=f"{thinned}The table is of all calls.",
        svg=vega.draw(spec, alt=alt),
        table=statistics(record),
    )


def statistics(record: ProfileRecord) -> DataTable:
    """Return a run's latencies as the record has them, with the reason of each null."""
    latency, reasons = record.document["latency_ms"], record.document.get("reasons", {})
    bounds = latency.get("bounds") or {}
    interval = latency.get("p50_ci95")
    names = ("min", *_PERCENTILES, "max", "mean", "std", "jitter")
    notes = (
        {"p50": f"95 % interval {number(interval[0])} to {number(interval[1])}"} if interval else {}
    )
    return DataTable(
        caption=f"Latency in ms, {_calls(latency['count'])}, none left out",
        head=("statistic", "ms", "bound at 99 % confidence, ms", "note"),
        rows=tuple(
            (
                name.replace("_", "."),
                number(latency[name]),
                number(bounds.get(name)),
                notes.get(name) or reasons.get(f"latency_ms.{name}", ""),
            )
            for name in names
            if name in latency and not isinstance(latency[name], dict)
        ),
    )


def series(record: ProfileRecord, *, points: int) -> Figure | None:
    """Draw latencies in call order with marks where the clock was throttled; None without samples.

    Args:
        record: The run.
        points: At most; neighbours share one, which keeps their smallest and largest.
    """
    if record.document["samples_ns"] is None:
        return None
    samples = record.samples_ns()
    starts = (np.cumsum(samples) - samples) / (samples.sum() or 1)
    seconds = record.document.get("window_s") or samples.sum() / 1e9
    found = envelopes.buckets(starts * seconds, samples / 1e6, points)
    marks = throttle_marks(record)
    low, high = min(b.low for b in found), max(b.high for b in found)
    alt = (
        f"{len(samples)} latencies in call order, from {number(low)} to {number(high)} ms; the "
        f"medians of their neighbours lie between {number(min(b.median for b in found))} and "
        f"{number(max(b.median for b in found))} ms. Throttle marks: {len(marks) or 'none'}."
    )
    spec = {
        **SIZE,
        "layer": [
            *envelopes.layers(
                found, "series-0", vega.milliseconds("median", "latency, ms", low, high)
            ),
            *_marks(marks),
        ],
    }
    is_thin = len(found) < len(samples)
    told = "".join(f" Triangle at {number(mark['s'])} s: {mark['name']}." for mark in marks)
    return Figure(
        title="Latency over time",
        alt=alt,
        caption=(
            f"{len(samples)} calls in {len(found)} groups of neighbours: line = median, band = "
            "smallest to largest."
            if is_thin
            else "Every call."
        )
        + " Calls lie along the window by their own lengths."
        + told,
        svg=vega.draw(spec, alt=alt),
        table=envelopes.table(f"Latency over time, {_calls(len(samples))}", "ms", found),
    )


def throttle_marks(record: ProfileRecord) -> list[dict[str, Any]]:
    """Return when the clock was seen throttled, and by what; empty where nobody looked.

    Looks come about once a second; a mark is the first of several slowed ones in a row. Of rounds
    in turns each has its own looks, and its window begins where that of the last ended.
    """
    rounds = record.document.get("rounds")
    if rounds is None:
        return _slowed(record.document.get("conditions") or {})
    lengths_s = [each["window_ns"] / 1e9 for each in rounds]
    starts_s = itertools.accumulate(lengths_s, initial=0.0)
    return [
        {**mark, "s": start_s + mark["s"]}
        for each, start_s in zip(rounds, starts_s, strict=False)
        for mark in _slowed(each.get("conditions") or {})
    ]


def _slowed(conditions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the marks of one window."""
    seen = (conditions.get("clocks") or {}).get("seen") or {}
    names = (conditions.get("throttled") or {}).get("slowed_by") or []
    slowed = [bool(state) for state in seen.get("slowed") or []]
    looks = zip(seen.get("t_s") or [], slowed, [False, *slowed], strict=False)
    name = ", ".join(map(str, names)) or "throttled"
    return [{"s": float(s), "name": name} for s, now, before in looks if now and not before]


def _rules(tails: Sequence[dict[str, Any]]) -> list[Spec]:
    encoding = {"x": {"field": "ms", "type": "quantitative"}}
    dash = {"color": palette.variable("quiet"), "strokeDash": [3, 3]}
    return [
        {"data": {"values": tails}, "mark": {"type": "rule", **dash}, "encoding": encoding},
        {
            "data": {"values": tails},
            "mark": {"type": "text", "align": "left", "dx": 3, "y": 160, "fontSize": 11},
            "encoding": {**encoding, "text": {"field": "name"}},
        },
    ]


def _marks(marks: Sequence[dict[str, Any]]) -> list[Spec]:
    if not marks:
        return []
    encoding = {"x": {"field": "s", "type": "quantitative"}}
    paint = palette.variable("bad")
    return [
        {
            "data": {"values": marks},
            "mark": {"type": "rule", "color": paint, "strokeDash": [2, 2]},
            "encoding": encoding,
        },
        {
            "data": {"values": marks},
            "mark": {
                "type": "point",
                "shape": "triangle-down",
                "y": 6,
                "size": 70,
                "stroke": paint,
            },
            "encoding": encoding,
        },
    ]


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"


def _in_words(latency: Mapping[str, Any]) -> str:
    known = [name for name in ("min", *_PERCENTILES, "max") if latency.get(name) is not None]
    return ", ".join(f"{name.replace('_', '.')} {number(latency[name])} ms" for name in known)
