"""Where the time of a call goes, as bars: by stage, by kind of layer, by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedeploy.reporting import palette, vega
from edgedeploy.reporting.figures import DataTable, Figure, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.reporting.vega import Spec

_DRAWN = 24
_LABEL_PX = 150


def stages(record: ProfileRecord) -> Figure | None:
    """Draw the medians of copying in, computing and copying out; None where nobody timed them.

    Where a CUDA graph works, a call replays it instead of computing plainly, which then is no part
    of the sum.
    """
    found = record.document.get("stages_ms")
    if not found:
        return None
    medians = {name: float(about["p50"]) for name, about in found.items()}
    unused = "compute" if "graph" in medians else None
    total = sum(ms for name, ms in medians.items() if name != unused) or 1.0
    bars = [{"name": name, "ms": ms, "kind": "stage"} for name, ms in medians.items()]
    alt = "Stages of a call: " + ", ".join(
        f"{name} {number(ms)} ms" for name, ms in medians.items()
    )
    return Figure(
        title="Stages",
        alt=f"{alt}.",
        caption="Medians, from calls of their own; their sum need not be the latency.",
        svg=vega.draw(_bar_spec(bars), alt=alt),
        table=DataTable(
            caption="Median time of each stage",
            head=("stage", "ms", "share of their sum", "calls"),
            rows=tuple(
                (
                    name,
                    number(ms),
                    "instead of graph" if name == unused else f"{ms / total:.1%}",
                    found[name].get("count"),
                )
                for name, ms in medians.items()
            ),
        ),
    )


def kinds(record: ProfileRecord) -> Figure | None:
    """Draw the time of each kind of layer; None where no layers were timed."""
    found = timed_layers(record)
    if not found:
        return None
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for layer in found:
        sums[layer["kind"]] = sums.get(layer["kind"], 0.0) + layer["ms"]
        counts[layer["kind"]] = counts.get(layer["kind"], 0) + 1
    total = sum(sums.values()) or 1.0
    ranked = sorted(sums.items(), key=lambda item: -item[1])
    alt = "Time by kind of layer: " + ", ".join(f"{kind} {ms / total:.0%}" for kind, ms in ranked)
    bars = [{"name": kind, "ms": ms, "kind": "all"} for kind, ms in ranked]
    return Figure(
        title="Time by kind of layer",
        alt=f"{alt}.",
        caption="As the backend's own profiler tells it; profiling slows layers down.",
        svg=vega.draw(_bar_spec(bars), alt=alt),
        table=DataTable(
            caption="Time of each kind of layer",
            head=("kind", "ms", "share", "layers"),
            rows=tuple(
                (kind, number(ms), f"{ms / total:.1%}", counts[kind]) for kind, ms in ranked
            ),
        ),
    )


def layers(record: ProfileRecord) -> Figure | None:
    """Draw the time of the dearest layers; None where no layers were timed."""
    found = timed_layers(record)
    if not found:
        return None
    total = sum(layer["ms"] for layer in found) or 1.0
    ranked = sorted(found, key=lambda layer: -layer["ms"])
    bars = ranked[:_DRAWN]
    share = sum(bar["ms"] for bar in bars) / total
    alt = (
        f"The {len(bars)} dearest of {len(found)} layers, together {share:.0%} of the time. "
        f"First: {bars[0]['name']}, {bars[0]['ms'] / total:.0%}."
    )
    return Figure(
        title="Time by layer",
        alt=alt,
        caption=f"The {len(bars)} dearest of {len(found)} layers; the table has all, in order.",
        svg=vega.draw(_bar_spec(bars), alt=alt),
        table=DataTable(
            caption="Time of each layer, in the order of the record",
            head=("layer", "kind", "ms", "share"),
            rows=tuple(
                (layer["name"], layer["kind"], number(layer["ms"]), f"{layer['ms'] / total:.1%}")
                for layer in found
            ),
        ),
    )


def timed_layers(record: ProfileRecord) -> list[dict[str, Any]]:
    """Return name, kind and milliseconds of every layer that the record has a time of."""
    return [
        {
            "name": str(layer.get("name", "unnamed")),
            "kind": str(layer.get("kind") or "other"),
            "ms": float(layer["ms"]),
        }
        for layer in record.document.get("layers") or []
        if isinstance(layer, dict) and isinstance(layer.get("ms"), (int, float))
    ]


def _bar_spec(bars: Sequence[dict[str, Any]]) -> Spec:
    """Return horizontal bars in the order given, their ``name``, ``ms`` and ``kind``."""
    kinds = list(dict.fromkeys(bar["kind"] for bar in bars))
    # a name may come twice, and each is a bar: they are told apart by their number
    values = [{**bar, "at": index, "text": number(bar["ms"], 3)} for index, bar in enumerate(bars)]
    colours = [palette.series(index)[0] for index in range(len(kinds))]
    labels = [bar["name"] for bar in bars]
    x = {
        "field": "ms",
        "type": "quantitative",
        "scale": {"domain": [0, max(bar["ms"] for bar in bars) * 1.2 or 1], "nice": False},
        "axis": vega.axis("ms", format="~g"),
    }
    return {
        "width": 230,
        "height": {"step": 18},
        "data": {"values": values},
        "transform": [{"calculate": "datum.at + '|' + datum.name", "as": "row"}],
        "encoding": {
            "y": {
                "field": "row",
                "type": "nominal",
                "sort": [f"{index}|{name}" for index, name in enumerate(labels)],
                "axis": {
                    "title": None,
                    "labelExpr": "slice(datum.label, indexof(datum.label, '|') + 1)",
                    "labelLimit": _LABEL_PX,
                    # fonts differ from machine to machine: room for the widest
                    "minExtent": min(7.5 * max(map(len, labels)) + 8, 1.15 * _LABEL_PX),
                    "labelOverlap": False,
                },
            },
            "x": x,
        },
        "layer": [
            {
                "mark": {"type": "bar", "height": 12},
                "encoding": {
                    "color": {
                        "field": "kind",
                        "scale": {"domain": kinds, "range": colours},
                        "legend": {"title": None} if len(kinds) > 1 else None,
                    }
                },
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 4, "fontSize": 11},
                "encoding": {"text": {"field": "text"}},
            },
        ],
    }
