"""Measuring the ranges of a model's activations on images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgedeploy import model_file
from edgedeploy.calibration.consumers import channel_weights
from edgedeploy.calibration.feeding import Feed
from edgedeploy.calibration.observing import observe, observe_extremes, observe_histograms
from edgedeploy.calibration.ranges import AUTO, METHODS, best_range, choose_range, whole_range
from edgedeploy.errors import UnknownNameError
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import activations
from edgedeploy.types import Calibration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgedeploy.images import ImageSet
    from edgedeploy.runtime.preprocessing import Preprocessing
    from edgedeploy.types import Array, OnnxModel, TensorRange

DEFAULT_METHOD = AUTO


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
        method: ``"minmax"``: everything seen; ``"entropy"``, ``"mse"``: cut where KL divergence
            or the squared error is least; ``"percentile"``: cut at 99.99 %; ``"auto"``: of all
            these, tensor by tensor, what harms its readers least.
        threads: Of ONNX Runtime; None leaves it the choice.
        progress: Called with (pictures done, pictures in all) after each.

    Returns:
        Ranges that all contain 0; its ``sha256`` is empty until it is written and read.

    Raises:
        UnknownNameError: There is no such method.
        UsageError: The model has another size.
        FileError: More than 5 % of the pictures cannot be read, or the model cannot be run.
    """
    if method not in METHODS:
        raise UnknownNameError("calibration method", method, METHODS)
    graph = ir.serde.deserialize_model(model_file.load_proto(model.path))
    fix_size(graph, side)
    fold_batch_norm(graph)
    feed = Feed(images=images, side=side, preprocessing=preprocessing)
    ranges = measure_ranges(graph, feed.batches(progress), method=method, threads=threads)
    return Calibration(
        model_sha256=model.sha256,
        data_digest=images.digest(),
        data_count=len(images.entries),
        method=method,
        side=side,
        preprocessing=preprocessing,
        ranges=ranges,
        versions=_versions(),
        unreadable=feed.unreadable,
    )


def measure_ranges(
    model: ir.Model, batches: Iterable[Array], *, method: str, threads: int | None = None
) -> dict[str, TensorRange]:
    """Return the range of each activation that a calibration must hold; see `measure`.

    Args:
        model: Float, batch norm folded, of a fixed size; it stays as it is.
        batches: Inputs, ``(N, 3, H, W)`` float32.
        method: One of `METHODS`.
        threads: Of ONNX Runtime; None leaves it the choice.
    """
    names = activations(model)
    if method == "minmax":
        extremes = observe_extremes(model, names, batches, threads=threads)
        return {name: whole_range(*extremes[name]) for name in names}
    if method != AUTO:
        histograms = observe_histograms(model, names, batches, threads=threads)
        return {name: choose_range(histograms[name], method) for name in names}
    seen = observe(model, names, batches, threads=threads)
    channels = {name: len(found.channels.min) for name, found in seen.items()}
    weights = channel_weights(model.graph, channels)
    return {
        name: best_range(found.histogram, found.channels, weights[name], name=name)
        if name in weights
        else choose_range(found.histogram, "minmax")
        for name, found in seen.items()
    }


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
