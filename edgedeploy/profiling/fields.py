"""What the values of a profile must be. Keys that are not named here are kept as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from edgedeploy.profiling.verdict import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SETTINGS: dict[str, Callable[[Any], str]] = {
    "rate": "{:g}/s".format,
    "fps": "{:g} fps".format,
    "streams": lambda count: "" if count == 1 else f"{count:g} streams",
}
"""Options that make two runs of one scenario different questions, and how they are written."""
ABSENT = object()
"""Stands for a key that is not there."""


def _is_text(value: object) -> bool:
    # what is not printable could steer the terminal that shows it
    return isinstance(value, str) and value.isprintable()


def _is_number(value: object) -> bool:
    # the bounds also refuse NaN, infinity and integers that no float can hold
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e18 < value < 1e18


def _is_amount(value: object) -> bool:
    return _is_number(value) and value >= 0  # type: ignore[operator]  # it is a number


def _is_positive_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(_is_text(item) for item in value)


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_positive_count, value))


def _is_options(value: object) -> bool:
    return isinstance(value, dict) and all(
        value.get(key) is None or _is_amount(value[key]) for key in SETTINGS
    )


def _is_amounts(value: object) -> bool:
    return isinstance(value, dict) and all(
        bound is None or _is_amount(bound) for bound in value.values()
    )


def _is_numbers_or_none(value: object) -> bool:
    return isinstance(value, dict) and all(
        number is None or _is_number(number) for number in value.values()
    )


def _is_variant(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_amount(value.get(key)) for key in ("alpha", "resolution", "rho")
    )


def _is_accuracy(value: object) -> bool:
    return isinstance(value, dict) and all(
        value.get(key) is None or _is_share(value[key]) for key in ("top1", "top5", "agreement")
    )


def _is_round(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _is_amount(value.get("p50"))
        and _is_positive_count(value.get("count"))
        and _is_amount(value.get("window_ns"))
        and _or_none(_is_number)(value.get("energy_mj_per_inference"))
    )


def _is_rounds(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_round, value))


def _is_verdict(value: object) -> bool:
    return (
        isinstance(value, dict) and value.get("level") in LEVELS and _is_texts(value.get("reasons"))
    )


def _is_names(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _is_change(value: object) -> bool:
    return isinstance(value, dict) and _is_text(value.get("from")) and _is_text(value.get("to"))


def _is_ab(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _is_text(value.get("id"))
        and value.get("side") in ("A", "B")
        and _is_names(value.get("against", {}))
        and _is_verdict(value.get("verdict"))
    )


def _is_share(value: object) -> bool:
    return _is_amount(value) and value <= 1  # type: ignore[operator]  # it is a number


def _or_none(is_good: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_good(value)


def _or_absent(is_good: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is ABSENT or is_good(value)


FIELDS: dict[str, Callable[[object], bool]] = {
    "created": lambda value: isinstance(value, str) and bool(_TIME.fullmatch(value)),
    "model": _is_text,
    "variant": _or_none(_is_variant),
    "artifact.backend": _is_text,
    "artifact.precision": _is_text,
    "artifact.sha256": _is_text,
    "artifact.size_bytes": _is_amount,
    "cost": _or_absent(_or_none(_is_amounts)),
    "device.name": _is_text,
    "device.model": _or_none(_is_text),
    "environment": _is_mapping,
    "power_mode_change": _or_absent(_or_none(_is_change)),
    "scenario": _is_text,
    "scenario_options": _or_absent(_is_options),
    "scenario_results": _or_absent(_is_mapping),
    "threads": _or_absent(_or_none(_is_positive_count)),
    "inside": _is_texts,
    "input_shape": _or_absent(_is_shape),
    **{f"latency_ms.{key}": _is_amount for key in ("p50", "mean", "std", "min", "max")},
    **{f"latency_ms.{key}": _or_none(_is_amount) for key in ("p90", "p95", "p99", "p99_9")},
    **{f"latency_ms.{key}": _or_absent(_or_none(_is_amount)) for key in ("p97", "jitter")},
    "latency_ms.bounds": _or_absent(_is_amounts),
    "latency_ms.count": _is_positive_count,
    "throughput_ips": _or_none(_is_amount),
    "cold_start_ms.load": _is_amount,
    "cold_start_ms.first_inference": _is_amount,
    "memory_mb.peak_rss": _or_none(_is_amount),
    "memory_mb.engine": _is_amount,
    "memory_mb.device": _or_none(_is_amount),
    "memory_mb.device_rule": _or_absent(_or_none(_is_text)),
    "memory_mb.device_phases": _or_absent(_or_none(_is_numbers_or_none)),
    "power": _or_none(_is_mapping),
    "power_reason": _or_none(_is_text),
    "energy_mj_per_inference": _or_none(_is_number),
    "energy_above_idle_mj_per_inference": lambda value: (
        value is ABSENT or value is None or _is_number(value)
    ),
    "accuracy": _or_none(_is_accuracy),
    "verdict.level": lambda value: value in LEVELS,
    "verdict.reasons": _is_texts,
    "samples_ns": lambda value: isinstance(value, str),
    "source": _or_absent(_is_text),
    "rounds": _or_absent(_is_rounds),
    "ab": _or_absent(_is_ab),
}
"""By dotted path, whether a value is what it must be."""
OURS_ALONE = (
    "artifact.size_bytes",
    "latency_ms.std",
    "cold_start_ms.load",
    "cold_start_ms.first_inference",
    "memory_mb.engine",
    "samples_ns",
)
"""What other programs do not tell: null in what they measured, never in what edgedeploy did."""
