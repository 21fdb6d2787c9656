"""A profile's time by kind of layer, beside the shares of the computing and of the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

    from edgedeploy.profiling.records import ProfileRecord

_HEAD = ("kind", "layers", "ms", "time", "multiply-adds", "parameters")
_NONE = "–"
_MUCH = 1.1  # above this the profiler, not the layers, made much of the sum


def show(records: Iterable[ProfileRecord], console: Console) -> None:
    """Print the table of each record; where there is none, why."""
    for record in records:
        for number, line in enumerate(lines(record)):
            console.print(Text(line, style="bold" if number == 1 else ""), soft_wrap=True)


def lines(record: ProfileRecord) -> list[str]:
    """Return an empty line, the title, the table and what its numbers are."""
    document = record.document
    title = " ".join(("Layers of", *record.key[:3]))
    if not document.get("layers"):
        return ["", title, f"not timed: {document['reasons']['layers']}"]
    cells = [_HEAD, *_rows(document)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_HEAD))]
    table = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in cells
    ]
    return ["", title, *table, *_notes(document)]


def _rows(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    times: Mapping[str, float] = document["layers_ms"]
    work: Mapping[str, Mapping[str, int | None]] = document["layers_work"] or {}
    layers = [layer["kind"] for layer in document["layers"]]
    kinds = [*times, *(kind for kind in work if kind not in times)]
    total = sum(times.values())
    return [
        (
            kind,
            str(layers.count(kind)),
            f"{times[kind]:.3f}" if kind in times else _NONE,
            _share(times.get(kind, 0.0), total),
            *(_share_of(work, kind, name) for name in ("multiply_adds", "parameters")),
        )
        for kind in kinds
    ]


def _share_of(work: Mapping[str, Mapping[str, int | None]], kind: str, name: str) -> str:
    """Write a kind's share of a count; kinds that are not counted have none."""
    if kind not in work or any(counts[name] is None for counts in work.values()):
        return _NONE
    counts = {each: float(about[name] or 0) for each, about in work.items()}
    return _share(counts[kind], sum(counts.values()))


def _share(part: float, total: float) -> str:
    return f"{part / total:.1%}" if total else _NONE


def _notes(document: Mapping[str, Any]) -> list[str]:
    total, p50 = sum(document["layers_ms"].values()), document["latency_ms"]["p50"]
    notes = [
        f"mean of {document['layers_runs']} calls under the vendor's profiler",
        f"the layers add up to {total:.3f} ms; the median without it is {p50:.3f} ms",
    ]
    if total > p50 * _MUCH:
        notes.append("the profiler itself takes time in every layer: small ones look dearer")
    if document["layers_work"] is None:
        notes.append(f"nothing is counted: {document['reasons']['layers_work']}")
    return notes
