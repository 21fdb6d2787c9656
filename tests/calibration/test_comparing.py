from __future__ import annotations

import numpy as np

from edgedeploy.calibration.comparing import compare
from edgedeploy.calibration_values import TensorRange
from tests.calibration.samples import calibration, left_float, with_arrays


def _range(low: float, high: float) -> TensorRange:
    return TensorRange(min=low, max=high, low=low, high=high)


def test_equal_calibrations_differ_in_nothing() -> None:
    assert compare(with_arrays(), with_arrays(sha256="f" * 64)).is_empty


def test_the_tensor_whose_range_moved_most_comes_first() -> None:
    first = calibration(ranges={"a": _range(0, 1), "b": _range(-4, 4), "c": _range(0, 1)})
    second = calibration(ranges={"a": _range(0, 1.25), "b": _range(-8, 4), "c": _range(0, 1)})
    found = compare(first, second)
    assert [(change.name, change.size) for change in found.ranges] == [("b", 1 / 3), ("a", 0.2)]
    assert not found.provenance
    assert not found.is_empty


def test_what_chose_a_range_counts_where_both_say_it() -> None:
    unknown, mse, entropy = (
        calibration(ranges={"a": TensorRange(min=0, max=1, low=0, high=1, method=method)})
        for method in ("", "mse", "entropy")
    )
    assert compare(unknown, mse).is_empty
    assert [change.name for change in compare(mse, entropy).ranges] == ["a"]


def test_tensors_of_one_side_only_are_listed() -> None:
    first = calibration(ranges={"b": _range(0, 1), "a": _range(0, 1), "c": _range(0, 1)})
    second = calibration(ranges={"c": _range(0, 1), "d": _range(0, 1)})
    found = compare(first, second)
    assert (found.only_first, found.only_second) == (("a", "b"), ("d",))


def test_provenance_is_shown_with_both_values() -> None:
    found = compare(calibration(), calibration(data_count=100, method="mse"))
    assert found.provenance == (("data_count", 200, 100), ("method", "entropy", "mse"))


def test_budgets_and_what_they_left_in_float_are_compared() -> None:
    first = calibration(steps=("round",), max_drop=1.0, spending={"s8": left_float("a", "b")})
    found = compare(first, calibration(steps=("round",)))
    assert found.provenance == (
        ("max_drop", 1.0, None),
        ("left_float", {"s8": ("a", "b")}, {}),
    )
    spending = {"s8": left_float("a", "b"), "u8": left_float()}
    assert compare(first, calibration(steps=("round",), max_drop=1.0, spending=spending)).is_empty


def test_arrays_that_differ_or_are_missing_are_named() -> None:
    first = with_arrays()
    changed = with_arrays(
        equalisation={"block/é": np.array([0.5, 2.5], np.float32)},
        corrections={"s8": first.corrections["s8"], "u8-vnni": {}},
    )
    assert compare(first, changed).arrays == (
        "bias of 'conv/a' (u8)",
        "equalisation of 'block/é'",
        "rounding of 'conv/a' (u8)",
    )
