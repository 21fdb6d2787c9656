from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.meters.integrating import Span
from edgedeploy.meters.sampler import Recording
from edgedeploy.meters.sources import SOURCES
from edgedeploy.meters.windows import evaluate
from edgedeploy.profiling import conditions
from edgedeploy.profiling.conditions import Conditions
from edgedeploy.worker.watching import Watch
from tests.fake_trees import plant
from tests.machines import cpufreq, devfreq, running_on, thread, zone
from tests.profiling.documents import raw_result, record

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 10**9
CPU = {"locked": False, "governor": "schedutil", "min_mhz": 400.0, "max_mhz": 4000.0}


def seen(**around: Any) -> dict[str, Any]:
    """A result with these conditions too."""
    result = raw_result(window_ns=2 * SECOND)
    result["conditions"] |= around
    return result


def around(**values: Any) -> Conditions:
    return conditions.of(seen(**values), "single", 1.0)


def test_what_an_older_worker_does_not_tell_is_not_known() -> None:
    found = conditions.of(raw_result(), "single", 1.0)
    assert found == Conditions(settled=True, warm_up_s=0.3, cpus=2, other_cpus=0.0, call_ms=1.0)
    assert conditions.device_clocks(raw_result()) is None


def test_what_a_worker_sees_arrives(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        running_on(0)
        | cpufreq(0, 3_900_000, 400_000, 4_000_000, "schedutil")
        | zone(0, "x86_pkg_temp", 92000, passive=95000)
        | thread(1, waited_ns=0, preempted=0, migrated=0)
        | {"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": 3},
    )
    watch = Watch(root)
    watch.start()
    plant(tmp_path, zone(0, "x86_pkg_temp", 88000, passive=95000))
    plant(tmp_path, thread(1, waited_ns=SECOND, preempted=30, migrated=8))
    plant(tmp_path, {"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": 17})
    found = around(**watch.stop(2 * SECOND))
    assert found.engine == "CPU"
    assert (found.locked, found.fastest_mhz, found.seen_mhz) == (False, 4000.0, (3900.0, 3900.0))
    assert found.zones == {"x86_pkg_temp": (92.0, 95.0)}
    assert found.counted == {"core": (3, 17)}
    assert (found.waited, found.preempted_hz, found.migrated_hz) == (0.5, 15.0, 4.0)


def test_on_a_gpu_the_gpus_clock_counts(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        running_on(0)
        | cpufreq(0, 700_000, 100_000, 1_500_000, "schedutil")
        | devfreq("17000000.gpu", 306_000_000, 306_000_000, 1_020_000_000, "nvhost_podgov"),
    )
    watch = Watch(root, runs_on="gpu")
    watch.start()
    found = around(**watch.stop(SECOND))
    assert (found.engine, found.fastest_mhz, found.seen_mhz) == ("GPU", 1020.0, (306.0, 306.0))


def test_openvinos_gpu_is_not_judged_by_the_clock_of_the_cpu() -> None:
    result = seen(runs_on="cpu", clocks={"cpu": CPU, "seen": {"cpu_mhz": [400.0, 4000.0]}})
    result["runtime"]["device"] = "GPU"
    found = conditions.of(result, "single", 1.0)
    assert (found.engine, found.seen_mhz) == ("GPU", ())


def test_a_moment_has_no_rate() -> None:
    result = seen(preemptions=3, migrations=2)
    result["window_ns"] = SECOND // 100
    found = conditions.of(result, "single", 1.0)
    assert (found.preempted_hz, found.migrated_hz) == (3.0, 2.0)


def test_the_gpus_share_of_a_call_is_that_of_single_calls() -> None:
    result = raw_result(stages_ms={"h2d": [0.1] * 9, "compute": [0.2, 0.3, 9.0], "d2h": [0.1]})
    assert conditions.of(result, "single", 1.0).gpu_ms == pytest.approx(0.5)
    assert conditions.of(result, "server", 1.0).gpu_ms is None
    result["stages_ms"]["graph"] = [0.15, 0.16, 0.17]  # what a call runs instead of "compute"
    assert conditions.of(result, "single", 1.0).gpu_ms == pytest.approx(0.36)


@pytest.mark.parametrize(
    ("window", "gap"),
    [
        (Span(SECOND, 5 * SECOND), "tegrastats gave nothing from 1.00 s to 4.00 s of the window"),
        (Span(SECOND, SECOND + 1000), None),
    ],
)
def test_a_sensor_that_ends_leaves_a_gap_and_a_window_too_short_for_it_does_not(
    window: Span, gap: str | None
) -> None:
    samples = Recording(
        [i * SECOND // 10 for i in range(21)], {"VDD_IN": [4000] * 21}, {}, "it ended with code 1"
    )
    energy, reason = evaluate(samples, window, None, SOURCES["tegrastats"], "orin-nano")
    assert energy is None
    found = conditions.of(raw_result(energy_reason=reason), "single", 1.0)
    assert found.sensor_gap == gap


@pytest.mark.parametrize(
    ("scenario", "paced", "crowded"),
    [
        ("single", False, False),
        ("camera", True, False),
        ("server", True, False),
        ("multi", False, True),
        ("offline", False, False),
    ],
)
def test_a_scenario_says_whether_calls_wait_for_a_schedule_or_for_each_other(
    scenario: str, *, paced: bool, crowded: bool
) -> None:
    found = conditions.of(raw_result(), scenario, 1.0)
    assert (found.paced, found.crowded) == (paced, crowded)


@pytest.mark.parametrize(
    ("clocks", "told"),
    [
        ({"cpu": CPU, "gpu": None}, {"locked": False, "governor": "schedutil"}),
        ({"cpu": CPU | {"locked": True}, "gpu": CPU}, {"locked": False, "governor": "schedutil"}),
        ({"cpu": CPU | {"locked": True}, "gpu": None}, {"locked": True, "governor": "schedutil"}),
        ({"cpu": CPU | {"locked": None}, "gpu": None}, {"locked": None, "governor": "schedutil"}),
        ({"cpu": CPU | {"locked": None, "governor": None}, "gpu": None}, None),
    ],
)
def test_a_device_is_locked_when_all_its_clocks_are(
    clocks: dict[str, Any], told: dict[str, Any] | None
) -> None:
    assert conditions.device_clocks(seen(clocks=clocks)) == told


def test_a_record_says_why_it_is_suspect_and_whether_clocks_are_locked(tmp_path: Path) -> None:
    result = seen(
        runs_on="cpu",
        clocks={"cpu": CPU, "gpu": None, "seen": {"cpu_mhz": [4000.0, 1300.0], "gpu_mhz": []}},
        throttled={"counted": {"core": [3, 17]}, "slowed_by": []},
    )
    found = record(tmp_path / "a", result=result)
    assert found.level == "suspect"
    assert found.reasons == (
        "a CPU core was throttled: its counter went from 3 to 17",
        "the CPU's clock moved between 1300 and 4000 MHz",
    )
    assert found.document["device"]["clocks"] == {"locked": False, "governor": "schedutil"}
