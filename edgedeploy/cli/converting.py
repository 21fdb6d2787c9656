"""The command that makes another network of a trained one: convert."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedeploy.cli import options
from edgedeploy.cli.output import JsonFlag, print_json, print_table, progress
from edgedeploy.cli.wrapping import print_lines
from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from edgedeploy.images import ImageSet

_SAMPLES = 100


class Method(str, Enum):
    """What is done to a network."""

    DAC = "dac"


def register(app: typer.Typer) -> None:
    """Add this file's command to ``app``."""
    app.command()(convert)


def convert(
    model: Annotated[Path, typer.Argument(help="A float ONNX file.")],
    method: Annotated[
        Method, typer.Option(help="dac: k×k convolutions to depthwise + 1×1, by SVD.")
    ] = Method.DAC,
    rank: Annotated[
        list[str] | None,
        typer.Option(
            metavar="R|LAYER=R,…",
            help="Filters per input channel: one number for all layers, or by layer; "
            "LAYER=keep leaves one as it is.",
        ),
    ] = None,
    target_flops: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Choose ranks: the share of all multiply-adds that may remain."
        ),
    ] = None,
    max_error: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Choose ranks: how far the output may move, relative to itself."
        ),
    ] = None,
    spare_first: Annotated[
        str | None,
        typer.Option(
            metavar="auto|N",
            help="First layers to leave as they are; auto: those measured to be sensitive.",
            show_default="0 with --rank, else auto",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Unlabelled images to measure errors on and to correct biases with.",
            show_default="noise, and no correction",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            help="How many images, evenly spaced over the sorted list.", show_default="100"
        ),
    ] = None,
    every: options.Every = None,
    correct_bias: Annotated[
        bool | None,
        typer.Option(
            help="Take back what the means of channels moved by.", show_default="with --data"
        ),
    ] = None,
    mean: options.Mean = None,
    std: options.Std = None,
    input_shape: options.InputShape = None,
    resolution: options.Resolution = None,
    threads: options.Threads = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", help="File to write.", show_default="MODEL_dac.onnx beside it"),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Make a trained CNN cheaper without training: standard to depthwise + 1×1 convolutions."""
    del method  # there is one
    from edgedeploy import pipeline
    from edgedeploy.converting.request import DacRequest, RankRule, parse_sparing

    request = DacRequest(
        rank=RankRule.parse(rank) if rank else None,
        target_flops=target_flops,
        max_error=max_error,
        spare_first=parse_sparing(spare_first),
        correct_bias=correct_bias,
        threads=threads,
    )
    hints = options.hints(mean, std, None, input_shape, resolution)
    images = _images(data, samples, every)
    with progress(model.stem) as moved:
        path, conversion, there = pipeline.convert(
            model, request, hints=hints, images=images, out=out, progress=moved
        )
    from edgedeploy.converting import showing

    if json:
        print_json({"path": str(path), "up_to_date": there, **showing.document(conversion)})
        return
    print_table(showing.COLUMNS, showing.rows(conversion))
    print_lines(showing.lines(conversion))
    for note in conversion.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{path}  up to date" if there else path)


def _images(data: Path | None, samples: int | None, every: str | None) -> ImageSet | None:
    if data is not None:
        return options.chosen_images(data, _SAMPLES if samples is None else samples, every)
    for option, value in (("--samples", samples), ("--every", every)):
        if value is not None:
            raise UsageError(
                f"{option} is {value}, and there are no images to choose from",
                fix="pass --data IMAGES, or leave it out",
            )
    return None
