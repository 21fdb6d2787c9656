"""Tables 4 and 5 of the MobileNet paper, small: full convolutions, and five blocks fewer.

    python benchmarks/shapes.py cifar10-jpeg.zip [-o runs/shapes] [--alpha 0.5] [--resolution 64]
        [--epochs 5] [--seed 1 2] [--page docs/tradeoffs.md]

V1 of a width beside the same with full 3×3 convolutions, and 0.75 of that width beside the whole
width with five blocks fewer: each trained from the same seeds for the same epochs, and looked at
once on the test images, in float32 with ONNX Runtime. An interrupted run goes on with the same
command. With ``--page`` the tables go between the marks there, and the drawing to `images/` beside
it. `zoo.py` trains the networks of the paper's own width, which takes a GPU.
"""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from shipped import pages
from shipped.counted import words
from shipped.plots import Axis, Plot, Point
from trainings import contest
from trainings.contest import Contender

from edgedeploy.errors import EdgeDeployError
from edgedeploy.files import write_atomically
from edgedeploy.training.spec import STYLE
from edgedeploy.types import Family
from edgedeploy.zoo import networks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainings.contest import Answer, Conditions

_CLASSES = 10
_THINNER = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two networks of about the same work, or of the same shape.

    Attributes:
        title: What they are compared for.
        one: What the other is set beside.
        other: Trained alike.
    """

    title: str
    one: Contender
    other: Contender


def pairs(alpha: float) -> tuple[Pair, Pair]:
    """Return tables 4 and 5 of the paper (arXiv 1704.04861), at a width of ours."""
    return (
        Pair(
            title="Depthwise against full convolution",
            one=Contender(family=Family.MOBILENET_V1, alpha=alpha),
            other=Contender(family=Family.MOBILENET_V1_FULL, alpha=alpha),
        ),
        Pair(
            title="Thinner against shallower",
            one=Contender(family=Family.MOBILENET_V1, alpha=round(alpha * _THINNER, 6)),
            other=Contender(family=Family.MOBILENET_V1_SHALLOW, alpha=alpha),
        ),
    )


def text(
    asked: Conditions, compared: Sequence[Pair], answers: Mapping[Contender, Sequence[Answer]]
) -> str:
    """Return what goes between the marks: the conditions, the drawing and the tables."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    head = (
        *("network", "multiply-adds", "parameters"),
        *(f"seed {seed}" for seed in asked.seeds),
        *contest.SCORED,
    )
    tables = []
    for pair in compared:
        first = answers[pair.one]
        rows = [
            [_words(who), *_size(asked, who), *contest.scores(answers[who], first)]
            for who in (pair.one, pair.other)
        ]
        tables.append(f"#### {pair.title}\n\n{pages.table(head, rows)}")
    how = (
        f"{asked.resolution} pixels, {_CLASSES} classes, {asked.epochs} epochs, top-1 in percent "
        f"on {contest.images(answers):,} test images, {today}."
    )
    return "\n\n".join([how, plot(asked, compared, answers).markdown(), *tables])


def plot(
    asked: Conditions, compared: Sequence[Pair], answers: Mapping[Contender, Sequence[Answer]]
) -> Plot:
    """Return accuracy against work, the two of a pair joined."""

    def top1(who: Contender) -> float:
        return fmean(each.top1 for each in answers[who])

    def point(who: Contender) -> Point:
        return Point(_multiply_adds(asked, who), top1(who), _words(who))

    gaps = [
        f"{_words(pair.other)} {top1(pair.other):.1%}, {_words(pair.one)} {top1(pair.one):.1%}"
        for pair in compared
    ]
    return Plot(
        file="shapes.svg",
        title="Accuracy of four shapes against multiply-adds",
        desc=f"Top-1: {'; '.join(gaps)}.",
        series={pair.title: [point(pair.one), point(pair.other)] for pair in compared},
        x=Axis(title="multiply-adds of one image", format="~s", is_log=True),
        y=Axis(title="top-1, CIFAR-10", format=".0%"),
    )


def _words(who: Contender) -> str:
    return words(who.family, who.alpha)


def _size(asked: Conditions, who: Contender) -> tuple[str, str]:
    network = networks.network(who.family, alpha=who.alpha, classes=_CLASSES, style=STYLE)
    return f"{_multiply_adds(asked, who) / 1e6:.1f} M", f"{network.parameters() / 1e6:.2f} M"


def _multiply_adds(asked: Conditions, who: Contender) -> int:
    network = networks.network(who.family, alpha=who.alpha, classes=_CLASSES, style=STYLE)
    return network.multiply_adds(asked.resolution)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, evaluate, print the tables and draw; return the exit status."""
    parser = contest.parser((__doc__ or "").splitlines()[0], out="shapes", alpha=0.5, epochs=5)
    options = parser.parse_args(arguments)
    asked, compared = contest.conditions(options), pairs(options.alpha)
    try:
        if options.page is not None:  # before an hour of training
            pages.filled(options.page, {"shapes": ""})
        answers = {
            who: contest.answers(asked, who) for pair in compared for who in (pair.one, pair.other)
        }
        found = text(asked, compared, answers)
        if options.page is not None:
            drawn = plot(asked, compared, answers)
            write_atomically(options.page.parent / "images" / drawn.file, drawn.draw().encode())
            write_atomically(options.page, pages.filled(options.page, {"shapes": found}).encode())
    except EdgeDeployError as error:
        print(f"{error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return error.exit_code
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
