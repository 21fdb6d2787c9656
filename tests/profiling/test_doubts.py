from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.profiling import doubts
from edgedeploy.profiling.conditions import Conditions

CALM = Conditions(settled=True, warm_up_s=0.3, cpus=4, other_cpus=0.1)
NANO = {"board": "jetson-nano", "engine": "GPU", "fastest_mhz": 921.6}
CALLS = 1000


def reasons(**changes: Any) -> list[str]:
    return list(doubts.doubts(replace(CALM, **changes), CALLS))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"counted": {"package": (0, 2)}},
         "the CPU package was throttled: its counter went from 0 to 2"),
        ({"counted": {"oc1": (4, 9)}},
         "over-current or a weak supply: the board's oc1 went from 4 to 9"),
        ({"slowed_by": ("thermal-cpufreq-0 (state 2)", "power brake")},
         "slowed down while it was timed, by thermal-cpufreq-0 (state 2), power brake"),
        ({"zones": {"a": (60.0, 99.0), "cpu-thermal": (94.5, 99.0)}},
         "cpu-thermal is at 94.5 °C, and slows down or stops at 99.0 °C"),
        ({"power_modes": ("MAXN", "15W")}, "the power mode changed from MAXN to 15W"),
        ({"seen_mhz": (3900.0, 3400.0, 3800.0)},
         "the CPU's clock moved between 3400 and 3900 MHz"),
        ({"seen_mhz": (306.0, 921.6), "locked": False, **NANO},
         "the GPU's clock moved between 306 and 922 MHz: run sudo jetson_clocks"),
        ({"seen_mhz": (306.0, 921.6), "locked": True, **NANO},
         "the GPU's clock moved between 306 and 922 MHz"),
        ({"seen_mhz": (306.0, 306.0), "locked": False, **NANO},
         "the GPU's clock stood at 306 of 922 MHz, not locked: run sudo jetson_clocks"),
        ({"seen_mhz": (614.4,), "locked": True, **NANO},
         "the GPU's clock stood at 614 of 922 MHz, although it is locked"),
        ({"other_cpus": 1.04}, "other processes kept 1.0 of 4 CPUs busy"),
        ({"other_cpus": 1.0, "stolen_cpus": 0.9},
         "the hypervisor gave 0.9 of 4 CPUs to other machines"),
        ({"other_cpus": None, "stalled": {"cpu some": 0.3}},
         "some process waited for a CPU 30% of the time (PSI), more than 5%"),
        ({"quota": 0.25},
         "a CPU quota (container?) stopped the worker 25% of the time, more than 1%"),
        ({"waited": 0.5}, "a thread of the worker waited for a CPU 50% of the time, more than 5%"),
        ({"preempted_hz": 124.0},
         "a thread of the worker was preempted 124 times a second, more than 60"),
        ({"migrated_hz": 250.0},
         "a thread of the worker changed its CPU 250 times a second, more than 100"),
        ({"own_swap_mb": 12.5}, "swap in use: 12.5 MB of the worker lie there"),
        ({"swap_in_mb": 0.4, "swap_out_mb": 3.0},
         "swap in use: 0.4 MB were read from it and 3.0 MB written"),
        ({"major_faults": 30}, "the worker waited for the disk 30 times in 1000 calls"),
        ({"stalled": {"memory some": 0.08, "cpu some": 0.9}},
         "processes waited for memory 8% of the time (PSI), more than 1%"),
        ({"gpu_ms": 0.2, "call_ms": 0.62},
         "host-bound: the GPU works 0.200 of the 0.620 ms of a call"),
        ({"sensor_gap": "tegrastats gave nothing from 2.00 s to 5.10 s"},
         "the power sensor has a gap: tegrastats gave nothing from 2.00 s to 5.10 s"),
    ],
)  # fmt: skip
def test_a_doubt_says_what_was_seen_in_one_short_sentence(
    changes: dict[str, Any], reason: str
) -> None:
    assert reasons(**changes) == [reason]
    assert len(reason) <= 100


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"zones": {"cpu-thermal": (93.9, 99.0)}},
        {"power_modes": (None, "15W")},
        {"power_modes": ("15W", "15W")},
        {"seen_mhz": (3600.0, 3900.0)},
        {"seen_mhz": (2100.0, 2100.0), "locked": False, "fastest_mhz": 4700.0},  # no turbo: a PC
        {"seen_mhz": (900.0, 921.6), "locked": False, **NANO},
        {"seen_mhz": (), "locked": False, **NANO},
        {"seen_mhz": (306.0, 921.6), "locked": False, "paced": True, **NANO},
        {"other_cpus": None},
        {"other_cpus": 0.3, "stolen_cpus": 0.15},
        {"stalled": {"cpu some": 0.9}},  # /proc/stat tells who: not this run's own threads
        {"waited": 0.009, "preempted_hz": 500.0},  # often, but hardly any time
        {"preempted_hz": 29.0, "migrated_hz": 3.0},
        # nobody else was there: its own threads took turns, as ONNX Runtime's do
        {"waited": 0.4, "migrated_hz": 300.0, "other_cpus": 0.01},
        {"preempted_hz": 18000.0, "other_cpus": 0.01},
        {"waited": 0.4, "migrated_hz": 300.0, "crowded": True},
        {"own_swap_mb": 0.5, "swap_in_mb": 0.3, "swap_out_mb": 0.0},
        {"major_faults": 1},
        {"gpu_ms": 0.5, "call_ms": 0.6},
        {"gpu_ms": None, "call_ms": 0.6},
        {"quota": 0.0, "stalled": {"memory some": 0.0, "io some": 0.9}},
    ],
)
def test_what_is_usual_or_not_known_is_no_doubt(changes: dict[str, Any]) -> None:
    assert reasons(**changes) == []


@given(st.lists(st.floats(1, 20000), min_size=1, max_size=9))
def test_a_clock_that_moved_by_more_than_a_tenth_is_always_told(mhz: list[float]) -> None:
    moved = min(mhz) < 0.9 * max(mhz)
    assert bool(reasons(seen_mhz=tuple(mhz))) is moved
