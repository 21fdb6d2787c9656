"""Comparisons as something to look at: lines for a terminal, Markdown, one JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgedeploy import metrics, quantities
from edgedeploy.comparing.changes import SAME
from edgedeploy.comparing.gates import FAILED, PASSED, UNKNOWN
from edgedeploy.comparing.sides import is_noisy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from edgedeploy.comparing.changes import Change, Comparison
    from edgedeploy.comparing.gates import Outcome
    from edgedeploy.comparing.intervals import Interval
    from edgedeploy.comparing.results import Results
    from edgedeploy.comparing.sides import Side
    from edgedeploy.metrics import Metric, Reading

TITLES = ("metric", "A", "B", "change", "95 % interval", "says")

_ALWAYS = ("p50", "p99", "energy")
_OF_ROUNDS = "*"
_NUMBERS = slice(1, 5)  # the columns that are aligned to the right


def lines(found: Results) -> Iterator[str]:
    """Yield what a terminal shows; no table is wider than 80 columns."""
    gated = _gated(found.outcomes)
    for number, comparison in enumerate(found.comparisons):
        if number:
            yield ""
        yield comparison.name
        yield f"  A  {_about(comparison.first)}"
        yield f"  B  {_about(comparison.second)}"
        yield from (f"  {line}" for line in _rounds(comparison))
        rows = [cells(change) for change in shown(comparison, gated)]
        yield from (f"  {line}" for line in _aligned([TITLES, *rows]))
        yield from (f"  {note}" for note in notes(comparison, gated))
        yield from (f"  {line}" for line in _verdicts(found, comparison))
    yield from _rest(found)


def markdown(found: Results) -> str:
    """Return the same as GitHub Markdown."""
    gated = _gated(found.outcomes)
    parts: list[str] = []
    for comparison in found.comparisons:
        parts += [f"### {_escaped(comparison.name)}", ""]
        parts += [f"- A: {_escaped(_about(comparison.first))}"]
        parts += [f"- B: {_escaped(_about(comparison.second))}"]
        parts += [*(f"- {_escaped(line)}" for line in _rounds(comparison)), ""]
        parts += [_row(TITLES), _row(["---", "---:", "---:", "---:", "---:", "---"])]
        parts += [
            _row([_escaped(cell) for cell in cells(change)]) for change in shown(comparison, gated)
        ]
        below = [*notes(comparison, gated), *_verdicts(found, comparison)]
        parts += ["", *(f"- {_escaped(line)}" for line in below), ""]
    parts += [f"- {_escaped(line)}" for line in _rest(found)]
    return "\n".join(parts).rstrip("\n") + "\n"


def document(found: Results, *, exit_code: int) -> dict[str, Any]:
    """Return everything as one JSON document."""
    return {
        "comparisons": [_comparison(one) for one in found.comparisons],
        "refused": [
            {"name": one.name, "problem": one.error.problem, "fix": one.error.fix}
            for one in found.refusals
        ],
        "unpaired": [{"name": one.name, "reason": one.reason} for one in found.lonely],
        "gates": [asdict(outcome) for outcome in found.outcomes],
        "exit_code": exit_code,
    }


def shown(comparison: Comparison, gated: Collection[str]) -> list[Change]:
    """Return the changes that are worth a row: p50, p99, energy, what has a gate, what moved.

    Of two machines without a sensor the energy has none: there is nothing to say of it.
    """
    return [
        change
        for change in comparison.changes
        if (change.metric.name in _ALWAYS and not _has_no_sensor(change))
        or change.metric.name in gated
        or (not is_noisy(change.metric) and change.ratio is not None and change.word != SAME)
    ]


def _has_no_sensor(change: Change) -> bool:
    reasons = (change.first.reason, change.second.reason)
    return all(reason is not None and metrics.lacks_sensor(reason) for reason in reasons)


def cells(change: Change) -> tuple[str, ...]:
    """Return a change as the texts of `TITLES`; a dash for what is not known."""
    metric = change.metric
    return (
        metric.title,
        _value(change.first, metric),
        _value(change.second, metric),
        _moved(change),
        _interval(change),
        change.word,
    )


def notes(comparison: Comparison, gated: Collection[str]) -> list[str]:
    """Explain each ``cannot tell``, each reason once, and name what else differs."""
    told: dict[str, list[str]] = {}
    for change in shown(comparison, gated):
        if change.reason is not None:
            told.setdefault(change.reason, []).append(change.metric.title)
    found = [f"{', '.join(titles)}: cannot tell: {reason}" for reason, titles in told.items()]
    if any(change.of_rounds and change.ratio is not None for change in shown(comparison, gated)):
        found.append(f"{_OF_ROUNDS} mean of the rounds' ratios, so not quite the ratio of A and B")
    return [*found, *(f"differs: {mismatch}" for mismatch in comparison.noted)]


def _gated(outcomes: Sequence[Outcome]) -> set[str]:
    """Return the names of the metrics that have a gate."""
    return {outcome.metric for outcome in outcomes}


def _verdicts(found: Results, comparison: Comparison) -> Iterator[str]:
    """Yield what became of the gates in one comparison."""
    for outcome in found.outcomes:
        if outcome.subject == comparison.name:
            yield f"{outcome.state}: {outcome.gate}: {outcome.reason}"


def _rest(found: Results) -> Iterator[str]:
    """Yield what was not compared, and how many gates came out how."""
    yield from (f"refused: {one.name}: {one.error.problem}" for one in found.refusals)
    yield from (f"not compared: {one.name}: {one.reason}" for one in found.lonely)
    states = [outcome.state for outcome in found.outcomes]
    if states:
        counts = [f"{states.count(state)} {state}" for state in (FAILED, UNKNOWN, PASSED)]
        yield f"gates: {', '.join(counts)}"


def _about(side: Side) -> str:
    level = side.record.level
    return side.label if level == "measured" else f"{side.label}, {level}"


def _rounds(comparison: Comparison) -> Iterator[str]:
    """Yield that the two were measured in turns, and that they are the same, if so."""
    if comparison.rounds is None:
        return
    yield f"in {comparison.rounds} rounds of both: the intervals are between rounds"
    one, two = (side.record.document for side in (comparison.first, comparison.second))
    if one["artifact"]["sha256"] == two["artifact"]["sha256"]:
        yield "A/A: one artifact on both sides, so whatever is found is chance"


def _value(reading: Reading, metric: Metric) -> str:
    return "–" if reading.value is None else quantities.write(reading.value, metric.dimension)


def _moved(change: Change) -> str:
    one, two = change.first.value, change.second.value
    if one is None or two is None:
        return "–"
    if change.metric.dimension is quantities.SHARE:
        return f"{(two - one) * 100:+.2f} pt"
    if change.metric.dimension is quantities.COUNT:
        return f"{two - one:+g}"
    if change.ratio is None:
        return "–"
    return f"{_percent(change.ratio)}{_OF_ROUNDS if change.of_rounds else ''}"


def _interval(change: Change) -> str:
    if change.metric.dimension is quantities.SHARE and change.difference is not None:
        return f"{change.difference.low * 100:+.1f} … {change.difference.high * 100:+.1f} pt"
    if change.interval is None:
        return "–"
    low, high = _percent(change.interval.low), _percent(change.interval.high)
    return f"{low} … {high}".replace(" % …", " …")


def _percent(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = range(len(widths))[_NUMBERS]
    for row in rows:
        padded = [
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(padded).rstrip()


def _comparison(one: Comparison) -> dict[str, Any]:
    return {
        "name": one.name,
        "first": _side(one.first),
        "second": _side(one.second),
        "rounds": one.rounds,
        "changes": {change.metric.name: _change(change) for change in one.changes},
        "differs": [asdict(mismatch) for mismatch in one.noted],
    }


def _side(side: Side) -> dict[str, Any]:
    record = side.record
    verdict = {"level": record.level, "reasons": list(record.reasons)}
    return {"label": side.label, "created": record.created, "verdict": verdict}


def _change(change: Change) -> dict[str, Any]:
    return {
        "unit": change.metric.dimension.unit,
        "first": change.first.value,
        "second": change.second.value,
        "ratio": change.ratio,
        "ratio_ci95": _ends(change.interval),
        "difference_ci95": _ends(change.difference),
        "resolution": change.resolution,
        "says": change.word,
        "reason": change.reason,
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _row(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"


def _escaped(text: str) -> str:
    """Keep a name from ending its cell or becoming HTML or emphasis."""
    for mark in "\\|<>*_[]`":
        text = text.replace(mark, f"\\{mark}")
    return text
