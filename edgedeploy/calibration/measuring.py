"""Measuring on images what a model needs for INT8."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgedeploy import model_file
from edgedeploy.calibration.feeding import Feed
from edgedeploy.calibration.ranges import AUTO, METHODS
from edgedeploy.calibration.recipe import STEPS, Budget, check_steps, follow
from edgedeploy.calibration.spendings import LARGEST_DROP
from edgedeploy.calibration_values import Calibration
from edgedeploy.errors import UnknownNameError, UsageError
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.widen import widen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedeploy.images import ImageSet
    from edgedeploy.runtime.preprocessing import Preprocessing
    from edgedeploy.types import OnnxModel

DEFAULT_METHOD = AUTO
CORRECTED_ON = 100
MOST_KEPT = 200


def measure(
    model: OnnxModel,
    images: ImageSet,
    *,
    side: tuple[int, int],
    preprocessing: Preprocessing,
    method: str = DEFAULT_METHOD,
    steps: Sequence[str] = STEPS,
    max_drop: float | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Run the model on every picture, choose a range for each activation, and correct the weights.

    Ranges are measured on all pictures, one at a time: memory does not grow with their number, and
    their order does not matter. Corrections are measured on at most `CORRECTED_ON` of them, and
    what a budget allows on at most `MOST_KEPT`.

    Args:
        model: Float.
        images: Unlabelled will do; a few hundred are enough.
        side: Height and width to feed, in pixels.
        preprocessing: What the model was trained with.
        method: ``"minmax"``: everything seen; ``"entropy"``, ``"mse"``: cut where KL divergence
            or the squared error is least; ``"percentile"``: cut at 99.99 %; ``"auto"``: of all
            these, tensor by tensor, what harms its readers least.
        steps: What to do beyond ranges, of `recipe.STEPS`; see `recipe`.
        max_drop: How many points of top-1 INT8 may be expected to lose, above 0: layers stay in
            float until it is no more (`answers.Exam.drop`). None leaves all layers in INT8 and
            measures no loss.
        threads: Of ONNX Runtime; None leaves it the choice.
        progress: Called with (units done, units in all); each pass over the pictures has as many
            units as there are pictures, and so has each style that is corrected, or kept within
            its budget.

    Returns:
        Ranges that all contain 0; its ``sha256`` is empty until it is written and read.

    Raises:
        UnknownNameError: There is no such method, or no such step.
        UsageError: The model has another size, or ``max_drop`` is no share of all pictures.
        FileError: More than 5 % of the pictures cannot be read, or the model cannot be run.
    """
    if method not in METHODS:
        raise UnknownNameError("calibration method", method, METHODS)
    _check_budget(max_drop)
    graph = ir.serde.deserialize_model(model_file.load_proto(model.path))
    fix_size(graph, side)
    widen(graph)
    fold_batch_norm(graph)
    taken = check_steps(steps)
    few = len(images.entries) <= MOST_KEPT
    feed = Feed(images=images, side=side, preprocessing=preprocessing, keep=few)
    kept = feed if few else replace(feed.evenly(MOST_KEPT), keep=True)
    result = follow(
        graph,
        feed,
        kept.evenly(CORRECTED_ON),
        kept,
        method=method,
        steps=taken,
        budget=None if max_drop is None else Budget(max_drop=max_drop, softmax=model.softmax),
        threads=threads,
        progress=progress,
    )
    return Calibration(
        model_sha256=model.sha256,
        data_digest=images.digest(),
        data_count=len(images.entries),
        method=method,
        side=side,
        preprocessing=preprocessing,
        ranges=result.ranges,
        equalisation=result.equalisation,
        corrections=result.corrections,
        steps=taken,
        versions=_versions(),
        unreadable=feed.unreadable,
        max_drop=max_drop,
        spending=result.spending,
    )


def _check_budget(max_drop: float | None) -> None:
    if max_drop is not None and not 0 < max_drop <= LARGEST_DROP:
        raise UsageError(
            f"the budget is {max_drop:g} points, it must be above 0 and at most {LARGEST_DROP:g}",
            fix="pass percentage points, e.g. --max-drop 0.5, or leave it out",
        )


def is_current(
    calibration: Calibration,
    model: OnnxModel,
    images: ImageSet,
    *,
    side: tuple[int, int],
    preprocessing: Preprocessing,
    method: str = DEFAULT_METHOD,
    steps: Sequence[str] = STEPS,
    max_drop: float | None = None,
) -> bool:
    """Return whether `measure` with these arguments would give ``calibration`` again."""
    same = (
        calibration.model_sha256 == model.sha256
        and calibration.method == method
        and calibration.steps == check_steps(steps)
        and calibration.max_drop == max_drop
        and calibration.side == side
        and calibration.preprocessing == preprocessing
        and dict(calibration.versions) == _versions()
        and calibration.data_count == len(images.entries)
    )
    return same and calibration.data_digest == images.digest()


def _versions() -> dict[str, str]:
    return {"numpy": np.__version__, "onnxruntime": ort.__version__}
