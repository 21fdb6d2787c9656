"""Calibrating models, and what layers left in float cost in time."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgedeploy import building, model_file, picture_form, trial
from edgedeploy.calibration import files as calibrations
from edgedeploy.calibration_values import QdqStyle, correction_style
from edgedeploy.errors import FileError
from edgedeploy.files import require_writable
from edgedeploy.meters import cpu
from edgedeploy.types import BuildSpec, Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedeploy.calibration_values import Calibration
    from edgedeploy.images import ImageSet
    from edgedeploy.model_file import ModelHints


@dataclass(frozen=True, slots=True)
class FloatCost:
    """What layers left in float cost in speed, in one Q/DQ style.

    Attributes:
        slowdown: How many times as long a picture takes as with every layer in INT8, in ONNX
            Runtime on this CPU; None with a reason.
        reason: Why it was not measured.
    """

    slowdown: float | None
    reason: str | None


def calibrate(
    path: Path,
    images: ImageSet,
    *,
    hints: ModelHints,
    method: str,
    out: Path,
    without: Sequence[str] = (),
    max_drop: float | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Path, Calibration, bool]:
    """Measure one model's ranges on ``images`` and write ``out/<model>.json``.

    Args:
        path: The model.
        images: Pictures.
        hints: What the model's file does not say.
        method: Of choosing ranges.
        out: Folder to write to.
        without: Steps of the recipe to leave out.
        max_drop: How many points INT8 may lose; see `edgedeploy.calibration.measuring.measure`.
        threads: Of ONNX Runtime; None leaves it the choice.
        progress: Called with (units done, units in all).

    Returns:
        The file, what it holds, and whether it was there already, of the same inputs.

    Raises:
        UsageError: The model's size or preprocessing is not known, or the budget is no share.
        UnknownNameError: There is no such method or step.
        NotWrittenError: Nothing can be written to ``out``, which is tried before measuring.
    """
    from edgedeploy.calibration import measuring as calibrating  # imports ONNX Runtime
    from edgedeploy.calibration import recipe

    left_out = recipe.check_steps(without)
    steps = tuple(step for step in recipe.STEPS if step not in left_out)
    model = model_file.read(path, hints)
    form = picture_form.of(model, "calibration")
    target = out / f"{model.name}.json"
    current = _current(target)
    if current is not None and calibrating.is_current(
        current,
        model,
        images,
        method=method,
        steps=steps,
        max_drop=max_drop,
        side=form.side,
        preprocessing=form.preprocessing,
    ):
        return target, current, True
    require_writable(out)
    calibration = calibrating.measure(
        model,
        images,
        method=method,
        steps=steps,
        max_drop=max_drop,
        side=form.side,
        preprocessing=form.preprocessing,
        threads=threads,
        progress=progress,
    )
    calibrations.write(calibration, target)
    return target, calibration, False


def float_costs(
    path: Path, calibration: Calibration, *, hints: ModelHints, threads: int | None = None
) -> dict[str, FloatCost]:
    """Time a model here with the layers that its budget left in float, and with all in INT8.

    Returns:
        By style of the budget; a time only where ONNX Runtime runs that style as it is meant.
    """
    costs = {}
    for style, spending in sorted(calibration.spending.items()):
        reason = _why_not_timed(style, spending.left_float)
        slowdown = None if reason else _slowdown(path, calibration, style, hints, threads)
        costs[style] = FloatCost(slowdown, reason)
    return costs


def _why_not_timed(style: str, left_float: Sequence[str]) -> str | None:
    if not left_float:
        return "no layer stays in float"
    if style == correction_style(QdqStyle.S8, "any"):
        return "the style s8 is TensorRT's, which runs on NVIDIA GPUs only"
    if style == correction_style(QdqStyle.U8, "vnni") and not cpu.read().multiplies_bytes_exactly:
        return "this CPU has no VNNI, which these weights are for"
    return None


def _slowdown(
    path: Path, calibration: Calibration, style: str, hints: ModelHints, threads: int | None
) -> float:
    model = model_file.with_side(model_file.read(path, hints), calibration.side, source=str(path))
    x86 = next(kind for kind in building.X86 if correction_style(QdqStyle.U8, kind) == style)
    spec = BuildSpec(backend="ort", precision=Precision.INT8, x86=x86)
    with tempfile.TemporaryDirectory() as folder:
        built = [
            building.build(model, spec, out=Path(folder, name), calibration=found).folder
            for name, found in (
                ("mixed", calibration),
                ("whole", replace(calibration, spending={})),
            )
        ]
        return trial.slowdown(built[0], built[1], side=calibration.side, threads=threads)


def _current(path: Path) -> Calibration | None:
    """Return the calibration that is there; one that cannot be read is written anew."""
    try:
        return calibrations.read(path)
    except FileError:
        return None
