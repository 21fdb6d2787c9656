from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgedeploy.calibration_values import QdqStyle, TensorRange
from edgedeploy.graph.encoding import (
    Encoding,
    encode_bias,
    encode_range,
    encode_weight,
    half_scale,
    halve_weight,
    smallest_unsaturated_scale,
    weight_scale,
)


def _scale(weight: np.ndarray, axis: int) -> np.ndarray:
    return weight_scale(weight, axis, bias=None, encoding=None, any_x86=False)


_ENDS = st.floats(0, 1e6, width=32)


def _range(low: float, high: float) -> TensorRange:
    return TensorRange(min=low, max=high, low=low, high=high)


@settings(deadline=None)
@given(below=_ENDS, above=_ENDS)
def test_u8_holds_both_ends_within_half_a_step_and_zero_exactly(below: float, above: float) -> None:
    found = encode_range(_range(-below, above + 1e-3), QdqStyle.U8)
    scale, zero = float(found.scale), int(found.zero_point)
    assert found.zero_point.dtype == np.uint8
    for end in (-below, above + 1e-3):
        step = np.clip(np.rint(end / scale) + zero, 0, 255) - zero
        assert abs(step * scale - end) <= 0.51 * scale


@settings(deadline=None)
@given(below=_ENDS, above=_ENDS)
def test_s8_is_symmetric(below: float, above: float) -> None:
    found = encode_range(_range(-below, above + 1e-3), QdqStyle.S8)
    assert found.zero_point.dtype == np.int8
    assert int(found.zero_point) == 0
    assert float(found.scale) * 127 == pytest.approx(max(below, above + 1e-3), rel=1e-6)


@settings(deadline=None)
@given(high=st.floats(2.0**-100, 2.0**100, width=32))
def test_u8_of_a_relu_never_passes_its_upper_bound(high: float) -> None:
    found = encode_range(_range(0.0, high), QdqStyle.U8)
    assert int(found.zero_point) == 0
    assert np.float32(255) * np.float32(found.scale) <= np.float32(high)


@settings(deadline=None)
@given(
    weight=hnp.arrays(np.float32, (4, 6, 3, 3), elements=st.floats(-100, 100, width=32)),
    axis=st.sampled_from([0, 1]),
)
def test_weights_are_within_half_a_step_of_themselves(weight: np.ndarray, axis: int) -> None:
    whole, found = encode_weight(weight, axis, _scale(weight, axis))
    assert found.scale.shape == (weight.shape[axis],)
    assert whole.min() >= -127
    scale = np.expand_dims(found.scale, tuple(i for i in range(4) if i != axis)).astype(np.float64)
    assert (np.abs(whole * scale - weight) <= 0.5001 * scale).all()


def test_a_channel_of_zeros_has_a_scale_that_can_be_divided_by() -> None:
    weight = np.zeros((2, 3, 1, 1), np.float32)
    whole, found = encode_weight(weight, 0, _scale(weight, 0))
    assert not whole.any()
    assert (found.scale == 1).all()


def test_a_bias_is_within_half_a_step_in_the_accumulators_scale() -> None:
    scales = np.asarray([1e-3, 2e-2], np.float32)
    bias = np.asarray([0.7, -3.0], np.float32)
    whole, found = encode_bias(bias, np.asarray(0.02, np.float32), scales)
    assert whole.dtype == np.int32
    np.testing.assert_array_equal(found.scale, scales * np.float32(0.02))
    assert (np.abs(whole * found.scale - bias) <= found.scale).all()


def test_a_large_bias_on_a_dead_channel_widens_its_weight_scale() -> None:
    weight = np.full((2, 4, 1, 1), 1e-12, np.float32)
    bias = np.asarray([5.0, 0.0], np.float32)
    scale = np.asarray(0.02, np.float32)
    input_encoding = Encoding(scale, np.asarray(0, np.uint8))
    found = weight_scale(weight, 0, bias=bias, encoding=input_encoding, any_x86=False)
    whole, encoding = encode_bias(bias, scale, found)
    np.testing.assert_allclose(whole * encoding.scale.astype(np.float64), bias, rtol=1e-6)


@pytest.mark.parametrize("shape", [(8, 6, 1, 1), (8, 6, 3, 3), (8, 3, 3, 3), (8, 7, 1, 1)])
def test_neighbouring_weights_cannot_saturate_sixteen_bits(shape: tuple[int, ...]) -> None:
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = Encoding(np.asarray(0.02, np.float32), np.asarray(0, np.uint8))
    scale = weight_scale(weight, 0, bias=None, encoding=found, any_x86=True)
    whole, _ = encode_weight(weight, 0, scale)
    rows = whole.astype(np.int32).reshape(*shape[:2], -1)
    rows = np.pad(rows, ((0, 0), (0, shape[1] % 2), (0, 0)))
    pairs = rows.reshape(8, -1, 2, rows.shape[2])
    for sign in (1, -1):
        assert 255 * np.maximum(sign * pairs, 0).sum(axis=2).max() < 2**15
    assert np.abs(whole).max() > 64  # better than 7 bits for all of them


def test_a_depthwise_kernel_keeps_all_eight_bits() -> None:
    weight = np.ones((8, 1, 3, 3), np.float32)
    assert not smallest_unsaturated_scale(weight, 0).any()


def test_a_matrix_is_paired_along_its_inputs() -> None:
    matrix = np.asarray([[1, 0], [1, 1], [0, 0], [0, 1]], np.float32)  # (inputs, outputs)
    np.testing.assert_allclose(smallest_unsaturated_scale(matrix, 1), [2 / 127, 1 / 127])


@given(scale=hnp.arrays(np.float32, 5, elements=st.floats(2.0**-100, 500, width=32)))
def test_float16_scales_are_held_exactly_and_lie_next_to_their_own(scale: np.ndarray) -> None:
    found = half_scale(scale)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.astype(np.float16).astype(np.float32), found)
    normal = scale >= np.finfo(np.float16).tiny
    assert (np.abs(found - scale)[normal] <= scale[normal] * 2.0**-11).all()
    assert (found[~normal] >= scale[~normal]).all()
    assert (found[~normal] - scale[~normal] <= 2.0**-24).all()


@given(
    weight=hnp.arrays(np.float32, (3, 2, 3, 3), elements=st.floats(-60000, 60000, width=32)),
    size=hnp.arrays(np.float32, (3, 1, 1, 1), elements=st.floats(2.0**-30, 1, width=32)),
)
def test_a_channel_keeps_its_integers_where_float16_has_a_scale_like_its_own(
    weight: np.ndarray, size: np.ndarray
) -> None:
    weight = np.asarray(weight * size, np.float32)
    scale = _scale(weight, 0)
    whole, _ = encode_weight(weight, 0, scale)
    found, encoding = halve_weight(weight, 0, whole, scale)
    kept = scale >= np.finfo(np.float16).tiny
    np.testing.assert_array_equal(found[kept], whole[kept])
    assert np.abs(found).max() <= 127
    step = encoding.scale.reshape(-1, 1, 1, 1).astype(np.float64)
    off = np.abs(found * step - weight)
    assert (off <= 0.5001 * step + np.abs(weight) * 2.0**-11).all()
