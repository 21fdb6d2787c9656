"""Measuring the ranges of a model's activations on images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgedeploy import model_file
from edgedeploy.calibration.observing import observe_extremes, observe_histograms
from edgedeploy.calibration.ranges import entropy_range, whole_range
from edgedeploy.errors import UnknownNameError
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import activations
from edgedeploy.runtime.preprocessing import fit, normalise
from edgedeploy.types import Calibration, TensorRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgedeploy.images import ImageSet
    from edgedeploy.runtime.preprocessing import Preprocessing
    from edgedeploy.types import Array, OnnxModel

METHODS = ("entropy", "minmax")
DEFAULT_METHOD = "minmax"


def measure(
    model: OnnxModel,
    images: ImageSet,
    *,
    side: tuple[int, int],
    preprocessing: Preprocessing,
    method: str = DEFAULT_METHOD,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Run the model on every picture, one at a time, and choose a range for each activation.

    Memory does not grow with the number of pictures, and their order does not matter.

    Args:
        model: Float.
        images: Unlabelled will do; a few hundred are enough.
        side: Height and width to feed, in pixels.
        preprocessing: What the model was trained with.
        method: ``"minmax"``: everything seen; ``"entropy"``: cut where KL divergence is least.
        threads: Of ONNX Runtime; None leaves it the choice.
        progress: Called with (pictures done, pictures in all) after each.

    Returns:
        Ranges that all contain 0; its ``sha256`` is empty until it is written and read.

    Raises:
        UnknownNameError: There is no such method.
        UsageError: The model has another size.
        FileError: A picture cannot be decoded, or the model cannot be run.
    """
    if method not in METHODS:
        raise UnknownNameError("calibration method", method, METHODS)
    graph = ir.serde.deserialize_model(model_file.load_proto(model.path))
    fix_size(graph, side)
    fold_batch_norm(graph)
    names = activations(graph)
    batches = _batches(images, side, preprocessing, progress)
    ranges: dict[str, TensorRange]
    if method == "minmax":
        extremes = observe_extremes(graph, names, batches, threads=threads)
        ranges = {name: whole_range(*extremes[name]) for name in names}
    else:
        histograms = observe_histograms(graph, names, batches, threads=threads)
        ranges = {name: entropy_range(histograms[name]) for name in names}
    return Calibration(
        model_sha256=model.sha256,
        data_digest=images.digest(),
        data_count=len(images.entries),
        method=method,
        side=side,
        preprocessing=preprocessing,
        ranges=ranges,
        versions=_versions(),
    )


def is_current(
    calibration: Calibration,
    model: OnnxModel,
    images: ImageSet,
    *,
    side: tuple[int, int],
    preprocessing: Preprocessing,
    method: str = DEFAULT_METHOD,
) -> bool:
    """Return whether `measure` with these arguments would give ``calibration`` again."""
    same = (
        calibration.model_sha256 == model.sha256
        and calibration.method == method
        and calibration.side == side
        and calibration.preprocessing == preprocessing
        and dict(calibration.versions) == _versions()
        and calibration.data_count == len(images.entries)
    )
    return same and calibration.data_digest == images.digest()


def _versions() -> dict[str, str]:
    return {"numpy": np.__version__, "onnxruntime": ort.__version__}


def _batches(
    images: ImageSet,
    side: tuple[int, int],
    rule: Preprocessing,
    progress: Callable[[int, int], None],
) -> Iterator[Array]:
    total = len(images.entries)
    for done, (_, frame) in enumerate(images.pictures(), start=1):
        pixels = fit(frame, side, rule)
        if rule.color == "bgr":
            pixels = pixels[:, :, ::-1]
        yield normalise(pixels[None], rule)
        progress(done, total)
