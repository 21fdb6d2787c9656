"""May a measurement be believed? Reasons that a person understands, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy import stats
from edgedeploy.profiling import doubts
from edgedeploy.profiling.conditions import Conditions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.stats import Summary
    from edgedeploy.types import Array

LEVELS = ("measured", "suspect", "invalid")

__all__ = ["LEVELS", "Conditions", "Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a measurement may be believed.

    Attributes:
        level: ``"measured"``, ``"suspect"`` or ``"invalid"``.
        reasons: Why it is not ``"measured"``, one sentence each.
    """

    level: str
    reasons: tuple[str, ...] = ()


def judge(samples: Array, summary: Summary, conditions: Conditions) -> Verdict:
    """Look for what makes a measurement doubtful.

    Args:
        samples: ``(n,)`` nanoseconds in call order.
        summary: Of the same samples, in any unit.
        conditions: Around them.
    """
    if len(samples) < 2:
        return Verdict("invalid", (f"{stats.in_words(len(samples))}: that is no distribution",))
    if samples.min() <= 0:
        return Verdict("invalid", ("the clock saw no time pass during a call",))
    reasons = tuple(_doubts(samples, summary, conditions))
    return Verdict("suspect" if reasons else "measured", reasons)


def _doubts(samples: Array, summary: Summary, conditions: Conditions) -> Iterator[str]:
    if not conditions.settled:
        yield f"warm-up did not settle within {conditions.warm_up_s:.1f} s"
    yield from stats.doubts(samples, summary)
    yield from doubts.doubts(conditions, len(samples))
