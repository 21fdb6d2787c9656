from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.calibration.rounding import DAMPING, round_weights
from edgedeploy.graph.encoding import saturating_neighbours, smallest_unsaturated_scale

if TYPE_CHECKING:
    from edgedeploy.types import Array

SEEDS = st.integers(0, 2**32 - 1)


def _problem(
    seed: int, groups: int, rows: int, columns: int, *, rank: int = 3
) -> tuple[Array, Array, Array]:
    """Weights, their scales, and moments of inputs that go together in ``rank`` ways."""
    draw = np.random.default_rng(seed)
    weight = draw.normal(size=(groups, rows, columns)).astype(np.float32)
    scale = (np.abs(weight.astype(np.float64)).max(axis=2) / 127).astype(np.float32)
    mixing = draw.normal(size=(groups, columns, rank))
    inputs = mixing @ draw.normal(size=(groups, rank, 200))
    inputs += 0.1 * draw.normal(size=inputs.shape)
    inputs *= np.exp(draw.normal(size=(groups, columns, 1)))
    return weight, scale, inputs @ inputs.transpose(0, 2, 1) / 200


def _harm(weight: Array, scale: Array, whole: Array, moments: Array) -> Array:
    """eᵀ·H·e of every output channel, ``(groups, rows)``."""
    error = weight.astype(np.float64) / scale[:, :, None] - whole
    harm: Array = np.einsum("grk,gkl,grl->gr", error, moments, error)
    return harm


def _nearest(weight: Array, scale: Array) -> Array:
    nearest: Array = np.clip(np.rint(weight / scale[:, :, None]), -127, 127)
    return nearest


@pytest.mark.parametrize("columns", [3, 9, 27, 80])
@pytest.mark.parametrize("groups", [1, 3])
def test_the_output_errs_less_than_with_the_nearest_integers(groups: int, columns: int) -> None:
    found = nearest = 0.0
    for seed in range(40):  # greedy: a single layer of few columns may fare worse
        weight, scale, moments = _problem(seed, groups, 6, columns)
        found += _harm(weight, scale, round_weights(weight, scale, moments), moments).sum()
        nearest += _harm(weight, scale, _nearest(weight, scale), moments).sum()
    assert found < 0.9 * nearest


def test_inputs_that_go_together_gain_a_lot() -> None:
    found, nearest = 0.0, 0.0
    for seed in range(10):
        weight, scale, moments = _problem(seed, 1, 16, 96)
        found += _harm(weight, scale, round_weights(weight, scale, moments), moments).sum()
        nearest += _harm(weight, scale, _nearest(weight, scale), moments).sum()
    assert found < 0.2 * nearest


def _one_by_one(weight: Array, scale: Array, moments: Array) -> Array:
    """The same without blocks and without an inverse's factor: an inverse that shrinks.

    Optimal Brain Quantization, as Frantar et al. 2022 have it, in the order of the moments.
    """
    steps = weight.astype(np.float64) / scale[:, None]
    keep = np.abs(steps) >= np.abs(steps).max(axis=1, keepdims=True)
    fixed = np.rint(steps)
    damping = DAMPING * moments.diagonal().mean() * np.eye(len(moments))
    left = list(np.argsort(-moments.diagonal(), kind="stable"))
    whole = np.zeros(steps.shape)
    while left:
        inverse = np.linalg.inv((moments + damping)[np.ix_(left, left)])
        first, *others = left
        whole[:, first] = np.where(keep[:, first], fixed[:, first], np.rint(steps[:, first]))
        whole[:, first] = whole[:, first].clip(-127, 127)
        error = (steps[:, first] - whole[:, first]) / inverse[0, 0]
        steps[:, others] -= np.outer(error, inverse[0, 1:])
        left = others
    return whole


@pytest.mark.parametrize("columns", [9, 64, 65, 150])
def test_blocks_of_columns_change_nothing(columns: int) -> None:
    weight, scale, moments = _problem(2, 1, 6, columns)
    expected = _one_by_one(weight[0], scale[0], moments[0])
    np.testing.assert_array_equal(round_weights(weight, scale, moments)[0], expected)


@given(seed=SEEDS, columns=st.integers(1, 70), power=st.floats(1e-6, 1e6))
def test_inputs_that_have_nothing_in_common_leave_the_nearest(
    seed: int, columns: int, power: float
) -> None:
    weight, scale, _ = _problem(seed, 2, 3, columns)
    moments = np.broadcast_to(np.eye(columns) * power, (2, columns, columns))
    np.testing.assert_array_equal(
        round_weights(weight, scale, moments), _nearest(weight, scale).astype(np.int8)
    )


def test_inputs_that_are_always_the_same_leave_the_nearest() -> None:
    weight, scale, _ = _problem(0, 3, 4, 70)
    whole = round_weights(weight, scale, np.zeros((3, 70, 70)))
    np.testing.assert_array_equal(whole, _nearest(weight, scale))


def test_an_input_that_is_always_the_same_costs_the_others_nothing() -> None:
    weight, scale, moments = _problem(5, 2, 4, 20)
    moments[:, 7] = moments[:, :, 7] = 0.0
    moments[1] = 0.0  # and one group reads nothing at all
    whole = round_weights(weight, scale, moments)
    np.testing.assert_array_equal(whole[:, :, 7], _nearest(weight, scale)[:, :, 7])
    np.testing.assert_array_equal(whole[1], _nearest(weight, scale)[1])
    better = _harm(weight, scale, whole, moments)[0].sum()
    assert better < _harm(weight, scale, _nearest(weight, scale), moments)[0].sum()


@given(seed=SEEDS, groups=st.integers(1, 4), rows=st.integers(1, 4), columns=st.integers(1, 12))
def test_every_group_is_rounded_as_if_it_were_alone(
    seed: int, groups: int, rows: int, columns: int
) -> None:
    weight, scale, moments = _problem(seed, groups, rows, columns)
    # one order of columns serves all groups, so let each have the same
    moments = np.repeat(moments[:1], groups, axis=0)
    together = round_weights(weight, scale, moments)
    assert together.shape == weight.shape
    assert together.dtype == np.int8
    for group in range(groups):
        part = slice(group, group + 1)
        alone = round_weights(weight[part], scale[part], moments[part])
        np.testing.assert_array_equal(together[part], alone)


@given(seed=SEEDS, columns=st.integers(1, 70))
def test_the_largest_weight_of_each_channel_stays(seed: int, columns: int) -> None:
    weight, scale, moments = _problem(seed, 2, 3, columns)
    whole = round_weights(weight, scale, moments)
    largest = np.abs(weight).argmax(axis=2)[:, :, None]
    kept = np.take_along_axis(whole, largest, axis=2)
    np.testing.assert_array_equal(np.abs(kept), 127)
    np.testing.assert_array_equal(np.sign(kept), np.sign(np.take_along_axis(weight, largest, 2)))


@given(seed=SEEDS, columns=st.integers(2, 40), shrink=st.floats(0.2, 1.0))
def test_no_integer_leaves_8_bits_even_where_the_scale_is_too_small(
    seed: int, columns: int, shrink: float
) -> None:
    weight, scale, moments = _problem(seed, 1, 4, columns, rank=1)
    whole = round_weights(weight, (scale * shrink).astype(np.float32), moments)
    assert whole.min() >= -127


def test_a_channel_without_weights_stays_empty() -> None:
    weight, scale, moments = _problem(3, 1, 4, 30)
    weight[0, 2] = 0.0
    scale[0, 2] = 1.0
    assert not round_weights(weight, scale, moments)[0, 2].any()


def _worst_sum(whole: Array, inputs: int, taps: int) -> int:
    """The largest magnitude that two integers of one sign that a kernel adds come to."""
    kernel = whole.astype(int).reshape(-1, inputs, taps)
    worst = 0
    for channel in kernel:
        for sign in (1, -1):
            part = np.where(np.sign(channel) == sign, np.abs(channel), 0)
            # channels fastest, as the kernels lay them out; pairs of what follows each other
            for tap in range(taps):
                for first in range(0, inputs - 1, 2):
                    worst = max(worst, part[first, tap] + part[first + 1, tap])
            if inputs % 2 and taps > 1:  # then any two may come to lie side by side
                worst = max(worst, int(np.sort(part.ravel())[-2:].sum()))
    return worst


def _bounded_problem(seed: int, inputs: int, taps: int, spread: float) -> tuple[Array, ...]:
    """Weights, mostly above 0, whose pairs fill what a kernel can add where they are alike.

    Their magnitudes are alike where ``spread`` is 0.
    """
    weight, _, moments = _problem(seed, 1, 4, inputs * taps, rank=2)
    weight = np.sign(weight + 1) * np.abs(weight) ** np.float32(spread)
    largest = np.abs(weight[0].astype(np.float64)).max(axis=1) / 127
    unsaturated = smallest_unsaturated_scale(weight[0].reshape(4, inputs, taps), 0)
    return weight, np.maximum(largest, unsaturated).astype(np.float32)[None], moments


@settings(max_examples=60)
@given(
    seed=SEEDS,
    inputs=st.integers(2, 9),
    taps=st.sampled_from([1, 4, 9]),
    spread=st.floats(0.0, 2.0),
)
def test_no_two_neighbours_of_one_sign_come_to_more_than_128(
    seed: int, inputs: int, taps: int, spread: float
) -> None:
    problem = _bounded_problem(seed, inputs, taps, spread)
    whole = round_weights(*problem, neighbours=saturating_neighbours(inputs, taps))
    assert _worst_sum(whole, inputs, taps) <= 128
    assert np.abs(whole.astype(int)).max() <= 127


@pytest.mark.parametrize(("inputs", "taps"), [(16, 1), (8, 4), (3, 9)])
def test_what_would_saturate_is_bounded(inputs: int, taps: int) -> None:
    weight, scale, moments = _bounded_problem(0, inputs, taps, 0.0)
    scale = (scale * 0.9).astype(np.float32)
    free = round_weights(weight, scale, moments)
    assert _worst_sum(free, inputs, taps) > 128
    neighbours = saturating_neighbours(inputs, taps)
    bounded = round_weights(weight, scale, moments, neighbours=neighbours)
    assert _worst_sum(bounded, inputs, taps) == 128


@pytest.mark.parametrize(
    ("inputs", "taps", "expected"),
    [
        (1, 9, None),
        (2, 1, [[1], [0]]),
        (3, 1, [[1], [0], [2]]),  # the last has no neighbour: its own
        (2, 2, [[2], [3], [0], [1]]),
        (3, 2, [[c for c in range(6) if c != column] for column in range(6)]),
    ],
)
def test_neighbours_are_input_channels_at_the_same_tap(
    inputs: int, taps: int, expected: list[list[int]] | None
) -> None:
    found = saturating_neighbours(inputs, taps)
    assert (None if found is None else found.tolist()) == expected


def test_the_same_problem_gives_the_same_bytes() -> None:
    problem = _problem(1, 4, 8, 130)
    assert round_weights(*problem).tobytes() == round_weights(*problem).tobytes()
