"""The best median latency over α and ρ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgedeploy.reporting import palette, vega
from edgedeploy.reporting.figures import DataTable, Figure, number
from edgedeploy.reporting.settings import group
from edgedeploy.reporting.table import MARKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.reporting.settings import Setting
    from edgedeploy.reporting.vega import Spec


_MARKED = {"?": " ? suspect, its reasons stand below.", "!": " ! invalid, its reasons stand below."}


def chart(records: Sequence[ProfileRecord], setting: Setting) -> Figure | None:
    """Draw the best median over α × ρ, one map a backend and precision; None without variants.

    Args:
        records: Of one setting.
        setting: Theirs.
    """
    best: dict[tuple[str, float, float], ProfileRecord] = {}
    for record in records:
        variant = record.document["variant"]
        if variant is not None:
            name = f"{variant.get('family', '')} {group(record)}".strip()
            key = (name, variant["alpha"], variant["rho"])
            if key not in best or _p50(record) < _p50(best[key]):
                best[key] = record
    if not best:
        return None
    cells = _cells(best)
    fastest, slowest = (
        choose(best.items(), key=lambda item: _p50(item[1])) for choose in (min, max)
    )
    alt = (
        f"Heat map of the best median latency over alpha and rho, {len(cells)} cells. Fastest: "
        f"{_place(fastest[0])}, {number(_p50(fastest[1]))} ms; slowest: {_place(slowest[0])}, "
        f"{number(_p50(slowest[1]))} ms."
    )
    return Figure(
        title=f"Median latency over α × ρ: {setting.words}",
        alt=alt,
        caption="Milliseconds; paler is faster, on one logarithmic scale for all maps."
        + "".join(_MARKED[mark] for mark in _MARKED if any(c["text"][0] == mark for c in cells)),
        svg=vega.draw(_spec(cells), alt=alt),
        table=DataTable(
            caption="Best median latency of each cell",
            head=("backend and precision", "α", "ρ", "p50 ms", "model", "verdict"),
            rows=tuple(
                (*key, number(_p50(record)), record.model, record.level)
                for key, record in sorted(best.items())
            ),
        ),
        wide=True,
    )


def _cells(best: dict[tuple[str, float, float], ProfileRecord]) -> list[dict[str, Any]]:
    medians = [max(_p50(record), 1e-9) for record in best.values()]
    low, high = math.log(min(medians)), math.log(max(medians))
    cells = []
    for ((name, alpha, rho), record), median in zip(best.items(), medians, strict=True):
        share = (math.log(median) - low) / (high - low) if high > low else 0.0
        colour, ink = palette.heat(share)
        text = f"{MARKS[record.level]}{number(_p50(record), 3)}"
        cells.append(
            {
                "map": name,
                "alpha": f"{alpha:g}",
                "rho": f"{rho:.3g}",
                "text": text,
                "colour": colour,
                "ink": ink,
            }
        )
    return cells


def _spec(cells: Sequence[dict[str, Any]]) -> Spec:
    def by(field: str, *, falling: bool = False) -> list[str]:
        return sorted({cell[field] for cell in cells}, key=float, reverse=falling)

    text_px = min(8 * max(len(cell["map"]) for cell in cells), 400)  # of the longest head, in bold
    return {
        "data": {"values": cells},
        "facet": {
            "field": "map",
            "type": "nominal",
            "title": None,
            "header": {"labelAnchor": "start", "labelFontWeight": "bold", "labelLimit": 400},
        },
        "columns": 2,
        "spacing": 18,
        "spec": {
            "width": {"step": max(62, text_px / len(by("rho")))},
            "height": {"step": 34},
            "encoding": {
                "x": {"field": "rho", "sort": by("rho"), "axis": {"title": "ρ", "labelAngle": 0}},
                "y": {
                    "field": "alpha",
                    "sort": by("alpha", falling=True),
                    "axis": {"title": "α", "titleAngle": 0, "titlePadding": 14},
                },
            },
            "layer": [
                {
                    "mark": {"type": "rect"},
                    "encoding": {"color": {"field": "colour", "type": "nominal", "scale": None}},
                },
                {
                    "mark": {"type": "text"},
                    "encoding": {
                        "text": {"field": "text"},
                        "color": {"field": "ink", "type": "nominal", "scale": None},
                    },
                },
            ],
        },
    }


def _p50(record: ProfileRecord) -> float:
    return float(record.document["latency_ms"]["p50"])


def _place(key: tuple[str, float, float]) -> str:
    name, alpha, rho = key
    return f"{name} at α {alpha:g}, ρ {rho:.3g}"
