from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgedeploy.meters import pressure
from tests.fake_trees import Tree, plant
from tests.machines import psi

TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def test_stalls_are_totals_of_microseconds(tmp_path: Path) -> None:
    root = plant(tmp_path, psi("cpu", 5_000_000) | psi("memory", 70, 60) | psi("io", 9, 8))
    assert pressure.read(root).stalled_us == {
        "cpu some": 5_000_000, "memory some": 70, "memory full": 60, "io some": 9, "io full": 8,
    }  # fmt: skip


def test_swapping_and_stolen_time_are_in_bytes_and_seconds(tmp_path: Path) -> None:
    files: Tree = {
        "proc/vmstat": "nr_free_pages 12\npswpin 3\npswpout 5\nthp_swpout 9\n",
        "proc/stat": f"cpu  1 2 3 4 5 6 7 {3 * TICK} 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n",
    }
    seen = pressure.read(plant(tmp_path, files))
    assert (seen.swapped_in_bytes, seen.swapped_out_bytes) == (3 * PAGE, 5 * PAGE)
    assert seen.stolen_s == 3.0


@pytest.mark.parametrize(
    ("groups", "path", "text"),
    [
        ("0::/\n", "sys/fs/cgroup/cpu.stat", "nr_periods 9\nthrottled_usec 1500\n"),
        ("0::/a.slice/b\n", "sys/fs/cgroup/a.slice/b/cpu.stat", "throttled_usec 1500\n"),
        ("0::/docker/abc\n", "sys/fs/cgroup/cpu.stat", "throttled_usec 1500\n"),
        ("4:memory:/x\n3:cpu,cpuacct:/x\n", "sys/fs/cgroup/cpu/x/cpu.stat",
         "nr_throttled 2\nthrottled_time 1500000\n"),
    ],
)  # fmt: skip
def test_a_cpu_quota_is_that_of_the_own_group(
    tmp_path: Path, groups: str, path: str, text: str
) -> None:
    assert pressure.read(plant(tmp_path, {"proc/self/cgroup": groups, path: text})).quota_us == 1500


def test_a_group_outside_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {"proc/self/cgroup": "0::/../../../..\n"})
    plant(tmp_path, {"cpu.stat": "throttled_usec 1500\n"})
    assert pressure.read(root).quota_us is None


@pytest.mark.parametrize("text", ["", "some total=x", "pswpin -4", b"\xff\0", "cpu 1 2 3"])
def test_what_makes_no_sense_is_not_known(tmp_path: Path, text: str | bytes) -> None:
    names = ("proc/pressure/cpu", "proc/vmstat", "proc/stat", "proc/self/cgroup")
    assert pressure.read(plant(tmp_path, dict.fromkeys(names, text))) == (
        {},
        None,
        None,
        None,
        None,
    )


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc")
def test_this_machine_tells_its_totals() -> None:
    stolen_s = pressure.read().stolen_s
    assert stolen_s is None or stolen_s >= 0
