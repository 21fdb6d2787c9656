"""Commands that make what a build needs: export, calibrate."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedeploy.cli import options
from edgedeploy.cli.output import (
    JsonFlag,
    error_document,
    print_failure,
    print_json,
    progress,
    whole,
)
from edgedeploy.errors import EdgeDeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Method(str, Enum):
    """How a range is chosen from what was seen."""

    AUTO = "auto"
    ENTROPY = "entropy"
    MINMAX = "minmax"
    MSE = "mse"
    PERCENTILE = "percentile"


class Step(str, Enum):
    """What calibrating does beyond ranges."""

    EQUALISE = "equalise"
    ROUND = "round"
    CORRECT_BIAS = "correct-bias"


class Preset(str, Enum):
    """Who published the weights, which decides style and preprocessing."""

    TORCHVISION = "torchvision"
    TIMM_V1 = "timm-v1"
    TIMM_V2 = "timm-v2"
    KERAS = "keras"
    EDGEDEPLOY = "edgedeploy"


class ActivationName(str, Enum):
    """The activation of weights that do not say it."""

    RELU = "relu"
    RELU6 = "relu6"


def register(app: typer.Typer) -> None:
    """Add this file's commands to ``app``."""
    app.command()(export)
    app.command()(calibrate)


def export(
    family: Annotated[
        str,
        typer.Argument(
            help="mobilenet_v1, mobilenet_v2, mobilenet_v1_shallow or mobilenet_v1_full; with "
            "--module any name."
        ),
    ],
    resolution: Annotated[int, typer.Option(help="Input side in pixels.")],
    alpha: Annotated[float | None, typer.Option(help="Width multiplier.")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="State dict (.pth, .safetensors), Keras file (.h5, .keras), or ours."),
    ] = None,
    random_weights: Annotated[
        int | None, typer.Option(metavar="SEED", help="Untrained weights, for speed only.")
    ] = None,
    module: Annotated[
        str | None, typer.Option(help="Your own torch module: package.module:factory.")
    ] = None,
    preset: Annotated[Preset | None, typer.Option(help="Who published the weights.")] = None,
    activation: Annotated[
        ActivationName | None, typer.Option(help="Where neither weights nor preset say it.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="Outputs.", show_default="as the weights have")
    ] = None,
    base_resolution: Annotated[
        int | None,
        typer.Option(help="Input side for which ρ is 1.", show_default="224, or as the weights"),
    ] = None,
    mean: options.Mean = None,
    std: options.Std = None,
    labels: options.Labels = None,
    tag: Annotated[str | None, typer.Option(help="Last part of the file's name.")] = None,
    out: Annotated[Path, typer.Option("-o", help="Folder to write to.")] = Path("models"),
    json: JsonFlag = False,
) -> None:
    """Turn trained weights, or your own torch module, into ONNX."""
    from edgedeploy.exporting import request as exporting

    request = exporting.ExportRequest(
        name=family,
        alpha=alpha,
        resolution=resolution,
        weights=weights,
        random_seed=random_weights,
        module=module,
        preset=preset and preset.value,
        activation=activation and activation.value,
        classes=classes,
        base_resolution=base_resolution,
        tag=tag,
    )
    hints = options.hints(mean, std, labels)
    path, there = exporting.export(request, hints=hints, out=out)
    if json:
        print_json({"models": [{"path": str(path), "up_to_date": there}]})
    else:
        print(f"{path}  up to date" if there else path)


def calibrate(
    data: options.Data,
    models: options.Models = None,
    samples: options.Samples = 200,
    every: options.Every = None,
    method: Annotated[
        Method, typer.Option(help="How ranges are chosen; auto: what harms each tensor least.")
    ] = Method.AUTO,
    without: Annotated[
        list[Step] | None,
        typer.Option(help="Leave out a step of the recipe; may be given several times."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="Leave layers in float until INT8 is expected to lose no more points of top-1 "
            "than this. Takes minutes.",
            show_default="all layers in INT8",
        ),
    ] = None,
    mean: options.Mean = None,
    std: options.Std = None,
    input_shape: options.InputShape = None,
    resolution: options.Resolution = None,
    threads: options.Threads = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on after a model that fails.")
    ] = False,
    out: Annotated[Path, typer.Option("-o", help="Folder to write to.")] = Path("calib"),
    json: JsonFlag = False,
) -> None:
    """Measure on images what a model needs for INT8 on every backend."""
    from edgedeploy import pipeline
    from edgedeploy.cli import calibration_output

    hints = options.hints(mean, std, None, input_shape, resolution)
    paths = pipeline.find_models(models or [])
    images = options.chosen_images(data, samples, every)

    def one(path: Path) -> dict[str, Any]:
        with progress(path.stem) as moved:
            target, calibration, there = pipeline.calibrate(
                path,
                images,
                hints=hints,
                method=method.value,
                out=out,
                without=[step.value for step in without or []],
                max_drop=max_drop,
                threads=threads,
                progress=moved,
            )
        costs = {}
        if not there:
            costs = pipeline.float_costs(path, calibration, hints=hints, threads=threads)
        for problem in calibration.unreadable.values():
            print(f"left out: {problem}", file=sys.stderr)
        if not json:
            calibration_output.print_made(target, calibration, costs, there=there)
        return calibration_output.made_document(target, calibration, costs, there=there)

    _each("calibrations", paths, one, keep_going=keep_going, json=json)


def _each(
    name: str,
    paths: Sequence[Path],
    one: Callable[[Path], dict[str, Any]],
    *,
    keep_going: bool,
    json: bool,
) -> None:
    """Make one thing of each model, and print their documents as a list called ``name``."""
    documents: list[dict[str, Any]] = []
    code = 0
    document = {name: documents}
    with whole((lambda: document) if json else None):
        for path in paths:
            try:
                documents.append(one(path))
            except EdgeDeployError as error:
                if not keep_going:
                    raise
                code = code or error.exit_code
                documents.append({"subject": path.stem, "error": error_document(error)})
                if not json:
                    print_failure(path.stem, error)
    if json:
        print_json(document)
    if code:
        raise typer.Exit(code)
