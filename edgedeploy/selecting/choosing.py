"""The choice: the best variant that keeps to everything, and why each of the others fell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy import quantities, shares
from edgedeploy.metrics import METRICS
from edgedeploy.selecting import pareto
from edgedeploy.selecting.constraints import Excess, violations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgedeploy.selecting.candidates import Candidate
    from edgedeploy.selecting.constraints import Constraint, Missing

LATENCY = "latency"
PREFERENCES = {
    "accuracy": ("top1", LATENCY, "energy", "size"),
    "latency": (LATENCY, "top1", "energy", "size"),
    "energy": ("energy", "top1", LATENCY, "size"),
    "size": ("size", "top1", LATENCY, "energy"),
}
"""In which order variants are compared, by what is preferred."""

_LATENCIES = ("p99", "p90", "p50")  # the first that all have
_AXES = ("top1", LATENCY, "energy", "peak_rss")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one variant.

    Attributes:
        candidate: Which.
        violations: What it does not keep to.
        barred: Why it may not be chosen whatever it measures; None: it may.
        beaten: In what the chosen one is better; None where that was not the question.
        on_front: Whether no other variant that may be chosen beats it in everything.
    """

    candidate: Candidate
    violations: tuple[Excess | Missing, ...]
    barred: str | None
    beaten: str | None
    on_front: bool


@dataclass(frozen=True, slots=True)
class Nearest:
    """The variant for which the limits would have to give least.

    Attributes:
        candidate: Which.
        gives: What would have to give.
    """

    candidate: Candidate
    gives: tuple[Excess, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The answer.

    Attributes:
        chosen: The best variant; None if none keeps to everything.
        fates: Of all variants, the best first.
        nearest: Where none was chosen; None too if every variant lacks a value.
        constraints: That were asked for.
        prefer: A key of `PREFERENCES`.
        latency: The metric that variants were compared by.
        axes: The metrics of the Pareto front.
        notes: What a reader should know of the comparison.
    """

    chosen: Candidate | None
    fates: tuple[Fate, ...]
    nearest: Nearest | None
    constraints: tuple[Constraint, ...]
    prefer: str
    latency: str
    axes: tuple[str, ...]
    notes: tuple[str, ...]


def choose(
    candidates: Sequence[Candidate],
    constraints: tuple[Constraint, ...],
    *,
    prefer: str = "accuracy",
    suspects: bool = False,
) -> Choice:
    """Choose the best variant that keeps to all constraints.

    Args:
        candidates: At least one.
        constraints: Limits; none: the best of all.
        prefer: A key of `PREFERENCES`.
        suspects: Whether a suspect measurement may be chosen; an invalid one never may.
    """
    cases = [
        _Case(one, violations(one, constraints), _barred(one, suspects=suspects))
        for one in candidates
    ]
    allowed = [case for case in cases if case.barred is None]
    feasible = [case for case in allowed if not case.violations]
    compared = [case.candidate for case in feasible or allowed or cases]
    latency = _latency(compared)
    order = [latency if name == LATENCY else name for name in PREFERENCES[prefer]]
    cases.sort(key=lambda case: _rank(case.candidate, order))
    chosen = min(feasible, key=lambda case: _rank(case.candidate, order), default=None)
    usable = [case.candidate for case in allowed]
    axes = tuple(_latency(usable or compared) if name == LATENCY else name for name in _AXES)
    front = {id(one) for one in pareto.front(usable, axes)}
    fates = tuple(
        Fate(
            candidate=case.candidate,
            violations=case.violations,
            barred=case.barred,
            beaten=_beaten(case, chosen, order),
            on_front=id(case.candidate) in front,
        )
        for case in cases
    )
    return Choice(
        chosen=None if chosen is None else chosen.candidate,
        fates=fates,
        nearest=_nearest(allowed, order) if chosen is None else None,
        constraints=constraints,
        prefer=prefer,
        latency=latency,
        axes=axes,
        notes=(*_notes(compared, order, latency), *_chance(chosen, feasible, order)),
    )


@dataclass(frozen=True, slots=True)
class _Case:
    """A variant with what is held against it."""

    candidate: Candidate
    violations: tuple[Excess | Missing, ...]
    barred: str | None


def _barred(candidate: Candidate, *, suspects: bool) -> str | None:
    level = candidate.level
    if level == "measured" or (level == "suspect" and suspects):
        return None
    return ": ".join([level, "; ".join(candidate.record.reasons)]).removesuffix(": ")


def _latency(candidates: Sequence[Candidate]) -> str:
    """Return the highest percentile that all have: a p99 is not compared with a p90."""
    return next(
        (
            name
            for name in _LATENCIES
            if all(one.readings[name].value is not None for one in candidates)
        ),
        _LATENCIES[-1],
    )


def _rank(candidate: Candidate, order: Sequence[str]) -> tuple[object, ...]:
    return (*(pareto.cost(candidate, name) for name in order), candidate.name)


def _beaten(case: _Case, chosen: _Case | None, order: Sequence[str]) -> str | None:
    """Return the first metric of the order in which the chosen one is better."""
    if chosen is None or case is chosen or case.violations or case.barred:
        return None
    one, best = case.candidate, chosen.candidate
    for name in order:
        if pareto.cost(one, name) != pareto.cost(best, name):
            title = METRICS[name].title
            return f"{title} {_value(one, name)}, the chosen one has {_value(best, name)}"
    return "equal in everything, behind by name"


def _value(candidate: Candidate, name: str) -> str:
    """Return a metric of a variant for people."""
    found = candidate.readings[name].value
    if found is None:
        return "not measured"
    return quantities.write(found, METRICS[name].dimension)


def _nearest(allowed: Sequence[_Case], order: Sequence[str]) -> Nearest | None:
    """Return the variant whose furthest limit has to move least, then all of them together."""
    found: list[tuple[tuple[object, ...], Nearest]] = []
    for case in allowed:
        gives = tuple(one for one in case.violations if isinstance(one, Excess))
        if gives and len(gives) == len(case.violations):
            shares = [one.share for one in gives]
            distance = (max(shares), sum(shares), _rank(case.candidate, order))
            found.append((distance, Nearest(case.candidate, gives)))
    return min(found, key=lambda one: one[0])[1] if found else None


def _notes(compared: Sequence[Candidate], order: Sequence[str], latency: str) -> Iterator[str]:
    """Say by what variants were compared where that is not what one would think."""
    if latency != _LATENCIES[0]:
        one = next(one for one in compared if not _has(one, _LATENCIES[0]))
        reason = one.readings[_LATENCIES[0]].reason
        yield f"compared by {latency}: {one.name} has no {_LATENCIES[0]} ({reason})"
    first = METRICS[order[0]]
    lacking = [one.name for one in compared if not _has(one, first.name)]
    if lacking:
        yield f"{first.title} not measured, so ranked last: {', '.join(lacking)}"
    rules = {one.record.document["memory_mb"].get("device_rule") for one in compared} - {None}
    if len(rules) > 1:
        yield f"device memory is not of one kind: {', or '.join(sorted(map(str, rules)))}"
    accuracies = [one.record.document["accuracy"] or {} for one in compared]
    named = {str(one["data"]) for one in accuracies if one.get("data") is not None}
    data = sorted(name if name.isprintable() else repr(name) for name in named)
    if len(data) > 1:
        yield f"accuracy is of different images: {', '.join(data)}"


def _chance(chosen: _Case | None, feasible: Sequence[_Case], order: Sequence[str]) -> Iterator[str]:
    """Say where the highest top-1 is not surely higher than the others'."""
    if chosen is None or order[0] != "top1":
        return
    best = chosen.candidate
    count = shares.images(best.record.document)
    near = [
        case.candidate.name
        for case in feasible
        if count is not None and _is_near(case.candidate, best, count)
    ]
    if near:
        told = f"of {count} images: with others it could be that of {', '.join(near)}"
        yield f"the highest top-1 is that of {best.name}, {told}"


def _is_near(one: Candidate, best: Candidate, count: int) -> bool:
    """Return whether a lower top-1 could be the higher one with other images."""
    mine, highest = one.readings["top1"].value, best.readings["top1"].value
    if mine is None or highest is None or mine == highest:
        return False
    return shares.difference(mine, highest, count)[0] <= 0


def _has(candidate: Candidate, name: str) -> bool:
    return candidate.readings[name].value is not None
