"""A choice as something to look at: a table with its notes, and one JSON document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy import quantities
from edgedeploy.metrics import METRICS
from edgedeploy.selecting.candidates import power_mode
from edgedeploy.selecting.constraints import Excess, Missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.metrics import Reading
    from edgedeploy.selecting.choosing import Choice, Fate, Nearest
    from edgedeploy.selecting.constraints import Constraint

CHOSEN, FRONT = ">", "*"

_ALWAYS = ("top1", "energy", "peak_rss", "size")
_LEVELS = {"measured": "", "suspect": "?", "invalid": "!"}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text, one for each variant.

    Attributes:
        titles: Of the columns.
        rows: None for what was not measured.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


def table(choice: Choice) -> Table:
    """Return all variants, the best first: a mark, the name, and the metrics that count."""
    asked = [one.metric.name for one in choice.constraints]
    names = list(dict.fromkeys([choice.latency, *asked, *_ALWAYS]))
    return Table(
        ("", "variant", *(METRICS[name].title for name in names)),
        tuple(
            (
                _mark(choice, fate),
                fate.candidate.name,
                *(_cell(fate.candidate.readings[name], name) for name in names),
            )
            for fate in choice.fates
        ),
    )


def notes(choice: Choice) -> Iterator[str]:
    """Yield what stands below the table: the marks, the choice, and why the others fell."""
    axes = ", ".join(METRICS[name].title for name in choice.axes)
    yield f"{CHOSEN} chosen  {FRONT} Pareto front of {axes}  ? suspect  ! invalid"
    yield from (f"note: {note}" for note in choice.notes)
    if choice.chosen is not None:
        yield f"chosen: {choice.chosen.name}"
    for fate in choice.fates:
        if fate.candidate is not choice.chosen:
            yield f"fell: {fate.candidate.name}: {'; '.join(_brief(fate))}"
    yield from _absent(choice)
    if choice.chosen is None:
        yield from _infeasible(choice)


def reasons(fate: Fate) -> list[str]:
    """Return why a variant was not chosen; empty for one against which nothing is held."""
    return [*map(str, fate.violations), *_other_reasons(fate)]


def _brief(fate: Fate) -> list[str]:
    """Return `reasons`, without why a value is absent: `_absent` says that once for all."""
    briefly = [one.brief if isinstance(one, Missing) else str(one) for one in fate.violations]
    return [*briefly, *_other_reasons(fate)]


def _absent(choice: Choice) -> Iterator[str]:
    """Yield why values are absent, each reason once, with the variants if it is not of all."""
    told: dict[tuple[str, str | None], list[str]] = {}
    for fate in choice.fates:
        for one in fate.violations:
            if isinstance(one, Missing):
                key = (one.constraint.metric.title, one.reason)
                told.setdefault(key, []).append(fate.candidate.name)
    for (title, reason), names in told.items():
        whose = "" if len(names) == len(choice.fates) else f" of {', '.join(names)}"
        yield f"not measured: {title}{whose}: {reason}"


def _other_reasons(fate: Fate) -> list[str]:
    found = []
    if fate.barred is not None:
        found.append(fate.barred)
    if fate.beaten is not None:
        found.append(fate.beaten)
    return found


def document(choice: Choice, *, exit_code: int) -> dict[str, Any]:
    """Return everything as one JSON document."""
    return {
        "chosen": None if choice.chosen is None else choice.chosen.name,
        "prefer": choice.prefer,
        "latency": choice.latency,
        "constraints": [_constraint(one) for one in choice.constraints],
        "candidates": [_candidate(fate) for fate in choice.fates],
        "pareto": {
            "axes": list(choice.axes),
            "front": [fate.candidate.name for fate in choice.fates if fate.on_front],
        },
        "nearest": None if choice.nearest is None else _nearest(choice.nearest),
        "notes": list(choice.notes),
        "exit_code": exit_code,
    }


def _infeasible(choice: Choice) -> Iterator[str]:
    if all(fate.barred is not None for fate in choice.fates):
        yield "none may be chosen: each is suspect or invalid"
    else:
        yield "no variant keeps to every limit"
    if choice.nearest is not None:
        gives = [f"{one.keeping} ({_given(one)})" for one in choice.nearest.gives]
        yield f"nearest: {choice.nearest.candidate.name}, with {', '.join(gives)}"
    for fate in choice.fates:
        if fate.barred is not None and not fate.violations:
            level = fate.candidate.level
            again = "measure it again" + (", or --allow suspect" if level == "suspect" else "")
            yield f"would do: {fate.candidate.name}, but it is {level}: {again}"
        missing = [
            one.constraint.metric.title
            for one in fate.violations
            if isinstance(one, Missing) and _is_measured_there(one, fate)
        ]
        if fate.barred is None and missing and len(missing) == len(fate.violations):
            yield f"might do: {fate.candidate.name}, once measured: {', '.join(missing)}"


def _is_measured_there(missing: Missing, fate: Fate) -> bool:
    """Return whether measuring again could tell: only TensorRT's engines tell the GPU's memory."""
    of_gpu = missing.constraint.metric.name == "device_memory"
    return not of_gpu or fate.candidate.record.key.backend == "trt"


def _given(excess: Excess) -> str:
    sign = "+" if excess.constraint.is_max else "-"
    return f"{sign}{excess.share * 100:.3g} %"


def _mark(choice: Choice, fate: Fate) -> str:
    chosen = CHOSEN if fate.candidate is choice.chosen else " "
    front = FRONT if fate.on_front else " "
    return f"{chosen}{front}{_LEVELS[fate.candidate.level]}".rstrip()


def _cell(reading: Reading, name: str) -> str | None:
    if reading.value is None:
        return None
    return quantities.write(reading.value, METRICS[name].dimension)


def _constraint(one: Constraint) -> dict[str, Any]:
    return {
        "option": one.option,
        "metric": one.metric.name,
        "limit": one.limit,
        "unit": one.metric.dimension.unit,
    }


def _candidate(fate: Fate) -> dict[str, Any]:
    one = fate.candidate
    key = one.record.key
    return {
        "name": one.name,
        "model": key.model,
        "backend": key.backend,
        "precision": key.precision,
        "device": key.device,
        "scenario": key.scenario,
        "side": key.side,
        "threads": key.threads,
        "power_mode": power_mode(one.record),
        "source": one.record.source,
        "created": one.record.created,
        "sha256": one.record.document["artifact"]["sha256"],
        "verdict": {"level": one.level, "reasons": list(one.record.reasons)},
        "metrics": {
            name: {
                "value": reading.value,
                "unit": METRICS[name].dimension.unit,
                "reason": reading.reason,
            }
            for name, reading in one.readings.items()
        },
        "feasible": not fate.violations and fate.barred is None,
        "pareto": fate.on_front,
        "violations": [_violation(violation) for violation in fate.violations],
        "fell": reasons(fate),
    }


def _violation(one: Excess | Missing) -> dict[str, Any]:
    if isinstance(one, Excess):
        return {**_constraint(one.constraint), "value": one.value, "reason": None}
    return {**_constraint(one.constraint), "value": None, "reason": one.reason}


def _nearest(nearest: Nearest) -> dict[str, Any]:
    return {
        "name": nearest.candidate.name,
        "gives": [
            {**_violation(one), "relaxation": one.share, "try": one.keeping}
            for one in nearest.gives
        ],
    }
