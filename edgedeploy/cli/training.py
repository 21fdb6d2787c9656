"""The command that trains."""

from __future__ import annotations

import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedeploy.cli import options
from edgedeploy.cli.output import JsonFlag, print_json, progress
from edgedeploy.errors import UsageError
from edgedeploy.optional import needs

if TYPE_CHECKING:
    from edgedeploy.training.spec import Distillation, EpochRecord


class RecipeName(str, Enum):
    """How to train; `edgedeploy.training.recipes` says what each is and where it comes from."""

    PAPER = "paper"
    SEED = "seed"
    BEST = "best"


def register(app: typer.Typer) -> None:
    """Add this file's command to ``app``."""
    app.command()(train)


def train(
    family: Annotated[
        str,
        typer.Argument(
            help="mobilenet_v1 or mobilenet_v2, or a V1 to compare with: _shallow, _full."
        ),
    ],
    data: options.Data,
    alpha: Annotated[float, typer.Option(help="Width multiplier.")] = 0.25,
    resolutions: Annotated[
        str, typer.Option(help="Input sides, one is drawn per batch; the largest is the base.")
    ] = "112,96,80,64",
    recipe: Annotated[
        RecipeName,
        typer.Option(help="The MobileNet paper's RMSprop, plain Adam, or SGD with cosine decay."),
    ] = RecipeName.BEST,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the images.", show_default="the recipe's")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Images per step.", show_default="the recipe's")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate.", show_default="the recipe's")
    ] = None,
    fine_tune: Annotated[
        int, typer.Option(help="Epochs at each resolution alone, behind the others.")
    ] = 0,
    teacher: Annotated[
        Path | None,
        typer.Option(help="Trained model to learn from: .onnx, or .safetensors of this command."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="With --teacher: what the logits are divided by.", show_default="4"),
    ] = None,
    soft_weight: Annotated[
        float | None,
        typer.Option(help="With --teacher: its share of the loss, 0 to 1.", show_default="0.9"),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store kernels as float16.")] = False,
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
    from edgedeploy.training import recipes
    from edgedeploy.training.spec import TrainSpec
    from edgedeploy.types import Family, Variant

    spec = TrainSpec(
        family=Family.parse(family),
        alpha=alpha,
        recipe=recipes.adjusted(
            recipes.get(recipe.value), epochs=epochs, batch=batch, learning_rate=learning_rate
        ),
        resolutions=_integers("--resolutions", resolutions),
        fine_tune=fine_tune,
        distillation=_distillation(teacher, temperature, soft_weight),
        half=half,
        seed=seed,
        tag=tag,
    )
    width = Variant(spec.family, spec.alpha, max(spec.resolutions)).width_name
    folder = out or Path("runs", f"{width}_{tag}")
    with needs("torch", extra="train"):
        import torch

        from edgedeploy.training import heap, running
    heap.keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    done: list[EpochRecord] = []

    def epoch_done(record: EpochRecord) -> None:
        done.append(record)
        _report(record)

    with progress("training") as moved:
        paths = running.train(
            open_images(data), spec, folder, step=moved, epoch_done=epoch_done, say=_say
        )
    if not done:
        print(f"{folder} was trained already", file=sys.stderr)
    if json:
        print_json({"weights": [str(path) for path in paths]})
        return
    for path, resolution in zip(paths, spec.resolutions, strict=True):
        arguments = ("--alpha", alpha, "--resolution", resolution, "--weights", path, "--tag", tag)
        command = shlex.join(["edgedeploy", "export", family, *map(str, arguments)])
        print(f"{path}\n  {command}")


def _distillation(
    teacher: Path | None, temperature: float | None, soft_weight: float | None
) -> Distillation | None:
    from edgedeploy.training.spec import Distillation

    numbers = {"temperature": temperature, "soft_weight": soft_weight}
    given = {name: number for name, number in numbers.items() if number is not None}
    if teacher is not None:
        return Distillation(teacher=teacher, **given)
    if given:
        option, number = next(iter(given.items()))
        raise UsageError(
            f"--{option.replace('_', '-')} is {number:g}, and there is no teacher",
            fix="pass --teacher FILE, or leave it out",
        )
    return None


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _report(record: EpochRecord) -> None:
    """Say on stderr how an epoch went."""
    top1 = "  ".join(f"{side}: {share:.1%}" for side, share in record.held_out_top1.items())
    loss = "" if record.loss is None else f"  loss {record.loss:.3f}"
    speed = "" if record.images_per_s is None else f"  {record.images_per_s:.0f} images/s"
    print(
        f"{record.phase} epoch {record.epoch}/{record.epochs}{loss}{speed}  {top1}",
        file=sys.stderr,
    )


def _integers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"{option} is {text!r}", fix="write numbers with commas: 112,96"
        ) from error
