from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.calibration.channels import Channels
from edgedeploy.calibration.histogram import Histogram
from edgedeploy.calibration.squared_error import (
    density_of,
    expected,
    threshold,
    weighted_density_of,
)
from edgedeploy.calibration_values import QdqStyle, TensorRange
from edgedeploy.graph.encoding import encode_range


def _histogram(values: np.ndarray) -> Histogram:
    found = Histogram()
    found.add(values)
    return found


def _measured(values: np.ndarray, low: float, high: float, style: QdqStyle) -> float:
    """The squared error of really quantising ``values``."""
    encoding = encode_range(TensorRange(min=low, max=high, low=low, high=high), style)
    scale, zero = float(encoding.scale), int(encoding.zero_point)
    limits = np.iinfo(encoding.zero_point.dtype)
    lowest = max(limits.min, -127)
    whole = np.clip(np.rint(values.astype(np.float64) / scale) + zero, lowest, limits.max)
    return float(np.square((whole - zero) * scale - values).sum())


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    cut=st.floats(0.2, 1.0),
    floor=st.sampled_from([-np.inf, 0.0]),
    style=st.sampled_from(QdqStyle),
    spread=st.floats(1e-3, 1e3),
)
def test_the_expected_error_is_that_of_quantising(
    seed: int, cut: float, floor: float, style: QdqStyle, spread: float
) -> None:
    values = (np.random.default_rng(seed).normal(size=40_000) * spread).astype(np.float32)
    values = np.maximum(values, np.float32(floor))
    low, high = cut * float(values.min()), cut * float(values.max())
    channels = Channels(1)
    channels.add(values[None])
    measured = _measured(values, low, high, style)
    for density in (density_of(_histogram(values)), weighted_density_of(channels, np.ones(1))):
        (found,) = expected(density, np.array([low]), np.array([high]), style)
        assert found == pytest.approx(measured, rel=0.12)


def test_an_error_costs_what_its_channel_weighs() -> None:
    values = np.random.default_rng(0).uniform(0, 1, (2, 5000)).astype(np.float32)
    channels = Channels(2)
    channels.add(values)
    low, high = np.zeros(1), np.ones(1)
    both, first = (
        expected(weighted_density_of(channels, np.array(weights)), low, high, QdqStyle.U8)[0]
        for weights in ([7.0, 0.0], [1.0, 0.0])
    )
    assert both == pytest.approx(7 * first)


def test_uniform_values_are_kept_whole() -> None:
    values = np.random.default_rng(0).uniform(-3, 3, 100_000).astype(np.float32)
    assert threshold(_histogram(values)) == pytest.approx(3, rel=0.01)


def test_the_cut_is_the_best_of_many_by_quantising_really() -> None:
    values = np.random.default_rng(1).laplace(size=500_000).astype(np.float32)
    cut = threshold(_histogram(values))
    largest = float(np.abs(values).max())
    assert cut < 0.9 * largest

    def harm(magnitude: float) -> float:
        total = 0.0
        for style in QdqStyle:
            whole = _measured(values, float(values.min()), float(values.max()), style)
            low, high = max(float(values.min()), -magnitude), min(float(values.max()), magnitude)
            total += _measured(values, low, high, style) / whole
        return total

    assert harm(cut) <= 1.03 * min(harm(largest * part / 40) for part in range(4, 41))
