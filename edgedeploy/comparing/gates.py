"""Conditions under which a comparison fails: ``p99 > +5%``, read strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.comparing.intervals import Interval
from edgedeploy.comparing.sides import COMPARED, is_noisy
from edgedeploy.errors import UnknownNameError, UsageError
from edgedeploy.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.comparing.changes import Change, Comparison
    from edgedeploy.metrics import Metric

PASSED, FAILED, UNKNOWN = "passed", "failed", "cannot tell"

_FORM = re.compile(
    r"\s*(\w+(?:\.\w+)?)\s*([<>])\s*([+-]?)\s*(\d+(?:\.\d+)?)\s*([A-Za-z%]*)\s*", re.ASCII
)
_UNITS = {
    "time": ("%", "ms"),
    "energy": ("%", "mJ"),
    "size": ("%", "MB"),
    "share": ("points",),
    "count": ("",),
    "work": ("%", "M"),
}
_EXAMPLES = {"%": "+5%", "points": "-0.5points", "": "-2"}


@dataclass(frozen=True, slots=True)
class Gate:
    """A change that must not be.

    Attributes:
        text: As it was typed.
        metric: Whose change.
        above: Whether the change fails above `amount`; else below it.
        amount: A share of the first value (0.05: 5 %), or in the metric's unit; with its sign.
        is_relative: Which of the two it is.
    """

    text: str
    metric: Metric
    above: bool
    amount: float
    is_relative: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one gate.

    Attributes:
        subject: Name of the comparison, or of what could not be compared.
        gate: The gate's text.
        metric: Name of the gate's metric.
        state: ``"passed"``, ``"failed"`` or ``"cannot tell"``.
        reason: The change that decided it, or why nothing can be said.
    """

    subject: str
    gate: str
    metric: str
    state: str
    reason: str


def parse(text: str) -> Gate:
    """Read a gate: a metric, ``>`` or ``<``, and a change with its sign and unit.

    Raises:
        UnknownNameError: There is no such metric.
        UsageError: It is not of that form, or the unit is not one of the metric's.

    Example:
        >>> gate = parse("p99 > +5%")
        >>> gate.metric.name, gate.above, gate.amount, gate.is_relative
        ('p99', True, 0.05, True)
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!r} is no condition on a change",
            fix="write a metric, > or <, and a change: 'p99 > +5%' or 'top1 < -0.5points'",
        )
    name, operator, sign, digits, unit = found.groups()
    if name not in COMPARED:
        raise UnknownNameError("metric of compare", name, COMPARED)
    metric = METRICS[name]
    units = _UNITS[metric.dimension.name]
    example = f"'{name} {operator} {_example(units[0], operator)}'"
    if unit not in units and (unit or float(digits) != 0):  # nothing is nothing in any unit
        known = " or ".join(one or "no unit" for one in units)
        wrong = f"the unit {unit!r}" if unit else "no unit"
        raise UsageError(
            f"{text!r} has {wrong}; a change of {name} is in {known}", fix=f"write e.g. {example}"
        )
    if not sign and float(digits) != 0:
        raise UsageError(
            f"{text!r} has no sign: it could be a change or a value",
            fix=f"a change has a sign: {name} {operator} +{digits}{unit} or -{digits}{unit}",
        )
    size = float(digits) / (100 if unit in {"%", "points"} else 1)
    return Gate(text.strip(), metric, operator == ">", -size if sign == "-" else size, unit == "%")


def judge(comparison: Comparison, gates: Sequence[Gate]) -> tuple[Outcome, ...]:
    """Return what becomes of each gate in one comparison."""
    changes = {change.metric.name: change for change in comparison.changes}
    return tuple(_outcome(comparison.name, gate, changes[gate.metric.name]) for gate in gates)


def unjudged(subject: str, gates: Sequence[Gate], reason: str) -> tuple[Outcome, ...]:
    """Return the outcomes for what could not be compared at all."""
    return tuple(Outcome(subject, gate.text, gate.metric.name, UNKNOWN, reason) for gate in gates)


def _outcome(subject: str, gate: Gate, change: Change) -> Outcome:
    seen = _seen(gate, change)
    if change.doubt is not None or seen is None:
        reason = change.doubt or "the first value is 0, so there is no ratio"
        return Outcome(subject, gate.text, gate.metric.name, UNKNOWN, reason)
    low, high = (seen.low, seen.high) if gate.above else (-seen.high, -seen.low)
    limit = gate.amount if gate.above else -gate.amount
    text = _change_text(gate, seen)
    if low > limit:
        return Outcome(subject, gate.text, gate.metric.name, FAILED, text)
    if high <= limit:
        return Outcome(subject, gate.text, gate.metric.name, PASSED, text)
    return Outcome(
        subject, gate.text, gate.metric.name, UNKNOWN, f"{text}: on both sides of the limit"
    )


def _seen(gate: Gate, change: Change) -> Interval | None:
    """Return where the change lies, as the gate counts it; None: not known."""
    if is_noisy(change.metric):
        if gate.is_relative and change.interval is not None:
            return Interval(change.interval.low - 1, change.interval.high - 1)
        return change.difference if not gate.is_relative else None
    if change.first.value is None or change.second.value is None:
        return None
    moved, apart = change.second.value - change.first.value, change.resolution or 0.0
    if gate.is_relative:
        if change.ratio is None:
            return None
        moved, apart = change.ratio - 1, apart / change.first.value
    # 0.875 - 0.870 is the 0.005 that was meant
    return Interval(round(moved - apart, 12), round(moved + apart, 12))


def _change_text(gate: Gate, seen: Interval) -> str:
    unit = "%" if gate.is_relative else "points" if gate.metric.dimension.name == "share" else ""
    scale = 100.0 if unit else 1.0
    unit = f" {unit or gate.metric.dimension.unit}".rstrip()
    low, high = (f"{end * scale:+.4g}" for end in (seen.low, seen.high))
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def _example(unit: str, operator: str) -> str:
    text = _EXAMPLES.get(unit, f"+1{unit}")
    return text.replace("-", "+") if operator == ">" else text.replace("+", "-")
