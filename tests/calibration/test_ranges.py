from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgedeploy.calibration.channels import Channels
from edgedeploy.calibration.histogram import Histogram
from edgedeploy.calibration.ranges import METHODS, best_range, candidates, choose_range, whole_range
from edgedeploy.errors import UnknownNameError

if TYPE_CHECKING:
    from edgedeploy.calibration_values import TensorRange


def _seen(values: np.ndarray) -> tuple[Histogram, Channels]:
    histogram, channels = Histogram(), Channels(len(values))
    histogram.add(values)
    channels.add(values)
    return histogram, channels


def _best(values: np.ndarray, *weights: float) -> TensorRange:
    return best_range(*_seen(values), np.array(weights or [1.0] * len(values)))


@settings(max_examples=40)
@given(
    values=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 100)),
        elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
    )
)
def test_every_method_gives_a_range_that_holds_0_and_lies_in_the_whole_one(
    values: np.ndarray,
) -> None:
    whole = whole_range(float(values.min()), float(values.max()))
    for found in (*candidates(_seen(values)[0]), _best(values)):
        assert whole.low <= found.low <= 0.0 <= found.high <= whole.high
        assert found.low < found.high
        assert (found.min, found.max) == (whole.min, whole.max)
        assert found.method.split()[0] in METHODS


def test_a_tensor_that_is_always_0_has_a_range_that_can_be_encoded() -> None:
    zeros = np.zeros((2, 9), np.float32)
    for method in METHODS[1:]:
        assert choose_range(_seen(zeros)[0], method) == whole_range(0.0, 0.0)
    assert _best(zeros) == whole_range(0.0, 0.0)


def test_the_whole_range_is_kept_where_nothing_lies_far_out() -> None:
    values = np.random.default_rng(0).uniform(-3, 3, (4, 20_000)).astype(np.float32)
    assert _best(values).method == "minmax"
    assert _best(np.clip(values * 4, 0, 6)).method == "minmax"


def test_a_far_outlier_is_cut_off_and_what_cut_it_is_written_down() -> None:
    values = np.random.default_rng(0).normal(size=(4, 50_000)).astype(np.float32)
    values[0, 0] = 60.0
    found = _best(values)
    assert found.high < 45.0
    assert found.method != "minmax"


def test_a_channel_that_its_readers_weigh_keeps_its_large_values() -> None:
    values = np.random.default_rng(0).normal(size=(2, 50_000)).astype(np.float32)
    values[1, :50] = 60.0
    ignored, weighed = (_best(values, 1.0, weight) for weight in (0.0, 100.0))
    assert ignored.high < 20.0
    assert weighed.high == 60.0


def test_the_choice_is_logged_and_where_one_style_would_choose_otherwise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    values = np.maximum(np.random.default_rng(0).laplace(size=(1, 200_000)), 0).astype(np.float32)
    with caplog.at_level(logging.DEBUG):
        found = best_range(*_seen(values), np.ones(1), name="stem/act")
    assert f"stem/act: {found.method}, 0 to {found.high:g}" in caplog.text


def test_methods_that_do_not_exist_are_refused() -> None:
    histogram, _ = _seen(np.ones((1, 1), np.float32))
    with pytest.raises(UnknownNameError, match="no range method is called 'auto'"):
        choose_range(histogram, "auto")
