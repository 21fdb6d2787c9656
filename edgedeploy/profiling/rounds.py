"""Two artifacts measured in turns, so that whatever drifts meets both alike.

Every turn is a worker process of its own: where a process lands in memory, and how warm the
machine is, varies from turn to turn and so becomes part of what is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgedeploy import stats
from edgedeploy.errors import EdgeDeployError, MeasurementError, UsageError
from edgedeploy.profiling import pooling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgedeploy.profiling.measuring import ProfileSpec
    from edgedeploy.profiling.records import ProfileRecord

    Measure = Callable[["Turn", ProfileSpec], ProfileRecord]

ROUNDS = 10
"""How many there are where nobody said."""
FEWEST, MOST = 2, 1000
SIDES = ("A", "B")

_LEAST_S = 0.5  # other processes are counted in hundredths of a second: 0.5 s tells 2 % of a CPU


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of one side.

    Attributes:
        number: Of its round, from 1.
        count: Rounds in all.
        side: ``"A"`` or ``"B"``.
    """

    number: int
    count: int
    side: str

    def __str__(self) -> str:
        """Return how a person is told: ``round 3 of 10, A``."""
        return f"round {self.number} of {self.count}, {self.side}"


def order(number: int) -> str:
    """Return which side goes first in a round: they take turns in that, too.

    Example:
        >>> [order(number) for number in (1, 2, 3)]
        ['AB', 'BA', 'AB']
    """
    return "AB" if number % 2 else "BA"


def turns(count: int) -> Iterator[Turn]:
    """Yield every turn of so many rounds, in balanced order."""
    for number in range(1, count + 1):
        for side in order(number):
            yield Turn(number, count, side)


def check(spec: ProfileSpec, count: int) -> None:
    """Refuse what cannot be measured in turns.

    Raises:
        UsageError: There are too few or too many rounds, or something is asked for that a pooled
            record does not hold.
    """
    if not FEWEST <= count <= MOST:
        raise UsageError(
            f"--rounds is {count}, it must be {FEWEST} to {MOST}",
            fix=f"leave --rounds out for {ROUNDS} of them",
        )
    if spec.layers:
        raise UsageError(
            "--ab and --layers were both asked for",
            fix="time the layers in a run of their own: edgedeploy profile --layers ARTIFACT",
        )
    if spec.scenario != "single":
        raise UsageError(
            f"--ab measures the scenario single, {spec.scenario} was asked for",
            fix="leave --scenario out, or profile each artifact and edgedeploy compare them",
        )


def spec_of_turn(spec: ProfileSpec, count: int) -> ProfileSpec:
    """Return how to measure one turn of ``count`` rounds.

    It lasts its share of the duration, but half a second at least (or all of a duration below
    that), and has its share of the calls, but as many as a verdict of its own needs.
    """
    seconds = max(spec.duration_s / count, min(spec.duration_s, _LEAST_S))
    runs = max(-(-spec.least_runs // count), stats.required_samples(0.90))
    return replace(spec, duration_s=seconds, min_runs=runs, percentile="p90")


def measure(
    spec: ProfileSpec,
    count: int,
    measure_one: Measure,
    *,
    name: str,
    agree: Callable[[ProfileRecord, ProfileRecord], bool] = lambda _first, _second: True,
) -> tuple[ProfileRecord, ProfileRecord]:
    """Measure two artifacts in turns and make one record of each.

    Args:
        spec: How, all rounds of one side together.
        count: Rounds.
        measure_one: Measures one turn; it knows which artifact is on which side.
        name: Of this run: what tells its two records from those of another.
        agree: Whether two records mean the same by their numbers. Where they no longer do there is
            no further round: what is there is kept, and comparing it says what is wrong.

    Returns:
        The record of A and that of B.

    Raises:
        UsageError: See `check`.
        EdgeDeployError: A turn failed; the message says which.
        MeasurementError: As that, or a side's engine was not the same in all rounds.
    """
    check(spec, count)
    part = spec_of_turn(spec, count)
    found: dict[str, list[ProfileRecord]] = {side: [] for side in SIDES}
    for turn in turns(count):
        found[turn.side].append(_measured(turn, part, measure_one, found[turn.side]))
        one, two = found["A"], found["B"]
        if len(one) == len(two) and not agree(one[-1], two[-1]):
            break
    first, second = (_pooled(side, found, spec, name) for side in SIDES)
    return first, second


def _measured(
    turn: Turn, spec: ProfileSpec, measure_one: Measure, before: list[ProfileRecord]
) -> ProfileRecord:
    try:
        record = measure_one(turn, spec)
    except EdgeDeployError as error:
        raise type(error)(f"{turn}: {error.problem}", fix=error.fix) from error
    if before and _engine(before[0]) != _engine(record):
        raise MeasurementError(
            f"{turn}: its engine is {_engine(record)[:12]}, that of round 1 was "
            f"{_engine(before[0])[:12]}",
            fix="build it for this machine first, and leave it alone while it is measured",
        )
    return record


def _pooled(
    side: str, found: dict[str, list[ProfileRecord]], spec: ProfileSpec, name: str
) -> ProfileRecord:
    other = found[SIDES[1 - SIDES.index(side)]][0].document
    ab = {
        "id": name,
        "side": side,
        "order": [order(number) for number in range(1, len(found[side]) + 1)],
        "against": {
            "model": other["model"],
            **{key: other["artifact"][key] for key in ("backend", "precision", "sha256")},
        },
    }
    return pooling.pool(found[side], options=spec.options(), ab=ab)


def _engine(record: ProfileRecord) -> str:
    return str(record.document["artifact"]["sha256"])
