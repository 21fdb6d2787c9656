"""The recipes of `edgedeploy train` on one network, and what it learns from a larger one.

    python benchmarks/recipes.py cifar10-jpeg.zip [--teacher FILE] [-o runs/recipes]
        [--alpha 0.25] [--resolution 64] [--epochs 10] [--seed 1 2] [--page docs/training.md]

Each way trains the same network from the same seeds for the same epochs, and is looked at once on
the test images, in float32 with ONNX Runtime. An interrupted run goes on with the same command.
Without ``--teacher`` (a weight file of `train`) the last way is left out. With ``--page`` the
table goes between the marks there. Another teacher needs another ``-o``.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from shipped import pages

from edgedeploy import evaluating, shares
from edgedeploy.errors import EdgeDeployError, FileError
from edgedeploy.files import write_atomically
from edgedeploy.types import Family, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAMILY = "mobilenet_v1"


class Way(NamedTuple):
    """How a network is trained: a recipe, and whether it learns from a larger network too."""

    recipe: str
    distils: bool = False

    def __str__(self) -> str:
        return f"{self.recipe}, distilled" if self.distils else self.recipe

    @property
    def word(self) -> str:
        """What stands in file names."""
        return f"{self.recipe}_distilled" if self.distils else self.recipe


WAYS = (Way("best"), Way("paper"), Way("seed"), Way("best", distils=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is the same for all ways.

    Attributes:
        data: Archive or folder with ``train/`` and ``test/``.
        out: Folder of all that is made.
        alpha: Width multiplier.
        resolution: Side of the input, in pixels.
        epochs: Passes over the training images.
        teacher: Weight file of the larger network; None: nothing is distilled.
        threads: CPU threads; None: the default.
    """

    data: Path
    out: Path
    alpha: float
    resolution: int
    epochs: int
    teacher: Path | None
    threads: int | None


def commands(question: Question, way: Way, seed: int) -> list[list[str]]:
    """Return the calls of edgedeploy that train one way from one seed, and evaluate it."""
    tag, variant = names(question, way, seed)
    run, models, built = (question.out / part for part in (variant, "models", "build"))
    alike = [FAMILY, "--alpha", str(question.alpha), "--tag", tag]
    few = [] if question.threads is None else ["--threads", str(question.threads)]
    teacher = ["--teacher", str(question.teacher)] if way.distils else []
    side = str(question.resolution)
    weights, model = run / f"{variant}.safetensors", models / f"{variant}.onnx"
    return [
        [
            *("train", *alike, "--data", f"{question.data}/train", "--recipe", way.recipe),
            *("--epochs", str(question.epochs), "--resolutions", side, "--seed", str(seed)),
            *("-o", str(run), *teacher, *few),
        ],
        ["export", *alike, "--resolution", side, "--weights", str(weights), "-o", str(models)],
        ["build", str(model), "--backend", "ort", "--fp32", "-o", str(built)],
        ["eval", str(built / variant / "ort-fp32"), "--data", f"{question.data}/test", *few],
    ]


def names(question: Question, way: Way, seed: int) -> tuple[str, str]:
    """Return the tag of a training, and the stem of its model, which its folder has too."""
    tag = f"{way.word}_{question.epochs}_{seed}"
    variant = Variant(Family.parse(FAMILY), question.alpha, question.resolution)
    return tag, f"{variant.name}_{tag}"


def answer(question: Question, way: Way, seed: int) -> tuple[float, int]:
    """Train and evaluate what is not there yet; return the share of right answers, and of what.

    Raises:
        FileError: The images have no labels.
    """
    folder = question.out / "build" / names(question, way, seed)[1] / "ort-fp32"
    if not folder.exists() or evaluating.read(folder) is None:
        for arguments in commands(question, way, seed):
            command = [sys.executable, "-m", "edgedeploy", *arguments]
            if code := subprocess.run(command, check=False).returncode:
                sys.exit(code)  # it has said why
    found = evaluating.read(folder)
    if found is None or found.top1 is None:
        raise FileError(
            f"{question.data}/test gave no top-1", fix="pass labelled images: test/<class>/*.jpg"
        )
    return found.top1, found.count


def table(answers: Mapping[Way, Sequence[tuple[float, int]]], seeds: Sequence[int]) -> str:
    """Return the Markdown table: top-1 by seed, and the mean's distance to the first way.

    Args:
        answers: (share, images) by way, one for each seed; the first way is what the others
            are set beside.
        seeds: Their seeds.
    """
    first = next(iter(answers.values()))
    head = ["recipe", *(f"seed {seed}" for seed in seeds), "to the first, points", "95 %"]
    rows = []
    for way, found in answers.items():
        before, after = (fmean(share for share, _ in each) for each in (first, found))
        low, high = shares.difference(before, after, first[0][1])
        beside = [f"{100 * (after - before):+.2f}", f"{100 * low:+.2f} to {100 * high:+.2f}"]
        tops = [f"{share:.2%}"[:-1] for share, _ in found]
        rows.append([str(way), *tops, *([None, None] if found is first else beside)])
    return pages.table(head, rows)


def text(
    question: Question, answers: Mapping[Way, Sequence[tuple[float, int]]], seeds: Sequence[int]
) -> str:
    """Return what goes between the marks: the conditions, and the table."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    images = next(iter(answers.values()))[0][1]
    teacher = "" if question.teacher is None else f" Distilled from `{question.teacher.stem}`."
    return (
        f"{FAMILY} α {question.alpha:g} at {question.resolution} pixels, {question.epochs} epochs, "
        f"top-1 in percent on {images:,} test images, {today}.{teacher}\n\n{table(answers, seeds)}"
    )


def main() -> int:
    """Train, evaluate and print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="archive or folder with train/ and test/")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs", "recipes"))
    parser.add_argument("--alpha", type=float, default=0.25)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one or more")
    parser.add_argument("--teacher", type=Path, help="weight file of a larger network")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--page", type=Path, help="page to write the table into")
    options = parser.parse_args()
    question = Question(
        data=options.data,
        out=options.out,
        alpha=options.alpha,
        resolution=options.resolution,
        epochs=options.epochs,
        teacher=options.teacher,
        threads=options.threads,
    )
    ways = [way for way in WAYS if options.teacher is not None or not way.distils]
    try:
        answers = {way: [answer(question, way, seed) for seed in options.seed] for way in ways}
        found = text(question, answers, options.seed)
        if options.page is not None:
            write_atomically(options.page, pages.filled(options.page, {"recipes": found}).encode())
    except EdgeDeployError as error:
        print(f"{error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return error.exit_code
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
