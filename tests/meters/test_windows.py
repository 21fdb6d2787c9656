from __future__ import annotations

import pytest

from edgedeploy.meters.integrating import Span
from edgedeploy.meters.sampler import Recording
from edgedeploy.meters.sources import SOURCES
from edgedeploy.meters.windows import evaluate

MS = 10**6
TEGRASTATS = SOURCES["tegrastats"]


def recording(
    rails: dict[str, list[int | None]], *, period_ms: int = 100, ended: str | None = None
) -> Recording:
    count = len(next(iter(rails.values())))
    return Recording([i * period_ms * MS for i in range(count)], rails, {}, ended)


def test_energy_of_an_orin_is_that_of_its_rule_over_the_window() -> None:
    rails: dict[str, list[int | None]] = {
        "VDD_IN": [*[4000] * 10, *[8000] * 31],
        "VDD_SOC": [*[1000] * 10, *[1500] * 31],
    }
    seen, reason = evaluate(
        recording(rails),
        Span(1500 * MS, 3500 * MS),
        Span(100 * MS, 800 * MS),
        TEGRASTATS,
        "jetson-orin-nano",
    )
    assert reason is None
    assert seen is not None
    assert seen["joules"] == pytest.approx(16.0)
    assert seen["window_ns"] == 2000 * MS
    assert seen["rule"] == "VDD_IN"
    assert seen["rails_w"] == pytest.approx({"VDD_IN": 8.0, "VDD_SOC": 1.5})
    assert seen["idle_w"] == pytest.approx(4.0)
    assert seen["idle_reason"] is None
    assert seen["samples"] == 21
    assert seen["uncertainty_pct"] == pytest.approx(200 * 40 / 12**0.5 / 8000)
    assert seen["trace"]["t_ns"][:2] == [-1500 * MS, -1400 * MS]
    assert seen["trace"]["mw"][9:11] == [4000, 8000]


def test_rails_of_a_sum_are_added_and_the_others_left_out() -> None:
    rails: dict[str, list[int | None]] = {
        "VDD_GPU_SOC": [4000] * 12,
        "VDD_CPU_CV": [400] * 12,
        "VIN_SYS_5V0": [3000] * 12,
        "VDDQ_VDD2_1V8AO": [700] * 12,
        "NC": [0] * 12,
    }
    window = Span(200 * MS, 1000 * MS)
    seen, _ = evaluate(recording(rails), window, None, TEGRASTATS, "agx-orin")
    assert seen is not None
    assert seen["joules"] == pytest.approx(7.4 * 0.8)
    assert seen["rule"] == "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0"
    assert seen["rails_w"]["VDDQ_VDD2_1V8AO"] == pytest.approx(0.7)
    assert (seen["idle_w"], seen["idle_reason"]) == (None, "no idle time was measured")


def test_resolution_that_nobody_knows_leaves_the_uncertainty_open() -> None:
    window = Span(200 * MS, 1000 * MS)
    nano: dict[str, list[int | None]] = {"POM_5V_IN": [3000] * 12}
    seen, _ = evaluate(recording(nano), window, None, TEGRASTATS, "nano")
    assert seen is not None
    assert seen["uncertainty_pct"] is None
    told = recording(nano)._replace(steps_mw={"POM_5V_IN": 40.0})
    seen, _ = evaluate(told, window, None, SOURCES["ina3221"], "nano")
    assert seen is not None
    assert seen["uncertainty_pct"] == pytest.approx(200 * 40 / 12**0.5 / 3000)


def test_line_that_lost_the_rail_of_the_total_is_bridged() -> None:
    rails: dict[str, list[int | None]] = {"VDD_IN": [5000, 5000, None, 5000, 5000, 5000]}
    seen, _ = evaluate(recording(rails), Span(100 * MS, 400 * MS), None, TEGRASTATS, "xavier-nx")
    assert seen is not None
    assert seen["joules"] == pytest.approx(1.5)
    assert seen["samples"] == 3


def test_rail_with_a_gap_has_no_mean_of_its_own() -> None:
    rails: dict[str, list[int | None]] = {
        "VDD_IN": [5000] * 30,
        "VDD_SOC": [*[900] * 10, *[None] * 20],
    }
    seen, _ = evaluate(recording(rails), Span(100 * MS, 2500 * MS), None, TEGRASTATS, "xavier-nx")
    assert seen is not None
    assert list(seen["rails_w"]) == ["VDD_IN"]


def test_sensor_that_died_gives_no_energy_but_when_and_how() -> None:
    dead = recording({"VDD_IN": [5000] * 10}, ended="it ended with exit code 3")
    seen, reason = evaluate(dead, Span(500 * MS, 2000 * MS), None, TEGRASTATS, "orin-nx")
    assert seen is None
    assert reason == (
        "tegrastats gave nothing from 0.40 s to 1.50 s of the window: it ended with exit code 3"
    )


def test_sensor_that_stalled_gives_no_energy_but_the_gap() -> None:
    stalled = Recording([0, 100 * MS, 3200 * MS, 3300 * MS], {"VDD_IN": [5000] * 4}, {}, None)
    seen, reason = evaluate(stalled, Span(50 * MS, 3250 * MS), None, TEGRASTATS, "orin-nx")
    assert seen is None
    assert reason == (
        "tegrastats gave nothing from 0.05 s to 3.15 s of the window: at most 1 s is bridged"
    )


def test_one_sample_is_no_measurement() -> None:
    rails: dict[str, list[int | None]] = {"VDD_IN": [5000] * 4}
    seen, reason = evaluate(recording(rails), Span(150 * MS, 230 * MS), None, TEGRASTATS, "orin-nx")
    assert seen is None
    assert reason == (
        "tegrastats gave too few samples (1) in the window of 0.080 s, 2 are needed: "
        "measure for longer"
    )


def test_rails_of_another_board_are_no_total() -> None:
    rails: dict[str, list[int | None]] = {"VDD_SOC": [5000] * 9}
    seen, reason = evaluate(recording(rails), Span(0, 700 * MS), None, TEGRASTATS, "jetson-tx2")
    assert seen is None
    assert reason == "tegrastats: its rails (VDD_SOC) do not make the power of jetson-tx2"


def test_idle_power_is_not_mixed_with_the_work_that_follows() -> None:
    rails: dict[str, list[int | None]] = {"VDD_IN": [*[2000] * 10, *[9000] * 20]}
    window, idle = Span(1000 * MS, 2500 * MS), Span(110 * MS, 990 * MS)
    seen, _ = evaluate(recording(rails), window, idle, TEGRASTATS, "orin-nx")
    assert seen is not None
    assert seen["idle_w"] == pytest.approx(2.0)


def test_idle_samples_that_come_at_once_are_no_power() -> None:
    times = [0, 500 * MS, 500 * MS, 1000 * MS, 1100 * MS, 1200 * MS]
    lumped = Recording(times, {"VDD_IN": [5000] * 6}, {}, None)
    window, idle = Span(1000 * MS, 1150 * MS), Span(300 * MS, 700 * MS)
    seen, _ = evaluate(lumped, window, idle, TEGRASTATS, "orin-nx")
    assert seen is not None
    assert seen["idle_w"] is None
    assert seen["idle_reason"] == "all samples of the idle time came at once from tegrastats"


def test_idle_time_too_short_is_a_reason_of_its_own() -> None:
    rails: dict[str, list[int | None]] = {"VDD_IN": [5000] * 30}
    window, idle = Span(500 * MS, 2500 * MS), Span(310 * MS, 390 * MS)
    seen, _ = evaluate(recording(rails), window, idle, TEGRASTATS, "orin-nx")
    assert seen is not None
    assert seen["idle_w"] is None
    assert seen["idle_reason"] == (
        "tegrastats gave too few samples (0) in the idle time of 0.080 s, 2 are needed: "
        "measure for longer"
    )


def test_gauge_that_averages_needs_a_long_window() -> None:
    rails: dict[str, list[int | None]] = {"battery": [9000] * 30}
    battery = SOURCES["battery"]
    slow = recording(rails, period_ms=500)
    seen, reason = evaluate(slow, Span(500 * MS, 2500 * MS), None, battery, "local")
    assert seen is None
    assert reason is not None
    assert "battery averages by itself: the window of 2.00 s is shorter than the 10 s" in reason
    seen, _ = evaluate(slow, Span(500 * MS, 12_500 * MS), None, battery, "local")
    assert seen is not None
    assert seen["joules"] == pytest.approx(9 * 12)
    assert seen["rule"] == "the whole computer with its screen, from its battery's gauge"
