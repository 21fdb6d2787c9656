"""What a variant must keep to. What was not measured keeps to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy import quantities
from edgedeploy.errors import UsageError
from edgedeploy.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.metrics import Metric
    from edgedeploy.selecting.candidates import Candidate

OPTIONS = {
    "max_p50": "p50",
    "max_p90": "p90",
    "max_p99": "p99",
    "min_top1": "top1",
    "min_agreement": "agreement",
    "max_energy": "energy",
    "max_rss": "peak_rss",
    "max_device_memory": "device_memory",
    "max_size": "size",
    "min_fps": "fps",
}
"""The metric of each option; its first word says which side is meant."""

_LEAST = 1e-9  # a limit below this is none


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit.

    Attributes:
        option: As it is typed, e.g. ``"--max-p99"``.
        metric: Of what.
        limit: In the metric's unit.
        is_max: Whether values must not be above it; else not below it.
        typed: The limit as it was typed.
    """

    option: str
    metric: Metric
    limit: float
    is_max: bool
    typed: str

    def holds(self, value: float) -> bool:
        """Return whether a value keeps to it; one that lies on the limit does."""
        return value <= self.limit if self.is_max else value >= self.limit


@dataclass(frozen=True, slots=True)
class Excess:
    """A value on the wrong side of a limit.

    Attributes:
        constraint: Whose limit.
        value: The variant's.
    """

    constraint: Constraint
    value: float

    @property
    def share(self) -> float:
        """By how much of itself the limit would have to move."""
        return abs(self.value - self.constraint.limit) / self.constraint.limit

    @property
    def keeping(self) -> str:
        """The option with a limit that the value just keeps to, as it could be typed."""
        one = self.constraint
        written = quantities.write_limit(self.value, one.metric.dimension, up=one.is_max)
        return f"{one.option} {written}"

    def __str__(self) -> str:
        one = self.constraint
        written = quantities.write(self.value, one.metric.dimension)
        return f"{one.metric.title} {written}, asked for {one.option} {one.typed}"


@dataclass(frozen=True, slots=True)
class Missing:
    """A limit that nobody knows to be kept.

    Attributes:
        constraint: Which.
        reason: Why the value is not known.
    """

    constraint: Constraint
    reason: str | None

    @property
    def brief(self) -> str:
        """It without the reason, which may be long."""
        one = self.constraint
        return f"{one.metric.title} not measured, asked for {one.option} {one.typed}"

    def __str__(self) -> str:
        return self.brief.replace(" not measured", f" not measured ({self.reason})", 1)


def parse(texts: Mapping[str, str | None]) -> tuple[Constraint, ...]:
    """Read limits as they were typed.

    Args:
        texts: By the names of `OPTIONS`; None: not asked for.

    Raises:
        UsageError: One has no unit, a wrong one, or is zero where nothing could keep to it.
    """
    found = []
    for name, text in texts.items():
        if text is None:
            continue
        option, metric = f"--{name.replace('_', '-')}", METRICS[OPTIONS[name]]
        limit = quantities.parse(text, metric.dimension, name=option)
        is_max = name.startswith("max")
        if is_max and limit < _LEAST:
            raise UsageError(
                f"{option} is {text!r}: nothing can keep to that",
                fix=f"write e.g. {metric.dimension.example}",
            )
        found.append(Constraint(option, metric, limit, is_max, text))
    return tuple(found)


def violations(
    candidate: Candidate, constraints: tuple[Constraint, ...]
) -> tuple[Excess | Missing, ...]:
    """Return what a variant does not keep to."""
    found: list[Excess | Missing] = []
    for constraint in constraints:
        reading = candidate.readings[constraint.metric.name]
        if reading.value is None:
            found.append(Missing(constraint, reading.reason))
        elif not constraint.holds(reading.value):
            found.append(Excess(constraint, reading.value))
    return tuple(found)
