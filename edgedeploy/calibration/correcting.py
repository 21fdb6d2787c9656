"""Layer by layer through the quantised network: how to round weights, what to add to biases."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.calibration.patches import (
    by_group,
    centred_moments,
    from_groups,
    geometry_of,
    mean_input,
)
from edgedeploy.calibration.rounding import round_weights
from edgedeploy.calibration.segments import Segments
from edgedeploy.calibration_values import Correction, QdqStyle
from edgedeploy.graph.bias import bias_of, takes_bias
from edgedeploy.graph.constants import array_of
from edgedeploy.graph.encoding import (
    Encoding,
    encode_weight,
    saturating_neighbours,
    weight_scale,
)
from edgedeploy.graph.placement import behind_activation, is_weighted, output_axis, place
from edgedeploy.graph.qdq import quantise_activations

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    import onnx_ir as ir

    from edgedeploy.calibration_values import TensorRange
    from edgedeploy.types import Array

_LEAST_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Means of a float network's channels over pictures and positions.

    Attributes:
        layers: By a layer's output, ``(channels,)``.
        behind: By the output of the ReLU or Clip behind a layer, ``(channels,)``.
    """

    layers: Mapping[str, Array]
    behind: Mapping[str, Array]


def correct(
    model: ir.Model,
    ranges: Mapping[str, TensorRange],
    style: QdqStyle,
    pictures: Iterable[Array],
    means: Means,
    *,
    any_x86: bool = True,
    rounding: bool = True,
    bias: bool = True,
    floats: Collection[str] = (),
    alone: Callable[[str, Correction], None] = lambda layer, correction: None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Correction]:
    """Measure the corrections of every layer, each behind the quantised and corrected ones before.

    The weights are rounded by the second moments of what the layer then reads
    (`rounding.round_weights`). The bias is shifted by what is then missing in the mean of each
    output channel against the float network; and where an activation follows, by what is still
    missing behind it, for noise changes the mean of what is clipped.

    Args:
        model: Float, batch norm folded, equalised, of a fixed size; it stays as it is.
        ranges: Of its activations.
        style: Of the Q/DQ pairs.
        pictures: Inputs, ``(N, 3, H, W)`` float32; the integers between layers are kept in memory
            for all of them.
        means: Of the float network, on the same pictures.
        any_x86: In the style u8, bound what saturates on CPUs without VNNI.
        rounding: Whether to choose how weights are rounded; False leaves the nearest.
        bias: Whether to correct biases; False leaves them.
        floats: Outputs of layers whose weights stay in float; their biases are corrected too.
        alone: Called with each layer's output, and what would correct it if no other layer were
            in INT8.
        threads: Of ONNX Runtime; None leaves it the choice.
        progress: Called with (layers done, layers in all) after each.

    Returns:
        By the layer's output; layers that take no bias are left out.

    Source:
        Bias: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
        Correction", section 4.2, appendix D (empirical).
    """
    placement = place(model.graph, style, floats)
    if not placement.weighted:
        return {}
    integers = {value.name for value, _ in placement.points}
    layers = [node for node in model.graph if is_weighted(node)]
    quantised = model.clone()
    cuts = [node for node in quantised.graph if is_weighted(node)]
    quantise_activations(quantised, ranges, style, floats=floats)
    names = [node.outputs[0].name or "" for node in cuts]  # the graph's own output has another now
    segments = Segments(quantised, names, threads)
    segments.start(pictures)
    found: dict[str, Correction] = {}
    for number, node in enumerate(layers, start=1):
        name = node.outputs[0].name or ""
        reads = "" if node.inputs[0] is None else node.inputs[0].name or ""
        if reads in integers:
            codes, scale, zero = segments.input_of(names[number - 1])
        else:
            codes, scale, zero = segments.floats_of(reads), np.ones((), np.float32), 0
        layer = _Layer(node, codes, scale, zero, style, any_x86=any_x86)
        whole = layer.nearest if not rounding or name in floats else layer.round()
        weight = layer.weight if name in floats else layer.floats(whole)
        shift = np.zeros_like(layer.bias)
        if takes_bias(node) and layer.geometry is not None:
            if bias:
                shift = layer.missing(means.layers[name], weight)
            delta = (whole - layer.nearest).astype(np.int8)
            rounded = rounding and name not in floats
            found[name] = Correction(bias=shift, rounding=delta if rounded else None)
            alone(name, replace(found[name], bias=layer.rounded_off(weight) if bias else shift))
        behind = behind_activation(node.outputs[0]).name or ""
        if bias and name in found and behind in means.behind:
            seen = segments.probe(number, weight, layer.bias + shift, behind)
            if seen is not None:
                shift = shift + _missing_behind(*seen, means.behind[behind])
                found[name] = replace(found[name], bias=shift)
        segments.run(number, weight, layer.bias + shift if takes_bias(node) else None)
        progress(number, len(layers))
    return found


def _missing_behind(codes: Array, scale: Array, zero: int, mean: Array) -> Array:
    """Return what to add before a ReLU or Clip, so that the mean behind it comes near ``mean``.

    Only values that are not clipped move with the bias.

    Args:
        codes: ``(N, C, H, W)`` or ``(N, C)`` integers behind the activation.
        scale: Of the integers.
        zero: The integer that stands for 0.
        mean: ``(C,)`` of the float network, at the same place.
    """
    axes = tuple(axis for axis in range(codes.ndim) if axis != 1)
    found = (codes.mean(axis=axes) - zero) * float(scale)
    share = ((codes > zero) & (codes < np.iinfo(codes.dtype).max)).mean(axis=axes)
    shift: Array = ((mean - found) / np.maximum(share, _LEAST_SHARE)).astype(np.float32)
    return shift


class _Layer:
    """One layer's float weights, their integers, and what they are about to read."""

    def __init__(
        self,
        node: ir.Node,
        codes: Array,
        input_scale: Array,
        zero: int,
        style: QdqStyle,
        *,
        any_x86: bool,
    ) -> None:
        self.geometry = geometry_of(node)
        self._node, self._axis = node, output_axis(node)
        self._codes = codes if node.op_type == "Conv" else codes.reshape(-1, codes.shape[-1])
        self._input_scale, self._zero = input_scale, zero
        self.weight = np.asarray(array_of(node.inputs[1]))
        bias = bias_of(node)
        encoding = Encoding(input_scale, np.asarray(zero)) if style is QdqStyle.U8 else None
        self._scale = weight_scale(
            self.weight, self._axis, bias=bias, encoding=encoding, any_x86=any_x86
        )
        self._bounded = encoding is not None and any_x86
        self.nearest, _ = encode_weight(self.weight, self._axis, self._scale)
        self.bias = np.zeros_like(self._scale)
        if bias is not None and takes_bias(node):
            self.bias = np.broadcast_to(bias, self._scale.shape)

    def round(self) -> Array:
        """Return int8 weights that make the layer's output err least."""
        if self.geometry is None or not takes_bias(self._node):
            return self.nearest
        groups = self.geometry.groups
        rows = by_group(self.weight, self._node, groups)
        scale = self._scale.reshape(groups, -1)
        moments = centred_moments(self._codes, self.geometry, self._zero)
        taps = math.prod(self.geometry.kernel)
        beside = saturating_neighbours(rows.shape[2] // taps, taps) if self._bounded else None
        whole = round_weights(rows, scale, moments, neighbours=beside)
        return from_groups(whole, self._node, self.weight.shape)

    def floats(self, whole: Array) -> Array:
        """Return what integers stand for, float32."""
        others = tuple(i for i in range(whole.ndim) if i != self._axis)
        floats: Array = whole.astype(np.float32) * np.expand_dims(self._scale, others)
        return floats

    def missing(self, mean: Array, weight: Array) -> Array:
        """Return what each output channel lacks to a mean with these weights, float32."""
        lacking: Array = (mean - self._mean_output(weight) - self.bias).astype(np.float32)
        return lacking

    def rounded_off(self, weight: Array) -> Array:
        """Return what each output channel's mean loses by these weights, float32."""
        lost: Array = self._mean_output(self.weight - weight).astype(np.float32)
        return lost

    def _mean_output(self, weight: Array) -> Array:
        assert self.geometry is not None
        rows = by_group(weight, self._node, self.geometry.groups).astype(np.float64)
        output: Array = np.einsum("grk,gk->gr", rows, self._mean).reshape(-1)
        return output

    @cached_property
    def _mean(self) -> Array:
        assert self.geometry is not None
        return mean_input(self._codes, self.geometry, self._zero) * float(self._input_scale)
