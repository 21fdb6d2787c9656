"""What the HTML report says in words: summary, verdicts, environments, conditions, commands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy.reporting import happenings, latency_charts, power_chart, time_charts
from edgedeploy.reporting.figures import DataTable, Figure, number
from edgedeploy.reporting.settings import group, setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgedeploy.profiling.records import ProfileRecord

_LONG = 16  # values of a list that are still written one by one
_LEVELS = ("measured", "suspect", "invalid")


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of each run is drawn: many runs get less, so that the file stays below 5 MB.

    Attributes:
        points: Of a drawn series, at most.
        stages: Whether stages and layers are drawn.
        charts: Whether anything is drawn.
        note: What is left out, for the reader.
    """

    points: int
    stages: bool = True
    charts: bool = True
    note: str = ""


_DETAILS = {
    20: Detail(120),
    60: Detail(60),
    200: Detail(16, stages=False, note="Stages and layers are left out of more than 60 runs."),
}
_LEAST = Detail(16, charts=False, note="Charts of single runs are left out of more than 200 runs.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the report.

    Attributes:
        anchor: Of its section.
        title: What the section is called.
        level: Verdict.
        reasons: All reasons of the verdict.
        about: What it measured, name by value.
        statistics: Its latencies where they are under no chart.
        figures: Its charts.
        missing: Why values are null, name by reason.
        conditions: What went on around the samples, name by value.
    """

    anchor: str
    title: str
    level: str
    reasons: tuple[str, ...]
    about: Mapping[str, str]
    statistics: DataTable | None
    figures: tuple[Figure, ...]
    missing: Mapping[str, str]
    conditions: Mapping[str, str]


def run(record: ProfileRecord, index: int, detail: Detail) -> Run:
    """Return everything that the report says of one record.

    Args:
        record: The run.
        index: Its number, from 0.
        detail: How much is drawn.
    """
    figures = tuple(_figures(record, detail)) if detail.charts else ()
    return Run(
        anchor=f"run-{index + 1}",
        title=f"{record.model}, {group(record)}{_apart(record)}",
        level=record.level,
        reasons=record.reasons,
        about=_about(record),
        statistics=None
        if figures and record.document["samples_ns"] is not None
        else latency_charts.statistics(record),
        figures=figures,
        missing=_missing(record),
        conditions=dict(flat(record.document.get("conditions") or {})),
    )


def detail_for(runs: int) -> Detail:
    """Return how much is drawn of each of so many runs."""
    return next((detail for most, detail in _DETAILS.items() if runs <= most), _LEAST)


def summary(records: Sequence[ProfileRecord], *, read: int) -> dict[str, str]:
    """Return the head of the report: devices, when, how many, verdicts.

    Args:
        records: Those that are shown.
        read: How many there were before the older ones were left out.
    """
    levels = Counter(record.level for record in records)
    dates = sorted(record.created for record in records)
    older = f", the newest of {read} records" if read > len(records) else ""
    about = {
        "Runs": f"{len(records)}{older}",
        "Verdicts": ", ".join(f"{levels[level]} {level}" for level in _LEVELS if levels[level]),
        "Measured": dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}",
        "Settings": "; ".join(sorted({setting(record).words for record in records})),
        "Libraries": ", ".join(
            sorted({str(record.document["environment"].get("backend")) for record in records})
        ),
    }
    systems = {record.document["environment"].get("system") for record in records} - {None}
    return about | ({"System": ", ".join(sorted(map(str, systems)))} if systems else {})


def environments(records: Sequence[ProfileRecord]) -> DataTable:
    """Return one column an environment, one row a value, and how many runs each had."""
    seen: Counter[tuple[tuple[str, str], ...]] = Counter()
    for record in records:
        parts = {key: record.document[key] for key in ("device", "environment")}
        seen[tuple(flat(parts))] += 1
    columns = [dict(found) for found in seen]
    names = dict.fromkeys(name for column in columns for name in column)
    return DataTable(
        caption="Devices and environments",
        head=("value", *(f"environment {index + 1}" for index in range(len(columns)))),
        rows=(
            ("runs", *seen.values()),
            *((name, *(column.get(name) for column in columns)) for name in names),
        ),
    )


def flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values inside a JSON value as text under dotted names, without None and ``[]``.

    Example:
        >>> list(flat({"a": {"b": 1.5, "c": None}, "d": ["x", "y"]}))
        [('a.b', '1.5'), ('d', 'x, y')]
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        if len(value) > _LONG:
            yield name, f"{len(value)} values, {_text(value[0])} to {_text(value[-1])}"
        elif value:
            yield name, ", ".join("–" if item is None else _text(item) for item in value)
    elif value is not None:
        yield name, _text(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value) or ""
    if isinstance(value, dict):
        return "; ".join(f"{name} {text}" for name, text in flat(value))
    return str(value)


def _figures(record: ProfileRecord, detail: Detail) -> Iterator[Figure]:
    found = [
        latency_charts.distribution(record, points=detail.points),
        latency_charts.series(record, points=detail.points),
        power_chart.chart(record, points=detail.points),
    ]
    if detail.stages:
        draw = (time_charts.stages, time_charts.kinds, time_charts.layers)
        found += [chart(record) for chart in draw]
    return (figure for figure in found if figure is not None)


def _about(record: ProfileRecord) -> dict[str, str]:
    document = record.document
    memory, cold = document["memory_mb"], document["cold_start_ms"]
    interval = document["latency_ms"].get("p50_ci95")
    values: dict[str, Any] = {
        "setting": setting(record).words,
        "measured": record.created,
        "threads": document.get("threads"),
        "input": " × ".join(map(str, document.get("input_shape") or [])) or None,
        "scenario options": _text(document.get("scenario_options") or {}) or None,
        "scenario results": happenings.full(record),
        "calls": document["latency_ms"]["count"],
        "p50": _with_unit(document["latency_ms"]["p50"], "ms"),
        "95 % interval of p50": f"{number(interval[0])} to {number(interval[1])} ms"
        if interval
        else None,
        "p99": _with_unit(document["latency_ms"]["p99"], "ms"),
        "throughput": _with_unit(document["throughput_ips"], "images/s"),
        "top-1": _accuracy(document["accuracy"]),
        "energy per inference": _with_unit(document["energy_mj_per_inference"], "mJ"),
        "energy above idle": _with_unit(document.get("energy_above_idle_mj_per_inference"), "mJ"),
        "peak RSS": _with_unit(memory["peak_rss"], "MB"),
        "device memory": _device_memory(memory),
        "engine": _with_unit(memory["engine"], "MB"),
        "load": _with_unit(cold["load"], "ms"),
        "first inference": _with_unit(cold["first_inference"], "ms"),
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _apart(record: ProfileRecord) -> str:
    """Return what a title says of a run that is not the usual one."""
    return "" if record.setting == "single" else f", {record.setting}"


def _with_unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{number(value)} {unit}"


def _device_memory(memory: Mapping[str, Any]) -> str | None:
    told = _with_unit(memory["device"], "MB")
    rule = memory.get("device_rule")
    return told if told is None or rule is None else f"{told}: {rule}"


def _accuracy(known: Mapping[str, Any] | None) -> str | None:
    if known is None or known.get("top1") is None:
        return None
    told = f"shipped, measured {known.get('date')}" if known.get("source") == "shipped" else "eval"
    return f"{known['top1']:.2%} ({told})"


def _missing(record: ProfileRecord) -> dict[str, str]:
    reasons = {str(name): str(why) for name, why in record.document.get("reasons", {}).items()}
    why = record.document.get("power_reason")
    return {**reasons, "power": str(why)} if why else reasons
