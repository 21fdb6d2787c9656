"""Trainings under the same conditions: made where they are not there yet, tested once each."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from edgedeploy import evaluating, shares
from edgedeploy.errors import FileError
from edgedeploy.training.loop import LOG
from edgedeploy.types import Family, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

SCORED = ("to the first, points", "95 %")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is the same for all of a contest.

    Attributes:
        data: Archive or folder with ``train/`` and ``test/``.
        out: Folder of all that is made.
        resolution: Side of the input, in pixels.
        epochs: Passes over the training images.
        seeds: One training of each contender for each.
        threads: CPU threads; None: the default.
    """

    data: Path
    out: Path
    resolution: int
    epochs: int
    seeds: tuple[int, ...]
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """What is trained, and how.

    Attributes:
        family: Of the network.
        alpha: Width multiplier.
        recipe: Of `edgedeploy train`.
        teacher: Weight file of a larger network to learn from too; None: from the labels alone.
    """

    family: Family
    alpha: float
    recipe: str = "best"
    teacher: Path | None = None

    @property
    def way(self) -> str:
        """How it is trained, in words."""
        return self.recipe if self.teacher is None else f"{self.recipe}, distilled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one training came to.

    Attributes:
        top1: Share of right answers, 0 to 1.
        images: Of how many.
    """

    top1: float
    images: int


def parser(description: str, *, out: str, alpha: float, epochs: int) -> argparse.ArgumentParser:
    """Return the options that every contest has, with its own defaults."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("data", type=Path, help="archive or folder with train/ and test/")
    found.add_argument("-o", "--out", type=Path, default=Path("runs", out))
    found.add_argument("--alpha", type=float, default=alpha)
    found.add_argument("--resolution", type=int, default=64)
    found.add_argument("--epochs", type=int, default=epochs)
    found.add_argument("--seed", type=int, nargs="+", default=[1], help="one or more")
    found.add_argument("--threads", type=int, help="CPU threads")
    found.add_argument("--page", type=Path, help="page to write the tables into")
    return found


def conditions(options: argparse.Namespace) -> Conditions:
    """Return the conditions that the options ask for."""
    return Conditions(
        data=options.data,
        out=options.out,
        resolution=options.resolution,
        epochs=options.epochs,
        seeds=tuple(options.seed),
        threads=options.threads,
    )


def commands(asked: Conditions, who: Contender, seed: int) -> list[list[str]]:
    """Return the calls of edgedeploy that train a contender from one seed, and evaluate it."""
    tag, stem = _names(asked, who, seed)
    run, models, built = (asked.out / part for part in (stem, "models", "build"))
    alike = [who.family.value, "--alpha", str(who.alpha), "--tag", tag]
    few = [] if asked.threads is None else ["--threads", str(asked.threads)]
    teacher = [] if who.teacher is None else ["--teacher", str(who.teacher)]
    side = str(asked.resolution)
    weights, model = run / f"{stem}.safetensors", models / f"{stem}.onnx"
    return [
        [
            *("train", *alike, "--data", f"{asked.data}/train", "--recipe", who.recipe),
            *("--epochs", str(asked.epochs), "--resolutions", side, "--seed", str(seed)),
            *("-o", str(run), *teacher, *few),
        ],
        ["export", *alike, "--resolution", side, "--weights", str(weights), "-o", str(models)],
        ["build", str(model), "--backend", "ort", "--fp32", "-o", str(built)],
        ["eval", str(built / stem / "ort-fp32"), "--data", f"{asked.data}/test", *few],
    ]


def answers(asked: Conditions, who: Contender) -> tuple[Answer, ...]:
    """Train and evaluate what is not there yet; return what each seed came to.

    Raises:
        FileError: The images have no labels.
    """
    return tuple(_answer(asked, who, seed) for seed in asked.seeds)


def curve(asked: Conditions, who: Contender) -> list[float]:
    """Return a contender's top-1 after each epoch, 0 to 1, the mean of its seeds.

    It is of images held out of the training; none of them is a test image.

    Raises:
        FileError: The log of a training is not there.
    """
    runs = [_held_out(asked.out / _names(asked, who, seed)[1]) for seed in asked.seeds]
    return [fmean(epoch) for epoch in zip(*runs, strict=True)]


def scores(found: Sequence[Answer], first: Sequence[Answer]) -> list[str | None]:
    """Return cells of a table: top-1 by seed, then `SCORED`, the mean's distance to another's.

    Args:
        found: One for each seed.
        first: What it is set beside, for the same seeds; the same: no distance.
    """
    tops: list[str | None] = [f"{each.top1:.2%}"[:-1] for each in found]
    if found is first:
        return [*tops, None, None]
    before, after = (fmean(each.top1 for each in group) for group in (first, found))
    low, high = shares.difference(before, after, first[0].images)
    return [*tops, f"{100 * (after - before):+.2f}", f"{100 * low:+.2f} to {100 * high:+.2f}"]


def _answer(asked: Conditions, who: Contender, seed: int) -> Answer:
    folder = asked.out / "build" / _names(asked, who, seed)[1] / "ort-fp32"
    if not folder.exists() or evaluating.read(folder) is None:
        for arguments in commands(asked, who, seed):
            command = [sys.executable, "-m", "edgedeploy", *arguments]
            if code := subprocess.run(command, check=False).returncode:
                sys.exit(code)  # it has said why
    found = evaluating.read(folder)
    if found is None or found.top1 is None:
        raise FileError(
            f"{asked.data}/test gave no top-1", fix="pass labelled images: test/<class>/*.jpg"
        )
    return Answer(top1=found.top1, images=found.count)


def _held_out(run: Path) -> list[float]:
    try:
        lines = (run / LOG).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise FileError(
            f"the log of a training that was tested cannot be read: {error}",
            fix="pass another -o, to train anew",
        ) from error
    return [fmean(json.loads(line)["held_out_top1"].values()) for line in lines]


def _names(asked: Conditions, who: Contender, seed: int) -> tuple[str, str]:
    """Return the tag of a training, and the stem of its model, which its folder has too."""
    tag = f"{who.way.replace(', ', '_')}_{asked.epochs}_{seed}"
    return tag, f"{Variant(who.family, who.alpha, asked.resolution).name}_{tag}"
