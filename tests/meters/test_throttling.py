from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import throttling
from edgedeploy.meters.throttling import Zone
from tests.fake_trees import plant
from tests.machines import cooler, zone

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_trees import Tree


def intel(cpu: int, core: int, package: int) -> Tree:
    folder = f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle"
    return {f"{folder}/core_throttle_count": core, f"{folder}/package_throttle_count": package}


def coolers(root: str) -> dict[str, int]:
    return throttling.states(throttling.find_coolers(root))


def test_intels_counters_are_those_of_the_cpu_that_counted_most(tmp_path: Path) -> None:
    root = plant(tmp_path, intel(0, 3, 9) | intel(1, 17, 9))
    assert throttling.counters(root) == {"core": 17, "package": 9}


def test_over_current_events_of_a_jetson_are_counted_by_their_number(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        {
            "sys/class/hwmon/hwmon3/name": "soctherm_oc",
            "sys/class/hwmon/hwmon3/oc1_event_cnt": "4\n",
            "sys/class/hwmon/hwmon3/oc3_event_cnt": "0\n",
            "sys/class/hwmon/hwmon3/oc3_throt_en": "1\n",
            "sys/class/hwmon/hwmon0/in1_input": "5000\n",
        },
    )
    assert throttling.counters(root) == {"oc1": 4, "oc3": 0}


def test_only_what_rose_was_counted() -> None:
    before, after = {"core": 3, "oc1": 4, "package": 9}, {"core": 17, "oc1": 4, "oc2": 5}
    assert throttling.counted(before, after) == {"core": (3, 17)}
    assert throttling.counted({"core": 9}, {"core": 2}) == {}  # another counter took its place


@pytest.mark.parametrize("value", ["", "-3", "many", b"\0\xff", "9" * 25])
def test_a_counter_that_is_nonsense_is_absent(tmp_path: Path, value: str | bytes) -> None:
    files: Tree = {
        "sys/class/hwmon/hwmon3/oc1_event_cnt": value,
        "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": value,
    }
    assert throttling.counters(plant(tmp_path, files)) == {}


@pytest.mark.parametrize(
    "kind",
    ["thermal-cpufreq-0", "thermal-devfreq-0", "Processor", "intel_powerclamp", "cpu-balanced",
     "gpu-balanced", "cpu-throttle-alert", "cpufreq-cpu0"],
)  # fmt: skip
def test_what_cools_by_slowing_down_is_told(tmp_path: Path, kind: str) -> None:
    root = plant(tmp_path, cooler(0, "pwm-fan", 3) | cooler(1, kind, 2))
    assert coolers(root) == {kind: 2}


@pytest.mark.parametrize("kind", ["pwm-fan", "Fan", "LCD", "TCC Offset", "hot-surface-alert", ""])
def test_what_cools_without_slowing_down_is_none(tmp_path: Path, kind: str) -> None:
    assert coolers(plant(tmp_path, cooler(0, kind, 5))) == {}


def test_of_coolers_with_one_name_the_one_that_is_on_counts(tmp_path: Path) -> None:
    root = plant(tmp_path, cooler(0, "Processor", 0) | cooler(1, "Processor", 7))
    plant(tmp_path, cooler(2, "Processor", -1))
    assert coolers(root) == {"Processor": 7}


def test_a_zone_has_the_lowest_point_at_which_it_slows_down_or_stops(tmp_path: Path) -> None:
    root = plant(tmp_path, zone(0, "cpu-thermal", 61500, active=45000, critical=104500))
    plant(tmp_path, zone(1, "gpu-thermal", 58000, passive=99000, critical=104500))
    plant(tmp_path, zone(2, "tj-thermal", 62000))
    assert throttling.zones(root) == {
        "cpu-thermal": Zone(61.5, 104.5),
        "gpu-thermal": Zone(58.0, 99.0),
        "tj-thermal": Zone(62.0, None),
    }


def test_a_trip_point_that_firmware_left_unset_is_none(tmp_path: Path) -> None:
    root = plant(tmp_path, zone(0, "acpitz", 27800, passive=0, hot=-274000))
    assert throttling.zones(root)["acpitz"].trip_c is None


@pytest.mark.parametrize("value", ["-256000", "", "nan", "1000000", "9" * 30])
def test_a_zone_that_measures_nothing_is_absent(tmp_path: Path, value: str) -> None:
    assert throttling.zones(plant(tmp_path, zone(0, "cv0-thermal", value))) == {}


def test_a_name_that_could_steer_a_terminal_is_not_repeated(tmp_path: Path) -> None:
    root = plant(tmp_path, zone(3, "cpu\u2028thermal", 40000) | cooler(0, "cpufreq\u200b", 2))
    assert throttling.zones(root) == {"thermal_zone3": Zone(40.0, None)}
    assert coolers(root) == {}


def test_of_zones_with_one_name_the_hotter_counts(tmp_path: Path) -> None:
    root = plant(tmp_path, zone(0, "acpitz", 40000) | zone(1, "acpitz", 70000, hot=90000))
    plant(tmp_path, zone(2, "acpitz", 30000))
    assert throttling.zones(root) == {"acpitz": Zone(70.0, 90.0)}


def test_a_machine_that_tells_nothing_is_not_throttled(tmp_path: Path) -> None:
    assert throttling.counters(str(tmp_path)) == {}
    assert coolers(str(tmp_path)) == {}
    assert throttling.zones(str(tmp_path)) == {}
