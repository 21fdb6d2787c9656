"""Options that several commands share, and the values they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from edgedeploy.images import ImageSet
    from edgedeploy.model_file import ModelHints

Models = Annotated[
    list[Path] | None,
    typer.Argument(help="ONNX files, or folders of them.", show_default="all of ./models"),
]
Artifacts = Annotated[
    list[Path] | None,
    typer.Argument(help="Artifacts, or folders of them.", show_default="all of ./build"),
]
Data = Annotated[Path, typer.Option("--data", help="Image folder, zip, or folder inside a zip.")]
Samples = Annotated[
    int | None, typer.Option(help="How many images, evenly spaced over the sorted list.")
]
Every = Annotated[
    str | None, typer.Option(help="Which positions of the sorted list, e.g. 'i%5<2'.")
]
Mean = Annotated[
    str | None, typer.Option(help="Mean in 0-255 units: one number, or three with commas.")
]
Std = Annotated[str | None, typer.Option(help="Standard deviation in 0-255 units, as --mean.")]
Labels = Annotated[Path | None, typer.Option(help="Class names: one a line, or a JSON list.")]
InputShape = Annotated[
    str | None, typer.Option(help="Input size CxHxW, e.g. 3x224x224, where the model is dynamic.")
]
Resolution = Annotated[
    int | None, typer.Option(min=1, max=4096, help="Square input size in pixels.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, max=1024, show_default="physical cores", help="CPU threads.")
]


def hints(
    mean: str | None,
    std: str | None,
    labels: Path | None,
    input_shape: str | None = None,
    resolution: int | None = None,
) -> ModelHints:
    """Make `ModelHints` of the options.

    Raises:
        UsageError: One of them does not parse, or only one of a pair is given.
    """
    from edgedeploy.model_file import ModelHints
    from edgedeploy.pipeline import read_labels
    from edgedeploy.runtime.preprocessing import Preprocessing

    if (mean is None) != (std is None):
        given, lacking = ("--mean", "--std") if std is None else ("--std", "--mean")
        raise UsageError(f"{given} is given without {lacking}", fix="pass both, in 0-255 units")
    rule = None
    if mean is not None and std is not None:
        rule = Preprocessing(mean=_triple("--mean", mean), std=_triple("--std", std))
        if 0 in rule.std:
            raise UsageError("--std holds a 0", fix="pass three numbers above 0")
        if max(rule.std) < 1:
            raise UsageError(
                f"--std is {std}: that looks like pixels from 0 to 1",
                fix="pass --mean and --std in 0-255 units: multiply both by 255",
            )
    return ModelHints(
        preprocessing=rule,
        labels=None if labels is None else read_labels(labels),
        side=_side(input_shape, resolution),
    )


def chosen_images(data: Path, samples: int | None, every: str | None) -> ImageSet:
    """Open ``--data`` and keep what ``--every`` and ``--samples`` choose, in this order."""
    from edgedeploy.images import open_images

    images = open_images(data)
    if every is not None:
        images = images.every(every)
    return images if samples is None else images.evenly(samples)


def _side(input_shape: str | None, resolution: int | None) -> tuple[int, int] | None:
    if input_shape is None:
        return None if resolution is None else (resolution, resolution)
    try:
        channels, height, width = (int(n) for n in input_shape.lower().split("x"))
    except ValueError as error:
        raise UsageError(
            f"--input-shape is {input_shape!r}", fix="write CxHxW, e.g. 3x224x224"
        ) from error
    if channels != 3 or min(height, width) < 1 or resolution not in (None, height):
        raise UsageError(
            f"--input-shape is {input_shape!r}"
            + (f" and --resolution {resolution}" if resolution else ""),
            fix="write 3xHxW with H and W above 0"
            + (", and leave --resolution out" if resolution else ""),
        )
    return height, width


def _triple(option: str, text: str) -> tuple[float, float, float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{option} is {text!r}", fix="write 127.5 or 123.7,116.3,103.5") from error
    if len(values) not in (1, 3) or not all(abs(v) < float("inf") for v in values):
        raise UsageError(f"{option} is {text!r}", fix="write one number, or three with commas")
    red, green, blue = values * (3 // len(values))
    return red, green, blue
