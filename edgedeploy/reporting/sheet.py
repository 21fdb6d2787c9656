"""Records as CSV: one line a run, raw numbers, units in the names."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from edgedeploy.reporting import happenings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edgedeploy.profiling.records import ProfileRecord

# A spreadsheet takes a text that begins like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_VARIANT = ("family", "alpha", "rho", "resolution")
_LATENCY = ("p50", "p90", "p95", "p99", "p99_9", "mean", "std", "min", "max", "count")
_FOUND = (
    "utilisation",
    "offered",
    "unanswered",
    "frames",
    "dropped",
    "deadline_ms",
    "deadline_misses",
    "wait_p50_ms",
    "work_p50_ms",
)


def render(records: Iterable[ProfileRecord]) -> str:
    """Return a table with one line a record, all of them; null is an empty cell.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for record in records:
        writer.writerow([_cell(value(record)) for value in _COLUMNS.values()])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _of(*path: str) -> Callable[[ProfileRecord], Any]:
    """Return what finds a value in a record; None where it, or what holds it, is absent."""

    def find(record: ProfileRecord) -> Any:
        value: Any = record.document
        for key in path:
            value = None if value is None else value.get(key)
        return value

    return find


def _found(name: str) -> Callable[[ProfileRecord], float | None]:
    """Return what finds a number among what the scenario found."""
    return lambda record: happenings.value(record, name)


def _interval(end: int) -> Callable[[ProfileRecord], float | None]:
    def find(record: ProfileRecord) -> float | None:
        found = record.document["latency_ms"].get("p50_ci95")
        return found[end] if found else None

    return find


_COLUMNS: Mapping[str, Callable[[ProfileRecord], Any]] = {
    "created": _of("created"),
    "model": _of("model"),
    **{name: _of("variant", name) for name in _VARIANT},
    "backend": _of("artifact", "backend"),
    "precision": _of("artifact", "precision"),
    "source": lambda record: record.source or "edgedeploy",
    "device": _of("device", "name"),
    "device_model": _of("device", "model"),
    "power_mode": _of("device", "power_mode"),
    "library": _of("environment", "backend"),
    "scenario": _of("scenario"),
    "inside": lambda record: "+".join(record.document["inside"]),
    "batch": happenings.batch,
    "rate_per_s": _of("scenario_options", "rate"),
    "camera_fps": _of("scenario_options", "fps"),
    "streams": _of("scenario_options", "streams"),
    "threads": _of("threads"),
    **{f"{name}_ms" if name != "count" else "calls": _of("latency_ms", name) for name in _LATENCY},
    "p50_low_ms": _interval(0),
    "p50_high_ms": _interval(1),
    "throughput_ips": _of("throughput_ips"),
    **{name: _found(name) for name in _FOUND},
    "load_ms": _of("cold_start_ms", "load"),
    "first_inference_ms": _of("cold_start_ms", "first_inference"),
    "peak_rss_mb": _of("memory_mb", "peak_rss"),
    "device_memory_mb": _of("memory_mb", "device"),
    "device_memory_rule": _of("memory_mb", "device_rule"),
    "engine_mb": _of("memory_mb", "engine"),
    "power_w": _of("power", "mean_w"),
    "energy_mj": _of("energy_mj_per_inference"),
    "energy_above_idle_mj": _of("energy_above_idle_mj_per_inference"),
    "top1": _of("accuracy", "top1"),
    "top1_source": _of("accuracy", "source"),
    "agreement": _of("accuracy", "agreement"),
    "verdict": lambda record: record.level,
    "verdict_reasons": lambda record: "; ".join(record.reasons),
    "artifact_sha256": _of("artifact", "sha256"),
}
