from __future__ import annotations

import pytest

from edgedeploy.meters.counters import Counter, EnergyMeter, EnergyReading, monotonic_ns


def _read(values: list[int | None], window_ns: int, range_uj: int | None = None) -> EnergyReading:
    times = iter([1_000, 1_000 + window_ns])
    counter = Counter("rail", iter(values).__next__, range_uj)
    meter = EnergyMeter([counter], "the rule", clock_ns=lambda: next(times))
    meter.start()
    return meter.stop()


def test_reading_holds_energy_window_rails_and_rule() -> None:
    reading = _read([10, 2_500_010], 3_000_000_000)
    assert reading == EnergyReading(2.5, 3_000_000_000, {"rail": 2.5}, "the rule", None)


@pytest.mark.parametrize(
    ("values", "window_s", "range_uj", "reason"),
    [
        ([5, 5], 1, None, "did not move in 1000.000 ms"),
        ([None, 5], 1, None, "could not be read"),
        ([5, None], 1, None, "could not be read"),
        ([9, 5], 1, None, "was reset in between"),
        (
            [5, 900_000_000],
            10,
            1_000_000_000,
            "starts again after 1000 J and may have done so more",
        ),
    ],
)
def test_doubtful_difference_is_a_reason_and_no_number(
    values: list[int | None], window_s: int, range_uj: int | None, reason: str
) -> None:
    reading = _read(values, window_s * 10**9, range_uj)
    assert reading.joules is None
    assert reading.rails == {}
    assert reading.reason is not None
    assert reason in reading.reason


def test_counter_that_starts_again_many_times_is_followed_in_steps() -> None:
    values = [0, 600, 200, 800, 400]  # ranges of 1000 µJ: 600 each time
    times = iter(range(5))
    meter = EnergyMeter(
        [Counter("rail", iter(values).__next__, 1000)], "r", clock_ns=lambda: next(times)
    )
    meter.start()
    for _ in range(3):
        meter.step()
    reading = meter.stop()
    assert reading.joules == pytest.approx(2400e-6)
    assert reading.window_ns == 4


def test_doubt_of_a_step_is_not_forgotten() -> None:
    meter = EnergyMeter([Counter("rail", iter([0, None, 5, 9]).__next__)], "r")
    meter.start()
    meter.step()
    meter.step()
    assert meter.stop().reason == "the energy counter rail could not be read"


def test_one_doubtful_rail_takes_the_total_with_it() -> None:
    good = Counter("good", iter([0, 10]).__next__)
    bad = Counter("bad", iter([0, None]).__next__)
    meter = EnergyMeter([good, bad], "both")
    meter.start()
    assert meter.stop()[0] is None


def test_meter_may_be_started_again() -> None:
    meter = EnergyMeter([Counter("rail", iter([0, 1_000_000, 5_000_000, 7_000_000]).__next__)], "r")
    meter.start()
    assert meter.stop().joules == 1.0
    meter.start()
    assert meter.stop().joules == 2.0


def test_clock_never_goes_back() -> None:
    first, second = monotonic_ns(), monotonic_ns()
    assert 0 <= second - first < 10**9
