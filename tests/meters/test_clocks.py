from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import clocks
from edgedeploy.meters.clocks import Clock
from tests.fake_trees import plant
from tests.machines import cpufreq, devfreq, running_on

if TYPE_CHECKING:
    from pathlib import Path


def test_each_cpu_tells_its_clock_and_who_sets_it(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        cpufreq(10, 1_200_000, 800_000, 4_700_000, "powersave")
        | cpufreq(2, 3_000_000, 800_000, 4_700_000, "performance")
        | {"sys/devices/system/cpu/cpufreq/boost": "1", "sys/devices/system/cpu/cpuidle/x": "1"},
    )
    found = clocks.cpus(root)
    assert list(found) == ["cpu2", "cpu10"]
    assert found["cpu10"] == Clock("powersave", 800.0, 4700.0, 1200.0)


def test_cpus_that_share_a_clock_are_named_once(tmp_path: Path) -> None:
    root = plant(tmp_path, cpufreq(0, 1_479_000, 102_000, 1_479_000, "schedutil"))
    other = tmp_path / "sys/devices/system/cpu/cpu1"
    other.mkdir()
    (other / "cpufreq").symlink_to("../cpu0/cpufreq")
    assert list(clocks.cpus(root)) == ["cpu0"]


@pytest.mark.parametrize(
    ("clock", "locked"),
    [
        (Clock("schedutil", 1479.0, 1479.0, 1479.0), True),  # as jetson_clocks leaves it
        (Clock(None, 1479.0, 1479.0, None), True),
        (Clock("schedutil", 102.0, 1479.0, 1479.0), False),
        (Clock("performance", 102.0, 1479.0, 1479.0), True),
        (Clock("userspace", 102.0, 1479.0, 900.0), True),
        (Clock(None, 102.0, 1479.0, None), False),
        (Clock("nvhost_podgov", None, None, None), False),
        (Clock(None, None, 1479.0, 1479.0), None),
    ],
)
def test_a_clock_is_locked_if_it_cannot_change(clock: Clock, *, locked: bool | None) -> None:
    assert clock.locked is locked


def test_all_clocks_are_locked_if_none_is_known_to_change() -> None:
    fixed, free = Clock(None, 1.0, 1.0, 1.0), Clock(None, 1.0, 2.0, 1.0)
    unknown = Clock(None, None, None, 1.0)
    assert clocks.all_locked([fixed, unknown]) is True
    assert clocks.all_locked([fixed, free]) is False
    assert clocks.all_locked([unknown]) is None
    assert clocks.all_locked([]) is None


@pytest.mark.parametrize(
    "name",
    ["57000000.gpu", "17000000.gp10b", "17000000.gv11b", "17000000.ga10b", "17000000.gpu",
     "gpu-gpc-0"],
)  # fmt: skip
def test_the_gpu_of_each_jetson_is_found_among_other_devices(tmp_path: Path, name: str) -> None:
    root = plant(
        tmp_path,
        devfreq("15340000.vic", 115_200_000, 115_200_000, 600_000_000, "userspace")
        | devfreq(name, 306_000_000, 306_000_000, 1_020_000_000, "nvhost_podgov"),
    )
    assert clocks.gpu(root) == (name, Clock("nvhost_podgov", 306.0, 1020.0, 306.0))


def test_a_machine_without_a_gpu_has_no_clock_of_one(tmp_path: Path) -> None:
    other = devfreq("15340000.vic", 1_000_000, 1_000_000, 2_000_000, "userspace")
    assert clocks.gpu(plant(tmp_path, other)) is None
    assert clocks.gpu(plant(tmp_path, {"sys/class/devfreq/57000000.gpu/name": "x"})) is None


def test_the_working_cpu_is_the_faster_of_two_that_run_threads_of_this_process(
    tmp_path: Path,
) -> None:
    root = plant(
        tmp_path,
        running_on(3)
        | running_on(0, number=78, state="S")
        | running_on(1, number=79)
        | running_on(0, number=80)  # a third is not read
        | cpufreq(0, 4_000_000, 400_000, 4_000_000, "x")
        | cpufreq(1, 1_200_000, 400_000, 4_000_000, "x")
        | cpufreq(3, 3_900_000, 400_000, 4_000_000, "x"),
    )
    assert clocks.working_cpu_mhz(root) == 3900.0


@pytest.mark.parametrize(
    "value", ["", "0", "-1", "nonsense", "1 2", "99999999999", "9" * 30, b"\xff\xfe\0", "1e6"]
)
def test_nonsense_is_no_clock(tmp_path: Path, value: str | bytes) -> None:
    folder = "sys/devices/system/cpu/cpu0/cpufreq"
    files = {f"{folder}/scaling_cur_freq": value, f"{folder}/scaling_governor": "performance"}
    found = clocks.cpus(plant(tmp_path, running_on(0) | files))
    assert found == {"cpu0": Clock("performance", None, None, None)}
    assert clocks.working_cpu_mhz(str(tmp_path)) is None


def test_a_governor_of_several_words_is_none(tmp_path: Path) -> None:
    folder = "sys/devices/system/cpu/cpu0/cpufreq"
    root = plant(tmp_path, {f"{folder}/scaling_governor": "a\nb", f"{folder}/scaling_cur_freq": 9})
    assert clocks.cpus(root)["cpu0"].governor is None


def test_where_nothing_is_told_nothing_is_known(tmp_path: Path) -> None:
    assert clocks.cpus(str(tmp_path)) == {}
    assert clocks.gpu(str(tmp_path)) is None
    assert clocks.working_cpu_mhz(str(tmp_path)) is None
    assert clocks.working_cpu_mhz(plant(tmp_path, {"proc/self/task/1/stat": "1 (x) R 2"})) is None
