from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.meters.integrating import Span, find_gap, inside, integrate, uncertainty_pct

S = 10**9


def test_constant_power_is_power_times_time() -> None:
    assert integrate([0, S, 3 * S], [5.0, 5.0, 5.0], Span(0, 3 * S)) == pytest.approx(15)


def test_both_ends_are_interpolated() -> None:
    # a ramp of 1 W per second, from 0.5 s to 2.25 s: (2.25² - 0.5²) / 2
    area = integrate([0, S, 3 * S], [0.0, 1.0, 3.0], Span(S // 2, 9 * S // 4))
    assert area == pytest.approx((2.25**2 - 0.5**2) / 2)


def test_window_between_two_neighbours_lies_on_their_line() -> None:
    assert integrate([0, 4 * S], [0.0, 4.0], Span(S, 2 * S)) == pytest.approx(1.5)


def test_samples_of_one_moment_do_no_harm() -> None:
    assert integrate([0, S, S, 2 * S], [1.0, 1.0, 9.0, 9.0], Span(0, 2 * S)) == pytest.approx(10)


def test_samples_outside_the_window_change_nothing() -> None:
    inner = integrate([S, 2 * S], [3.0, 4.0], Span(S, 2 * S))
    outer = integrate([0, S, 2 * S, 3 * S], [99.0, 3.0, 4.0, 99.0], Span(S, 2 * S))
    assert inner == pytest.approx(outer) == pytest.approx(3.5)


@given(
    steps=st.lists(st.tuples(st.integers(1, 10**9), st.floats(0, 1e5)), min_size=3, max_size=30),
    cuts=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
)
def test_parts_of_a_window_add_up_to_it(
    steps: list[tuple[int, float]], cuts: tuple[float, float, float]
) -> None:
    times = [sum(width for width, _ in steps[: i + 1]) for i in range(len(steps))]
    values = [value for _, value in steps]
    start, middle, end = sorted(int(times[0] + cut * (times[-1] - times[0])) for cut in cuts)
    parts = integrate(times, values, Span(start, middle)) + integrate(
        times, values, Span(middle, end)
    )
    assert parts == pytest.approx(integrate(times, values, Span(start, end)), abs=1e-4, rel=1e-9)


@pytest.mark.parametrize(
    ("times", "gap"),
    [
        ([0, 5, 10, 15, 20], None),
        ([4, 9, 14, 16], None),
        ([0, 5], Span(5, 15)),  # died
        ([0, 5, 14], Span(5, 14)),
        ([0, 13, 20], Span(5, 13)),  # the gap began before the window
        ([0, 5, 10, 30], Span(10, 15)),
        ([], Span(5, 15)),
        ([7, 12, 20], Span(5, 7)),  # nothing before the window
        ([0, 6, 11], Span(11, 15)),  # nothing after it
    ],
)
def test_first_part_that_is_not_bridged_is_the_gap(times: list[int], gap: Span | None) -> None:
    assert find_gap([t * S for t in times], Span(5 * S, 15 * S), longest_s=7) == (
        None if gap is None else Span(gap.start_ns * S, gap.end_ns * S)
    )


def test_uncertainty_holds_the_scatter_and_the_rounding() -> None:
    assert uncertainty_pct([1000.0] * 100, 0, 1000) == 0
    # rounding to steps of 40 does not average out
    assert uncertainty_pct([1000.0] * 100, 40, 1000) == pytest.approx(200 * 40 / 12**0.5 / 1000)
    assert uncertainty_pct([990.0, 1010.0] * 50, 0, 1000) == pytest.approx(
        200 * (100 * 100 / 99) ** 0.5 / 10 / 1000
    )


def test_uncertainty_of_too_little_is_not_known() -> None:
    assert uncertainty_pct([1000.0], 40, 1000) is None
    assert uncertainty_pct([0.0, 0.0], 40, 0) is None
    assert uncertainty_pct([-5.0, -6.0], 40, -5.5) is None


def test_samples_at_the_ends_lie_inside() -> None:
    assert inside([0, 1, 2, 3], [10.0, 11.0, 12.0, 13.0], Span(1, 2)) == [11.0, 12.0]
