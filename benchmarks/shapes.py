"""Tables 4 and 5 of the MobileNet paper, small: full convolutions, and five blocks fewer.

    python benchmarks/shapes.py cifar10-jpeg.zip [--table 4] [-o runs/shapes] [--alpha 0.5]
        [--resolution 64] [--epochs 5] [--seed 1 2] [--page docs/tradeoffs.md]

V1 of a width beside the same with full 3×3 convolutions (table 4), and 0.75 of that width beside
the whole width with five blocks fewer (table 5): each trained from the same seeds for the same
epochs, and looked at once on the test images, in float32 with ONNX Runtime. An interrupted run goes
on with the same command. With ``--page`` a table goes between its marks there, and its drawing, of
how the two learned, to `images/` beside it. `zoo.py` trains the networks of the paper's own width,
which takes a GPU.
"""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass
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
    from collections.abc import Sequence

    from trainings.contest import Answer, Conditions

_CLASSES = 10
_THINNER = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two networks of about the same work, or of the same shape.

    Attributes:
        name: In the marks of its part of the page, and of its drawing.
        title: What they are compared for.
        one: What the other is set beside.
        other: Trained alike.
    """

    name: str
    title: str
    one: Contender
    other: Contender


def pairs(alpha: float) -> dict[int, Pair]:
    """Return tables 4 and 5 of the paper (arXiv 1704.04861) by their number, at a width of ours."""
    return {
        4: Pair(
            name="shape-full",
            title="Depthwise against full convolution",
            one=Contender(family=Family.MOBILENET_V1, alpha=alpha),
            other=Contender(family=Family.MOBILENET_V1_FULL, alpha=alpha),
        ),
        5: Pair(
            name="shape-shallow",
            title="Thinner against shallower",
            one=Contender(family=Family.MOBILENET_V1, alpha=round(alpha * _THINNER, 6)),
            other=Contender(family=Family.MOBILENET_V1_SHALLOW, alpha=alpha),
        ),
    }


def text(asked: Conditions, pair: Pair, one: Sequence[Answer], other: Sequence[Answer]) -> str:
    """Return the conditions and the table of a pair, whose answers are of the same seeds."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    head = (
        *("network", "multiply-adds", "parameters"),
        *(f"seed {seed}" for seed in asked.seeds),
        *contest.SCORED,
    )
    rows = [
        [_words(who), *_size(who, asked.resolution), *contest.scores(found, one)]
        for who, found in ((pair.one, one), (pair.other, other))
    ]
    how = (
        f"{asked.resolution} pixels, {_CLASSES} classes, {asked.epochs} epochs, top-1 in percent "
        f"on {one[0].images:,} test images, {today}."
    )
    return f"#### {pair.title}\n\n{how}\n\n{pages.table(head, rows)}"


def plot(pair: Pair, one: Sequence[float], other: Sequence[float]) -> Plot:
    """Return how the two learned: held-out top-1 after each epoch, 0 to 1."""
    curves = {_words(pair.one): one, _words(pair.other): other}
    ends = (
        f"{name} {100 * curve[0]:.1f} % and {100 * curve[-1]:.1f} %"
        for name, curve in curves.items()
    )
    return Plot(
        file=f"{pair.name}.svg",
        title=f"{pair.title}, epoch by epoch",
        desc=f"Held-out top-1 after the first epoch and after the last: {', '.join(ends)}.",
        series={
            name: [Point(epoch, top1) for epoch, top1 in enumerate(curve, start=1)]
            for name, curve in curves.items()
        },
        x=Axis(title="epoch", format="d"),
        y=Axis(title="top-1, held-out images", format=".0%"),
    )


def _words(who: Contender) -> str:
    return words(who.family, who.alpha)


def _size(who: Contender, resolution: int) -> tuple[str, str]:
    network = networks.network(who.family, alpha=who.alpha, classes=_CLASSES, style=STYLE)
    adds, parameters = network.multiply_adds(resolution), network.parameters()
    return f"{adds / 1e6:.1f} M", f"{parameters / 1e6:.2f} M"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, evaluate, print the tables and draw; return the exit status."""
    parser = contest.parser((__doc__ or "").splitlines()[0], out="shapes", alpha=0.5, epochs=5)
    parser.add_argument("--table", type=int, choices=(4, 5), help="of the paper; default: both")
    options = parser.parse_args(arguments)
    asked, known = contest.conditions(options), pairs(options.alpha)
    wanted = [known[options.table]] if options.table else list(known.values())
    try:
        if options.page is not None:  # before an hour of training
            pages.filled(options.page, {pair.name: "" for pair in wanted})
        for pair in wanted:
            both = (pair.one, pair.other)
            table = text(asked, pair, *(contest.answers(asked, who) for who in both))
            drawn = plot(pair, *(contest.curve(asked, who) for who in both))
            found = f"{table}\n\n{drawn.markdown()}"
            if options.page is not None:
                page = pages.filled(options.page, {pair.name: found})
                write_atomically(options.page.parent / "images" / drawn.file, drawn.draw().encode())
                write_atomically(options.page, page.encode())
            print(found, flush=True)
    except EdgeDeployError as error:
        print(f"{error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
