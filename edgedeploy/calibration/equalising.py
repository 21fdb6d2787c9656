"""How much each channel is scaled: as far as that helps the layer that reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.graph.constants import array_of
from edgedeploy.graph.encoding import smallest_unsaturated_scale
from edgedeploy.graph.equalise import links
from edgedeploy.graph.placement import output_axis

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgedeploy.calibration.layers import Channels
    from edgedeploy.graph.equalise import Link
    from edgedeploy.types import Array

LARGEST_SCALE = 64.0
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
ROUNDED = 0.35  # what counts of the weights' noise: they are yet to be rounded adaptively
_DEAD = 1e-6
_U8_STEPS, _S8_STEPS, _WEIGHT_STEPS = 255, 127, 127


def choose_scales(graph: ir.Graph, seen: Channels) -> dict[str, Array]:
    """Return the scales of the channels of every link: (widest / own)^p, p from `POWERS`.

    With p = 1 each channel gets the range of the widest one, as if it had a scale of its own. That
    costs nothing where a depthwise kernel reads the tensor, for such a kernel has one weight scale
    a channel. Any other kernel has one for many channels, and a channel that has grown meets the
    error of its weights with larger values: there p is the one of least noise, see `noise`.

    Args:
        graph: Batch norm folded.
        seen: ``largest`` by `Link.name`, and ``variances`` of what the links' consumers read.

    Returns:
        By `Link.name`, ``(channels,)`` float32, from 1 to `LARGEST_SCALE`; channels that are
        always 0 stay as they are. Links that are best left alone are not in it.
    """
    found = {}
    for link in links(graph):
        largest = seen.largest[link.name]
        top = largest.max()
        if top <= 0:
            continue
        whole = np.clip(top / np.maximum(largest, top * _DEAD), 1.0, LARGEST_SCALE)
        whole = np.where(largest > top * _DEAD, whole, 1.0)
        scale = whole if link.depthwise else _best(link, whole, top, seen.variances)
        if (scale != 1.0).any():
            found[link.name] = scale.astype(np.float32)
    return found


def _best(link: Link, whole: Array, top: float, variances: dict[str, Array]) -> Array:
    weight = np.asarray(array_of(link.consumer.inputs[1]), np.float64)
    weight = np.moveaxis(weight, output_axis(link.consumer), 0)
    weight = weight.reshape(*weight.shape[:2], -1)
    groups = len(whole) // weight.shape[1]
    variance = variances[link.tensors[-1]]
    noises = np.array([noise(weight, whole**p, variance, top, groups) for p in POWERS])
    relative = (noises / np.maximum(noises[0], np.finfo(np.float64).tiny)).sum(axis=1)
    scale: Array = whole ** POWERS[int(np.argmin(relative))]
    return scale


def noise(weight: Array, scale: Array, variance: Array, top: float, groups: int = 1) -> Array:
    """Return the variance that rounding adds to a layer's outputs, summed over them.

    Rounding to steps of Δ adds Δ² / 12. In activations it meets the squared weights; in weights it
    meets the variance of the activations, for what their mean adds the bias takes away again.

    Args:
        weight: ``(rows, inputs per group, taps)`` before scaling.
        scale: ``(channels,)`` that the inputs are multiplied by, and the weights divided.
        variance: ``(channels,)`` of the inputs before scaling.
        top: Largest magnitude of the scaled inputs.
        groups: Of the layer.

    Returns:
        ``(2,)``: in the style u8 with weights that do not saturate, and in s8.
    """
    rows = weight.reshape(groups, -1, *weight.shape[1:])
    scaled = rows / scale.reshape(groups, 1, -1, 1)
    from_inputs = np.square(scaled).sum() * top**2 / 12
    spread = (variance * scale**2).reshape(groups, 1, -1, 1) * rows.shape[3]
    largest = np.abs(scaled).max(axis=(2, 3)) / _WEIGHT_STEPS
    flat = scaled.reshape(weight.shape)
    bounded = np.maximum(largest, smallest_unsaturated_scale(flat, 0).reshape(groups, -1))
    met = spread.sum(axis=(2, 3)) * ROUNDED
    in_u8 = from_inputs / _U8_STEPS**2 + (np.square(bounded) * met).sum() / 12
    in_s8 = from_inputs / _S8_STEPS**2 + (np.square(largest) * met).sum() / 12
    return np.array([in_u8, in_s8])
