"""The command that trains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgedeploy.cli import options
from edgedeploy.cli.output import JsonFlag, print_json, progress
from edgedeploy.errors import UsageError
from edgedeploy.optional import needs


def register(app: typer.Typer) -> None:
    """Add this file's command to ``app``."""
    app.command()(train)


def train(
    family: Annotated[str, typer.Argument(help="mobilenet_v1 or mobilenet_v2.")],
    data: options.Data,
    alpha: Annotated[float, typer.Option(help="Width multiplier.")] = 0.25,
    resolutions: Annotated[
        str, typer.Option(help="Input sides, one is drawn per batch; the largest is the base.")
    ] = "112,96,80,64",
    epochs: Annotated[int, typer.Option(help="Passes over the images.")] = 30,
    batch: Annotated[int, typer.Option(help="Images per step.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate of SGD.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 1,
    tag: Annotated[str, typer.Option(help="Last part of the files' names.")] = "trained",
    threads: options.Threads = None,
    out: Annotated[
        Path | None, typer.Option("-o", help="Folder of the run.", show_default="runs/<name>")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Train a variant for several resolutions at once; the same command again goes on."""
    from edgedeploy.images import open_images
    from edgedeploy.training.recipe import EpochRecord, TrainSpec
    from edgedeploy.types import Family

    spec = TrainSpec(
        family=Family.parse(family),
        alpha=alpha,
        resolutions=_integers("--resolutions", resolutions),
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        tag=tag,
    )
    folder = out or Path("runs", f"{family}_{alpha:.2f}_{tag}")
    with needs("torch", extra="train"):
        import torch

        from edgedeploy.training import running
    if threads is not None:
        torch.set_num_threads(threads)

    def report(record: EpochRecord) -> None:
        top1 = "  ".join(f"{r}: {share:.1%}" for r, share in record.held_out_top1.items())
        print(f"epoch {record.epoch}/{epochs}  loss {record.loss:.3f}  {top1}", file=sys.stderr)

    with progress("training") as moved:
        paths = running.train(open_images(data), spec, folder, step=moved, epoch_done=report)
    if json:
        print_json({"weights": [str(path) for path in paths]})
        return
    for path, resolution in zip(paths, spec.resolutions, strict=True):
        print(
            f"{path}\n  edgedeploy export {family} --alpha {alpha:g} --resolution {resolution} "
            f"--weights {path} --tag {tag}"
        )


def _integers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"{option} is {text!r}", fix="write numbers with commas: 112,96"
        ) from error
