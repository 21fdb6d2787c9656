"""All pairs compared and all gates judged: what ``edgedeploy compare`` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.comparing import changes, gates
from edgedeploy.comparing.sides import side
from edgedeploy.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedeploy.comparing.changes import Comparison
    from edgedeploy.comparing.gates import Gate, Outcome
    from edgedeploy.comparing.pairing import Lonely, Pair, Pairs

NOT_WORSE, WORSE, CANNOT_TELL = 0, 1, 8
"""The exit codes of gates; `MeasurementError.exit_code` where something was refused."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pair that was not compared, because the two do not measure the same.

    Attributes:
        name: Of the pair.
        error: Why, with both values.
    """

    name: str
    error: MeasurementError


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What came of all pairs.

    Attributes:
        comparisons: Those that were compared.
        refusals: Those that were not.
        lonely: What had no partner.
        outcomes: Of every gate for every pair.
    """

    comparisons: tuple[Comparison, ...]
    refusals: tuple[Refusal, ...]
    lonely: tuple[Lonely, ...]
    outcomes: tuple[Outcome, ...]

    def exit_code(self, *, unknown_fails: bool) -> int:
        """Return 1 if a gate failed, else 7 if a pair was refused, else 8 if one cannot be told.

        Args:
            unknown_fails: Whether what cannot be told counts; without gates nothing does.
        """
        states = {outcome.state for outcome in self.outcomes}
        if gates.FAILED in states:
            return WORSE
        if self.refusals:
            return MeasurementError.exit_code
        return CANNOT_TELL if unknown_fails and gates.UNKNOWN in states else NOT_WORSE


def compare_all(
    found: Pairs,
    conditions: Sequence[Gate],
    *,
    labels: tuple[str, str],
    lonely_counts: bool,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Results:
    """Compare every pair and judge every gate.

    Args:
        found: What goes together.
        conditions: The gates; none: nothing is judged.
        labels: What the two sides are called, usually their paths.
        lonely_counts: Whether what is missing on the second side cannot be told either.
        progress: Called with (pairs done, pairs in all).
    """
    comparisons: list[Comparison] = []
    refusals: list[Refusal] = []
    outcomes: list[Outcome] = []
    for number, pair in enumerate(found.pairs, start=1):
        try:
            compared = _compared(pair, labels)
        except MeasurementError as error:
            refusals.append(Refusal(pair.name, error))
            outcomes += gates.unjudged(pair.name, conditions, error.problem)
        else:
            comparisons.append(compared)
            outcomes += gates.judge(compared, conditions)
        progress(number, len(found.pairs))
    for one in found.lonely:
        if one.is_new or lonely_counts:
            outcomes += gates.unjudged(one.name, conditions, one.reason)
    return Results(
        comparisons=tuple(comparisons),
        refusals=tuple(refusals),
        lonely=found.lonely,
        outcomes=tuple(outcomes),
    )


def _compared(pair: Pair, labels: tuple[str, str]) -> Comparison:
    first, second = (
        side(record, label=f"{label}, {record.created}")
        for label, record in zip(labels, (pair.first, pair.second), strict=True)
    )
    return changes.compare(first, second, name=pair.name)
