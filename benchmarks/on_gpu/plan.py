"""What is measured: the models, their calibrations, and one row after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from peers.inputs import CALIBRATE, hints
from PIL import Image

from edgedeploy import pipeline
from edgedeploy.calibration import measuring, recipe
from edgedeploy.errors import EdgeDeployError
from edgedeploy.exporting.request import ExportRequest, export
from edgedeploy.images import open_images
from edgedeploy.model_file import ModelHints
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.types import PUBLISHED, Precision
from on_gpu.jobs import NotDoneError
from on_gpu.results import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgedeploy.images import ImageSet

ALPHAS = (0.25, 0.50, 0.75, 1.00)
RESOLUTIONS = (224, 192, 160, 128)
PRECISIONS = (Precision.FP32, Precision.FP16, Precision.INT8)
BUILD_LIMIT_S = 3600.0
_RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)
_NOISE = 16


def random_models(
    out: Path, alphas: Sequence[float] = ALPHAS, resolutions: Sequence[int] = RESOLUTIONS
) -> list[Path]:
    """Export V1 and V2 with untrained weights, for their latency: family × α × resolution."""
    return [
        export(
            ExportRequest(
                name=family.value, alpha=alpha, resolution=resolution, random_seed=1, tag="random"
            ),
            hints=ModelHints(preprocessing=_RULE),
            out=out,
        )[0]
        for family in PUBLISHED
        for alpha in alphas
        for resolution in resolutions
    ]


def calibrate(model: Path, images: Path | None, out: Path) -> Path:
    """Return the calibration of a model: by the whole recipe on two fifths of the pictures.

    Without pictures: the extremes of a few pictures of noise, which is enough for latency.

    Raises:
        EdgeDeployError: The model does not say its size, or a picture cannot be read.
    """
    if images is not None:
        pictures, method, without = (
            open_images(images).every(CALIBRATE),
            measuring.DEFAULT_METHOD,
            [],
        )
    else:
        pictures, method, without = _noise(out / "noise"), "minmax", list(recipe.STEPS)
    written, _, _ = pipeline.calibrate(
        model, pictures, hints=hints(model), method=method, without=without, out=out
    )
    return written


def _noise(folder: Path) -> ImageSet:
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    for number in range(_NOISE):
        pixels = draw.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return open_images(folder)


def rows(
    model: Path,
    *,
    images: Path | None,
    duration_s: float,
    out: Path,
    do: Callable[..., Mapping[str, Any]],
) -> Iterator[Row]:
    """Build and measure one model in every precision; what fails becomes a row that says so.

    Args:
        model: ONNX file.
        images: Pictures to calibrate on and to compare answers on; None: neither.
        duration_s: Seconds of timed calls in each row.
        out: Folder for calibrations and artifacts, which are kept.
        do: `on_gpu.jobs.run`; tests pass another.
    """
    for precision in PRECISIONS:
        row = Row(model=model.stem, precision=precision.value, graphs=False)
        try:
            calib = None
            if precision is Precision.INT8:
                calib = str(calibrate(model, images, out / "calib"))
            told = {"model": str(model), "precision": precision.value, "calib": calib}
            built = dict(
                do({"do": "build", **told, "out": str(out / "build")}, limit_s=BUILD_LIMIT_S)
            )
        except EdgeDeployError as error:
            yield replace(row, problem=error.problem)
            continue
        folder = built.pop("folder")
        row = replace(row, **built, **_agreement(folder, images, do))
        for graphs in (False, True):
            yield _timed(replace(row, graphs=graphs), folder, duration_s, do)


def _agreement(
    folder: str, images: Path | None, do: Callable[..., Mapping[str, Any]]
) -> Mapping[str, Any]:
    if images is None:
        return {"agreement_reason": "no pictures were given"}
    try:
        told = {"do": "agreement", "folder": folder, "images": str(images)}
        return do(told, limit_s=BUILD_LIMIT_S)
    except NotDoneError as error:
        return {"agreement_reason": error.problem}


def _timed(row: Row, folder: str, duration_s: float, do: Callable[..., Mapping[str, Any]]) -> Row:
    told = {"do": "latency", "folder": folder, "graphs": row.graphs, "duration_s": duration_s}
    try:
        return replace(row, **do(told, limit_s=10 * duration_s + 120))
    except NotDoneError as error:
        return replace(row, problem=error.problem)
