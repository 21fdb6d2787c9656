"""Numbers to integers: scales and zero points of ranges, quantised weights and biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedeploy.calibration_values import QdqStyle, TensorRange

if TYPE_CHECKING:
    from edgedeploy.types import Array

SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
LARGEST_HALF = float(np.finfo(np.float16).max)
_INT32_HALF = float(2**30)


class Encoding(NamedTuple):
    """Real value = scale · (integer − zero point).

    Attributes:
        scale: float32, above 0; ``()`` or one a channel.
        zero_point: Of the integers' type and the shape of `scale`.
    """

    scale: Array
    zero_point: Array


def encode_range(found: TensorRange, style: QdqStyle) -> Encoding:
    """Return the encoding of an activation whose values lie in a range; 0 is always exact.

    Source:
        Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", section 2.1; symmetric: Migacz 2017, "8-bit Inference
        with TensorRT".
    """
    low, high = min(found.low, 0.0), max(found.high, 0.0)
    if style is QdqStyle.S8:
        scale = np.float32(max(-low, high, 127 * SMALLEST_SCALE) / 127)
        return Encoding(np.asarray(scale), np.asarray(0, np.int8))
    scale = np.float32(max((high - low) / 255, SMALLEST_SCALE))
    if low == 0.0 and np.float32(255) * scale > np.float32(high):
        # ONNX Runtime drops a Clip only where the integers cannot leave its bounds
        scale = np.nextafter(scale, np.float32(0))
    zero_point = np.clip(np.rint(-low / scale), 0, 255)
    return Encoding(np.asarray(scale), np.asarray(zero_point, np.uint8))


def weight_scale(
    weight: Array, axis: int, *, bias: Array | None, encoding: Encoding | None, any_x86: bool
) -> Array:
    """Return the scales of a kernel's symmetric int8 form, one per output channel.

    Args:
        weight: float, any shape.
        axis: Of the output channels.
        bias: ``(channels,)``, before any correction: it must fit 32 bits in the style u8.
        encoding: Of the layer's input in the style u8; None in s8.
        any_x86: In u8, bound the sums that saturate on CPUs without VNNI.

    Returns:
        ``(channels,)`` float32, above 0.
    """
    others = tuple(i for i in range(weight.ndim) if i != axis % weight.ndim)
    scale = np.abs(weight.astype(np.float64)).max(axis=others) / 127
    if encoding is not None:
        if any_x86:
            scale = np.maximum(scale, smallest_unsaturated_scale(weight, axis))
        if bias is not None and bias.shape == scale.shape:
            scale = np.maximum(scale, smallest_weight_scale(bias, encoding.scale))
    return np.where(scale > 0, np.maximum(scale, SMALLEST_SCALE), 1.0).astype(np.float32)


def encode_weight(
    weight: Array, axis: int, scale: Array, rounding: Array | None = None
) -> tuple[Array, Encoding]:
    """Quantise a kernel symmetrically, with one scale per output channel.

    Args:
        weight: float, any shape.
        axis: Of the output channels.
        scale: ``(channels,)``; see `weight_scale`.
        rounding: Added to the nearest integers, int8 of the weight's shape; None adds nothing.

    Returns:
        int8 of the same shape, and the encoding with ``(channels,)`` scales and zero points 0.
    """
    others = tuple(i for i in range(weight.ndim) if i != axis % weight.ndim)
    steps = np.rint(weight / np.expand_dims(scale, others))
    if rounding is not None:
        steps = np.clip(steps, -127, 127) + rounding
    whole = np.clip(steps, -127, 127).astype(np.int8)
    return whole, Encoding(scale, np.zeros(scale.shape, np.int8))


def half_scale(scale: Array) -> Array:
    """Return scales that float16 holds: the nearest ones, the next above where it is subnormal.

    Args:
        scale: float32, above 0, within float16's range.

    Returns:
        float32 of the same shape. Within 2⁻¹¹ of ``scale``, but where that is below 2⁻¹⁴.
    """
    near = scale.astype(np.float16)
    above = np.where(near < scale, np.nextafter(near, np.float16(np.inf)), near)
    subnormal = scale < np.finfo(np.float16).tiny
    found: Array = np.where(subnormal, above, near).astype(np.float32)
    return found


def halve_weight(weight: Array, axis: int, whole: Array, scale: Array) -> tuple[Array, Encoding]:
    """Give a quantised kernel scales that float16 holds.

    A channel keeps its integers, and so the roundings that were measured with them: its output
    is off by the change of scale, 2⁻¹¹ of it at most. Only where float16 is subnormal, and its
    steps are large, are they found anew, the nearest ones.

    Args:
        weight: float, any shape.
        axis: Of the output channels.
        whole: int8 of that shape.
        scale: ``(channels,)`` float32 that ``whole`` was made with.

    Returns:
        int8 of the same shape, and the encoding.
    """
    halved = half_scale(scale)
    nearest, encoding = encode_weight(weight, axis, halved)
    others = tuple(i for i in range(weight.ndim) if i != axis % weight.ndim)
    anew = np.expand_dims(scale < np.finfo(np.float16).tiny, others)
    return np.where(anew, nearest, whole), encoding


def smallest_unsaturated_scale(weight: Array, axis: int) -> Array:
    """Return the weight scales, one a channel, from which on no u8×s8 kernel saturates.

    x86 CPUs without VNNI add the products of two neighbouring input channels in 16 bits
    (``vpmaddubsw``), so two weights of one sign may come to 128 together: 255 · 128 < 2^15. That
    keeps far more of the weights than 7 bits for all of them, which is the usual remedy.

    Args:
        weight: Kernel ``(out, in / groups, k, k)`` or matrix. Depthwise kernels have no
            neighbours: their products are added in 32 bits.
        axis: Of the output channels.

    Source:
        Packing in fours along the input channels: ONNX Runtime, mlas/lib/qgemm_kernel_avx2.cpp;
        oneDNN, "Nuances of int8 computations".
    """
    kernel = np.abs(np.moveaxis(weight, axis, 0).astype(np.float64))
    kernel = kernel.reshape(*kernel.shape[:2], -1)
    channels, inputs, taps = kernel.shape
    if inputs == 1:
        return np.zeros(channels)
    signs = np.sign(np.moveaxis(weight, axis, 0).reshape(kernel.shape))
    sums = np.zeros(channels)
    for sign in (1, -1):
        part = np.where(signs == sign, kernel, 0.0)
        if inputs % 2 and taps > 1:  # pairs straddle the taps: take the two largest
            pairs = np.sort(part.reshape(channels, -1), axis=1)[:, -2:].sum(axis=1, keepdims=True)
        else:
            even = np.pad(part, ((0, 0), (0, inputs % 2), (0, 0)))
            pairs = (even[:, 0::2] + even[:, 1::2]).reshape(channels, -1)
        sums = np.maximum(sums, pairs.max(axis=1))
    return sums / 127  # not 128: each of the two may be rounded up by a half


def saturating_neighbours(inputs: int, taps: int) -> Array | None:
    """Return, for each column of a kernel, those that it must not exceed 128 together with.

    Args:
        inputs: Input channels that one output channel reads.
        taps: Weights per input channel.

    Returns:
        ``(inputs · taps, n)`` indices of columns, a column's own where it has no neighbour; None
        where there are none, as in depthwise kernels. See `smallest_unsaturated_scale`.
    """
    if inputs == 1:
        return None
    columns = np.arange(inputs * taps)
    if inputs % 2 and taps > 1:
        return np.stack([np.delete(columns, column) for column in columns])
    beside = columns // taps ^ 1
    return np.where(beside < inputs, beside * taps + columns % taps, columns)[:, None]


def smallest_weight_scale(bias: Array, input_scale: Array) -> Array:
    """Return the weight scales, one a channel, below which the bias would not fit 32 bits."""
    return np.abs(bias.astype(np.float64)) / (float(input_scale) * _INT32_HALF)


def encode_bias(bias: Array, input_scale: Array, weight_scale: Array) -> tuple[Array, Encoding]:
    """Quantise a bias to the accumulator's own scale, input scale × weight scale, as int32.

    Source:
        Jacob et al. 2018, section 2.4.
    """
    scale = (weight_scale * np.float32(input_scale)).astype(np.float32)
    scale = np.maximum(scale, np.float32(SMALLEST_SCALE))
    limit = 2**31 - 1
    whole = np.clip(np.rint(bias.astype(np.float64) / scale), -limit, limit)
    return whole.astype(np.int32), Encoding(scale, np.zeros(scale.shape, np.int32))
