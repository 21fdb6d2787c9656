"""Running a network on images and choosing the range of each of its activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.calibration.consumers import channel_weights
from edgedeploy.calibration.observing import observe, observe_extremes, observe_histograms
from edgedeploy.calibration.ranges import AUTO, best_range, choose_range, whole_range
from edgedeploy.graph.tensors import activations

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir

    from edgedeploy.calibration_values import TensorRange
    from edgedeploy.types import Array


def measure_ranges(
    model: ir.Model, batches: Iterable[Array], *, method: str, threads: int | None = None
) -> dict[str, TensorRange]:
    """Return the range of each activation that a calibration must hold; see `ranges.METHODS`.

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
