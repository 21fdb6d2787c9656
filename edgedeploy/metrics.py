"""What a profile is asked for when something is decided: a value, or the reason why there is none.

Every metric has one name, on the command line and in JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy import quantities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.quantities import Dimension

_NOT_THERE = "not in the profile"
_NO_SENSOR = "no sensor"  # how edgedeploy.meters.energy begins where a machine has none


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a profile.

    Attributes:
        name: As it is typed.
        title: As a table calls it.
        dimension: Of its values.
        path: Where the record has it, keys with dots between them.
        more_is_better: Whether a larger value is the better one.
        scale: The record's value times this is one in `dimension`'s unit.
    """

    name: str
    title: str
    dimension: Dimension
    path: str
    more_is_better: bool = False
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A value in its metric's unit, or why there is none; never both, never neither.

    Attributes:
        value: None if it is not known.
        reason: None if it is.
    """

    value: float | None
    reason: str | None = None


_ALL = (
    Metric("p50", "p50", quantities.TIME, "latency_ms.p50"),
    Metric("p90", "p90", quantities.TIME, "latency_ms.p90"),
    Metric("p95", "p95", quantities.TIME, "latency_ms.p95"),
    Metric("p97", "p97", quantities.TIME, "latency_ms.p97"),
    Metric("p99", "p99", quantities.TIME, "latency_ms.p99"),
    Metric("mean", "mean", quantities.TIME, "latency_ms.mean"),
    Metric("energy", "energy", quantities.ENERGY, "energy_mj_per_inference"),
    Metric("size", "size", quantities.SIZE, "artifact.size_bytes", scale=1e-6),
    Metric(
        "int8_layers", "int8 layers", quantities.COUNT, "artifact.runs.int8", more_is_better=True
    ),
    Metric("multiply_adds", "multiply-adds", quantities.WORK, "cost.multiply_adds", scale=1e-6),
    Metric("parameters", "parameters", quantities.WORK, "cost.parameters", scale=1e-6),
    Metric("agreement", "agreement", quantities.SHARE, "accuracy.agreement", more_is_better=True),
    Metric("top1", "top-1", quantities.SHARE, "accuracy.top1", more_is_better=True),
    Metric("peak_rss", "peak RSS", quantities.SIZE, "memory_mb.peak_rss"),
    Metric("device_memory", "device memory", quantities.SIZE, "memory_mb.device"),
    Metric("fps", "images/s", quantities.RATE, "throughput_ips", more_is_better=True),
)
METRICS = {metric.name: metric for metric in _ALL}


def read(document: Mapping[str, Any], metric: Metric) -> Reading:
    """Return what a record's document says of a metric, or why it says nothing."""
    value: Any = document
    for key in metric.path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if metric.name == "int8_layers":
        value = _int8_layers(document, value)
    # the bounds also refuse NaN, infinity and integers that no float can hold
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -1e18 < value < 1e18:
        return Reading(value * metric.scale)
    return Reading(None, _reason(document, metric))


def lacks_sensor(reason: str) -> bool:
    """Return whether energy is absent as the machine has no sensor, and none has failed.

    Example:
        >>> lacks_sensor("no sensor measured it: rapl: not here"), lacks_sensor("rapl: broke off")
        (True, False)
    """
    return reason.startswith(_NO_SENSOR)


def _int8_layers(document: Mapping[str, Any], count: Any) -> Any:
    """Return the count; 0 where the engine tells its layers, and none of them is int8."""
    runs = document["artifact"].get("runs")
    return 0 if count is None and isinstance(runs, dict) and runs else count


def _reason(document: Mapping[str, Any], metric: Metric) -> str:
    reasons = document.get("reasons")
    told = reasons if isinstance(reasons, dict) else {}
    found, above = told.get(metric.path), metric.path.split(".", maxsplit=1)[0]
    if found is None and document.get(above) is None:
        found = told.get(above)
    if metric.name == "energy":
        found = found or document.get("power_reason")
    if metric.name == "int8_layers":
        found = "the engine does not tell its layers"
    return found if isinstance(found, str) and found.isprintable() else _NOT_THERE
