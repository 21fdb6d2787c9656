"""Train, export and calibrate the zoo on CIFAR-10: what ships, or the whole grid on a GPU.

python benchmarks/zoo.py cifar10-jpeg.zip [--all] [--only mobilenet_v1_0.50] [--list]

A training whose weight files are there is skipped if they say that they are of this very training,
one that was interrupted goes on at its last whole epoch, and the other commands do nothing where
nothing has changed: the same command again finishes what is left. ``--list`` prints the commands
and runs nothing.

The test images play no part here: `edgedeploy eval` looks at them once, when all is trained.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy.errors import EdgeDeployError, FileError
from edgedeploy.training import recipes
from edgedeploy.types import Family, Variant
from edgedeploy.zoo import native_weights

TAG = "cifar10"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One training: a network for all of its resolutions.

    Attributes:
        family: Which line of networks.
        alpha: Width multiplier.
        resolutions: Input sides; the first is the base.
        fine_tune: Epochs at each of them alone.
        epochs: Of all of them together; None: the recipe's.
        ships: Whether its models are in ``models/``.
        compared: Whether it is only there to compare others with: its models go to `COMPARED_IN`,
            as float alone.
    """

    family: str
    alpha: float
    resolutions: tuple[int, ...]
    fine_tune: int
    epochs: int | None = None
    ships: bool = False
    compared: bool = False

    @property
    def name(self) -> str:
        """What ``--only`` calls it."""
        return self.variant(self.resolutions[0]).width_name

    def variant(self, resolution: int) -> Variant:
        """Return one of the models."""
        return Variant(Family.parse(self.family), self.alpha, resolution)


_V1, _V2 = (112, 96, 80, 64), (112, 64)
# the first was trained before there was fine-tuning, and ships as it came out; the one with epochs
# of its own had no more time
GRID = (
    Row(family="mobilenet_v1", alpha=0.25, resolutions=_V1, fine_tune=0, ships=True),
    Row(family="mobilenet_v1", alpha=0.5, resolutions=_V1, epochs=20, fine_tune=1, ships=True),
    Row(family="mobilenet_v1", alpha=0.75, resolutions=_V1, fine_tune=2),
    Row(family="mobilenet_v1", alpha=1.0, resolutions=_V1, fine_tune=2),
    Row(family="mobilenet_v2", alpha=0.35, resolutions=_V2, fine_tune=1, ships=True),
    Row(family="mobilenet_v2", alpha=0.5, resolutions=_V2, fine_tune=2),
    Row(family="mobilenet_v2", alpha=1.0, resolutions=_V2, fine_tune=2),
)
# docs/tradeoffs.md: V1 α 0.75 against the first, V1 α 1 against the second
COMPARED = (
    Row(family="mobilenet_v1_shallow", alpha=1.0, resolutions=_V1, fine_tune=2, compared=True),
    Row(family="mobilenet_v1_full", alpha=1.0, resolutions=_V1, fine_tune=2, compared=True),
)
COMPARED_IN = Path("runs", "compared")


@dataclass(frozen=True, slots=True)
class Step:
    """One call of edgedeploy.

    Attributes:
        arguments: Of the command line.
        makes: The files of a training; where they are there, it is done. The other commands
            know themselves whether there is something to do.
        origin: What these files say of their training.
    """

    arguments: tuple[str, ...]
    makes: tuple[Path, ...] = ()
    origin: tuple[tuple[str, object], ...] = ()

    def done(self) -> bool:
        """Return whether nothing is left to do.

        Raises:
            FileError: The files are there, and of another training.
        """
        if not self.makes or not all(path.exists() for path in self.makes):
            return False
        found = [_origin(path) for path in self.makes]
        for key, wanted in self.origin:
            for path, theirs in zip(self.makes, found, strict=True):
                other = theirs.get(key, "something that it does not say")
                if key == "fine_tune" and other == 0:
                    return wanted == 0  # it may be added afterwards
                if other != wanted:
                    raise FileError(
                        f"{path} is of a training with {key} = {other}, this one has {wanted}",
                        fix=f"move the folder away: mv {path.parent} {path.parent}_before",
                    )
        return True


def _origin(path: Path) -> dict[str, Any]:
    """Return what a weight file says of its training."""
    _, metadata = native_weights.open_safetensors(path)
    try:
        origin = json.loads(metadata[native_weights.METADATA_KEY])["origin"]
        return {**json.loads(origin["recipe"]), "fine_tune": int(origin["fine_tune"])}
    except (KeyError, ValueError, TypeError) as error:
        raise FileError(
            f"{path} does not say how it was trained: {error!r}",
            fix=f"move it away: mv {path} {path}.old",
        ) from error


def steps(row: Row, data: Path, threads: int | None, recipe: str = "best") -> list[Step]:
    """Return the calls that make one row's models and their calibrations."""
    run = Path("runs", f"{row.name}_{TAG}")
    names = [f"{row.variant(side).name}_{TAG}" for side in row.resolutions]
    weights = [run / f"{name}.safetensors" for name in names]
    folder = COMPARED_IN if row.compared else Path("models")
    models = [folder / f"{name}.onnx" for name in names]
    common = () if threads is None else ("--threads", str(threads))
    alpha = ("--alpha", str(row.alpha))
    epochs = () if row.epochs is None else ("--epochs", str(row.epochs))
    training = Step(
        (
            *("train", row.family, *alpha, "--data", f"{data}/train", "--recipe", recipe),
            *("--resolutions", ",".join(map(str, row.resolutions))),
            *("--fine-tune", str(row.fine_tune), "--tag", TAG, "--seed", "1", "-o", str(run)),
            *epochs,
            *common,
        ),
        tuple(weights),
        (
            *(("recipe", recipe), ("epochs", row.epochs or recipes.get(recipe).epochs)),
            *(("seed", 1), ("resolutions", list(row.resolutions)), ("fine_tune", row.fine_tune)),
        ),
    )
    exports = [
        Step(
            (
                *("export", row.family, *alpha, "--resolution", str(side), "--tag", TAG),
                *("--weights", str(weight), "-o", str(folder)),
            ),
        )
        for side, weight in zip(row.resolutions, weights, strict=True)
    ]
    calibration = Step(("calibrate", *map(str, models), "--data", f"{data}/train"))
    return [training, *exports] if row.compared else [training, *exports, calibration]


def chosen(only: list[str], *, everything: bool) -> list[Row]:
    """Return the rows asked for: those named, else those that ship, or the whole grid."""
    rows = (*GRID, *COMPARED)
    unknown = sorted(set(only) - {row.name for row in rows})
    if unknown:
        sys.exit(f"no row is called {unknown[0]}; use one of: {', '.join(r.name for r in rows)}")
    if only:
        return [row for row in rows if row.name in only]
    return [row for row in GRID if everything or row.ships]


def main() -> None:
    """Run, or list, the steps of the rows that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="archive or folder with train/<class>/…")
    parser.add_argument("--all", action="store_true", help="the whole grid, not what ships alone")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="one network")
    parser.add_argument("--recipe", default="best", help="paper, seed or best")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--list", action="store_true", help="print the commands, run nothing")
    options = parser.parse_args()
    try:
        for row in chosen(options.only, everything=options.all):
            for step in steps(row, options.data, options.threads, options.recipe):
                _take(step, lists=options.list)
    except EdgeDeployError as error:
        print(f"{error.problem}\n  fix: {error.fix}", file=sys.stderr)
        sys.exit(error.exit_code)


def _take(step: Step, *, lists: bool) -> None:
    """Print a step, and run it where something is left to do."""
    done = step.done()
    print(f"{'# done: ' if done else ''}edgedeploy {shlex.join(step.arguments)}", flush=True)
    if not done and not lists:
        command = [sys.executable, "-m", "edgedeploy", *step.arguments]
        if code := subprocess.run(command, check=False).returncode:
            sys.exit(code)  # it has said why


if __name__ == "__main__":
    main()
