"""The recipes of `edgedeploy train` on one network, and what it learns from a larger one.

    python benchmarks/recipes.py cifar10-jpeg.zip [--teacher FILE] [-o runs/recipes]
        [--alpha 0.25] [--resolution 64] [--epochs 10] [--seed 1 2] [--page docs/training.md]

Each way trains the same network from the same seeds for the same epochs, and is looked at once on
the test images, in float32 with ONNX Runtime. An interrupted run goes on with the same command.
Without ``--teacher`` (a weight file of `train`) the last way is left out. With ``--page`` the
table goes between the marks there. Another teacher needs another ``-o``.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shipped import pages
from trainings import contest
from trainings.contest import Contender

from edgedeploy.errors import EdgeDeployError
from edgedeploy.files import write_atomically
from edgedeploy.types import Family

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainings.contest import Answer, Conditions

FAMILY = Family.MOBILENET_V1
RECIPES = ("best", "paper", "seed")


def contenders(alpha: float, teacher: Path | None) -> list[Contender]:
    """Return the ways to train, the first of which the others are set beside."""
    found = [Contender(family=FAMILY, alpha=alpha, recipe=recipe) for recipe in RECIPES]
    if teacher is not None:
        found.append(Contender(family=FAMILY, alpha=alpha, teacher=teacher))
    return found


def table(answers: Mapping[Contender, Sequence[Answer]], seeds: Sequence[int]) -> str:
    """Return the Markdown table: top-1 by seed, and the mean's distance to the first way."""
    first = next(iter(answers.values()))
    head = ["recipe", *(f"seed {seed}" for seed in seeds), *contest.SCORED]
    rows = [[who.way, *contest.scores(found, first)] for who, found in answers.items()]
    return pages.table(head, rows)


def text(asked: Conditions, answers: Mapping[Contender, Sequence[Answer]]) -> str:
    """Return what goes between the marks: the conditions, and the table."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    teacher = next((who.teacher for who in answers if who.teacher is not None), None)
    distilled = "" if teacher is None else f" Distilled from `{teacher.stem}`."
    (first, *_), alpha = next(iter(answers.values())), next(iter(answers)).alpha
    return (
        f"{FAMILY.value} α {alpha:g} at {asked.resolution} pixels, {asked.epochs} epochs, top-1 in "
        f"percent on {first.images:,} test images, {today}.{distilled}\n\n"
        f"{table(answers, asked.seeds)}"
    )


def main() -> int:
    """Train, evaluate and print the table; return the exit status."""
    parser = contest.parser((__doc__ or "").splitlines()[0], out="recipes", alpha=0.25, epochs=10)
    parser.add_argument("--teacher", type=Path, help="weight file of a larger network")
    options = parser.parse_args()
    asked = contest.conditions(options)
    try:
        ways = contenders(options.alpha, options.teacher)
        found = text(asked, {who: contest.answers(asked, who) for who in ways})
        if options.page is not None:
            write_atomically(options.page, pages.filled(options.page, {"recipes": found}).encode())
    except EdgeDeployError as error:
        print(f"{error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return error.exit_code
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
