"""One side of a comparison: what its profile says, and how far that could have been otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy import metrics
from edgedeploy.comparing import intervals
from edgedeploy.metrics import METRICS, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.metrics import Metric
    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.types import Array

TIMES = ("p50", "p90", "p95", "p97", "p99", "mean")
COMPARED = (
    *TIMES,
    "energy",
    "size",
    "int8_layers",
    "multiply_adds",
    "parameters",
    "agreement",
    "top1",
    "peak_rss",
    "device_memory",
)
"""The metrics that are compared, by name."""

_FEWEST_POWERS = 10  # readings of power, for anything to be said of their spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one profile brings to a comparison.

    Attributes:
        label: What it is called: its path, or its folder and date.
        record: The profile.
        readings: Every metric of `COMPARED`.
        draws: Of those that noise touches: what they could have been, see `intervals.redrawn`.
        no_draws: Why a metric that noise touches is not in `draws`.
        sensor_share: How far the energy's sensor may be off, from 0 to below 1.
    """

    label: str
    record: ProfileRecord
    readings: Mapping[str, Reading]
    draws: Mapping[str, Array] = field(default_factory=dict)
    no_draws: Mapping[str, str] = field(default_factory=dict)
    sensor_share: float = 0.0


def is_noisy(metric: Metric) -> bool:
    """Return whether two runs of one artifact give two values, so that an interval is needed."""
    return metric.name in TIMES or metric.name == "energy"


def side(record: ProfileRecord, *, label: str, seed: int = 0) -> Side:
    """Read a profile and draw its samples anew."""
    readings = {name: metrics.read(record.document, METRICS[name]) for name in COMPARED}
    if record.document["samples_ns"] is None:
        lacks = f"{record.source} left no samples"
        no_draws = dict.fromkeys((*TIMES, "energy"), lacks)
        return Side(label=label, record=record, readings=readings, no_draws=no_draws)
    samples = record.samples_ns() / 1e6
    found = intervals.figures(samples)
    for name in TIMES:
        if name not in found:
            too_few = f"{len(samples)} samples, {intervals.needed(name)} are needed"
            readings[name] = Reading(None, too_few)
        elif readings[name].value is None:  # p97, which older records do not have
            readings[name] = Reading(found[name])
    if samples.min() <= 0:
        reason = "the clock saw no time pass during a call"
        no_draws = dict.fromkeys((*TIMES, "energy"), reason)
        return Side(label=label, record=record, readings=readings, no_draws=no_draws)
    draws = intervals.redrawn(samples, seed=seed)
    energy, reason, share = _energy(record, readings["energy"], draws["mean"], seed=seed)
    if energy is None:
        no_draws = {"energy": reason}
    else:
        no_draws, draws = {}, {**draws, "energy": energy}
    return Side(
        label=label,
        record=record,
        readings=readings,
        draws=draws,
        no_draws=no_draws,
        sensor_share=share,
    )


def _energy(
    record: ProfileRecord, reading: Reading, means: Array, *, seed: int
) -> tuple[Array | None, str, float]:
    """Return what the energy of an inference could have been, or why that is not known.

    It is mean power times the time of an inference: both are drawn anew, each by itself.

    Returns:
        ``(replicates,)`` in mJ or None, the reason, and the sensor's share.
    """
    power = record.document["power"] or {}
    percent = power.get("uncertainty_pct")
    share = 0.0 if percent is None or not _is_number(percent) else percent / 100
    trace = power.get("trace")
    milliwatts = _numbers(trace.get("mw")) if isinstance(trace, dict) else None
    if milliwatts is None:
        return None, "no power trace was kept, so its spread is not known", share
    if len(milliwatts) < _FEWEST_POWERS:
        few = f"{len(milliwatts)} readings of power, {_FEWEST_POWERS} are needed"
        return None, few, share
    powers = intervals.redrawn(milliwatts, seed=seed)["mean"]
    if reading.value is None or reading.value <= 0 or powers.min() <= 0 or not 0 <= share < 1:
        return None, "power or its uncertainty is not of a kind to be compared", 0.0
    count = min(len(powers), len(means))
    relative = powers[:count] / milliwatts.mean() * means[:count] / means.mean()
    return reading.value * relative, "", share


def _numbers(values: Any) -> Array | None:
    if not isinstance(values, list) or not values or not all(map(_is_number, values)):
        return None
    return np.array(values, dtype=np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e18
