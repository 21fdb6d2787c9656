"""The settings of each scenario: which there are, what they are by default, what they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedeploy import stats
from edgedeploy.errors import UnknownNameError, UsageError
from edgedeploy.worker.jobs import FRAME, MOST_QUERIES, MOST_STREAMS, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping

BELONGS_TO = {
    "streams": ("multi", "server"),
    "rate": ("server",),
    "fps": ("camera",),
    "batches": ("offline",),
}
"""By setting, the scenarios that know it."""

_DEFAULTS: dict[str, dict[str, Any]] = {
    "multi": {"streams": 2},
    "server": {"streams": 1},
    "camera": {"fps": 30.0},
}
_RANGES: dict[str, tuple[float, float]] = {
    "streams": (1, MOST_STREAMS),
    "rate": (0.1, 100_000),
    "fps": (0.1, 100_000),
    "batches": (1, 1024),
}
_SHARES = {name.replace("_", "."): share for name, share in stats.PERCENTILES.items()}


def share_of(percentile: str) -> float:
    """Return 0.99 for ``"p99"``.

    Raises:
        UnknownNameError: It is none of those that a record has.
    """
    if percentile not in _SHARES:
        raise UnknownNameError("percentile", percentile, tuple(_SHARES))
    return _SHARES[percentile]


def check(scenario: str, asked: Mapping[str, Any], duration_s: float) -> None:
    """Refuse what makes no sense.

    Args:
        scenario: That is to be run.
        asked: Its settings, as far as somebody named them.
        duration_s: Seconds of timed calls.

    Raises:
        UnknownNameError: There is no such scenario.
        UsageError: A setting is of another scenario, is lacking, or out of its range.
    """
    if scenario not in SCENARIOS:
        raise UnknownNameError("scenario", scenario, SCENARIOS)
    for name, value in asked.items():
        if scenario not in BELONGS_TO[name]:
            raise UsageError(
                f"--{name} is a setting of the scenario {' and '.join(BELONGS_TO[name])}, "
                f"{scenario} was asked for",
                fix=f"leave --{name} out, or pass --scenario {BELONGS_TO[name][0]}",
            )
        low, high = _RANGES[name]
        values = value if isinstance(value, tuple) else (value,)
        if not values or not all(low <= number <= high for number in values):
            shown = ", ".join(f"{number:g}" for number in values)
            raise UsageError(
                f"--{name} is {shown or 'empty'}, it must be {low:g} to {high:g}",
                fix=f"pass a number of {low:g} to {high:g}",
            )
    if scenario == "server" and "rate" not in asked:
        raise UsageError(
            "the scenario server needs to know how many queries come in a second",
            fix="pass --rate, e.g. --rate 50",
        )
    if max(asked.get("rate", 0), asked.get("fps", 0)) * duration_s > MOST_QUERIES:
        raise UsageError(
            f"{duration_s:g} s of that are more than {MOST_QUERIES} calls",
            fix="measure for a shorter time, or ask for less a second",
        )


def complete(scenario: str, asked: Mapping[str, Any], seed: int | None = None) -> dict[str, Any]:
    """Return the settings of a scenario with those that nobody named, as JSON values.

    Args:
        scenario: That is to be run.
        asked: As for `check`.
        seed: Of its input and arrivals: then it is among them, and all else that is fixed.
    """
    found = {**_DEFAULTS.get(scenario, {}), **asked}
    if "batches" in found:
        found["batches"] = list(found["batches"])
    if seed is not None:
        found["seed"] = seed
        if scenario == "camera":
            found["frame"] = list(FRAME)
    return found
