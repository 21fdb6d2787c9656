"""How a quantised model's answers compare with the float model's, and the table of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.types import Array

_Z = 1.959964  # 97.5 % quantile of the normal distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One contender on one model.

    Attributes:
        model: Its name.
        contender: What quantised it, and how it was run.
        count: Pictures.
        agreement: Share with the same best class as the float model.
        top1: Share with the right best class.
        change: Of top-1 against the float model, in points.
        change_ci95: Paired interval of ``change``, in points.
        seconds: That calibrating took, where that was measured.
        problem: Why there are no numbers, else None.
    """

    model: str
    contender: str
    count: int = 0
    agreement: float = 0.0
    top1: float = 0.0
    change: float = 0.0
    change_ci95: tuple[float, float] = (0.0, 0.0)
    seconds: float | None = None
    problem: str | None = None


def score(
    model: str, contender: str, found: Array, reference: Array, labels: Array, *, seconds: float
) -> Score:
    """Compare answers.

    Args:
        model: Its name.
        contender: What gave ``found``.
        found: ``(n,)``, best classes of the quantised model.
        reference: ``(n,)``, those of the float model.
        labels: ``(n,)``, the right classes.
        seconds: That calibrating took.
    """
    right, before = found == labels, reference == labels
    gained, lost = int((right & ~before).sum()), int((~right & before).sum())
    low, high = paired_interval(gained, lost, len(labels))
    return Score(
        model=model,
        contender=contender,
        count=len(labels),
        agreement=float((found == reference).mean()),
        top1=float(right.mean()),
        change=100 * (gained - lost) / len(labels),
        change_ci95=(100 * low, 100 * high),
        seconds=seconds,
    )


def paired_interval(gained: int, lost: int, count: int) -> tuple[float, float]:
    """Return the 95 % score interval of the difference of two paired shares.

    Args:
        gained: Pairs that only the second has right.
        lost: Pairs that only the first has right.
        count: All pairs.

    Example:
        >>> [round(end, 3) for end in paired_interval(0, 0, 300)]
        [-0.013, 0.013]

    Source:
        T. Tango, Equivalence test and confidence interval for the difference in proportions for
        the paired-sample design, Statistics in Medicine 17, 1998.
    """
    middle = (gained - lost) / count

    def beyond(difference: float) -> bool:
        a, c = 2 * count, -lost * difference * (1 - difference)
        b = (2 * count - gained + lost) * difference - gained - lost
        share = (sqrt(max(b * b - 4 * a * c, 0)) - b) / (2 * a)
        variance = count * (2 * share + difference * (1 - difference))
        return (gained - lost - count * difference) ** 2 > _Z**2 * max(variance, 0)

    ends = []
    for outer in (-1.0, 1.0):
        inside, outside = middle, outer
        for _ in range(60):
            between = (inside + outside) / 2
            inside, outside = (inside, between) if beyond(between) else (between, outside)
        ends.append(inside)
    return ends[0], ends[1]


def table(scores: Sequence[Score]) -> str:
    """Return Markdown: a row per contender, a column per model, both in the order they came."""
    models = list(dict.fromkeys(found.model for found in scores))
    cells = {(found.contender, found.model): _cell(found) for found in scores}
    rows = [
        ["agreement %, change of top-1 [95 %]", *models],
        ["---", *["---:"] * len(models)],
        *(
            [contender, *(cells.get((contender, model), "") for model in models)]
            for contender in dict.fromkeys(found.contender for found in scores)
        ),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(found: Score) -> str:
    if found.problem is not None:
        return f"not measured: {found.problem}"
    low, high = found.change_ci95
    return f"{100 * found.agreement:.1f}, {found.change:+.1f} [{low:+.1f}, {high:+.1f}]"
