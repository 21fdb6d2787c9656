from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy import shares

SHARES = st.floats(0, 1)


@given(one=SHARES, two=SHARES, count=st.integers(1, 10**6))
def test_the_other_way_round_the_interval_is_its_mirror(one: float, two: float, count: int) -> None:
    low, high = shares.difference(one, two, count)
    assert low < high
    assert shares.difference(two, one, count) == pytest.approx((-high, -low))


def test_a_hundred_times_the_images_make_it_ten_times_as_narrow() -> None:
    widths = [high - low for low, high in (shares.difference(0.7, 0.8, n) for n in (10**4, 10**6))]
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.01)


def test_shares_of_nothing_and_of_everything_are_not_sure_either() -> None:
    low, high = shares.difference(1.0, 1.0, 100)
    assert low < 0 < high


@pytest.mark.parametrize("count", [None, 0, -3, True, "100", 10**30, 1.5])
def test_what_is_no_number_of_images_is_not_known(count: object) -> None:
    assert shares.images({"accuracy": {"count": count}}) is None


def test_the_number_of_images_is_that_of_the_accuracy() -> None:
    assert shares.images({"accuracy": {"count": 100}}) == 100
    assert shares.images({"accuracy": None}) is None
