from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.meters.gpu_clocks import GpuState, GpuWatch
from edgedeploy.worker.watching import Watch
from tests.fake_trees import ORIN_NANO, plant
from tests.machines import cooler, cpufreq, devfreq, psi, running_on, thread, zone

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

SECOND = 10**9
GPU = "17000000.gpu"
PAGE = os.sysconf("SC_PAGE_SIZE")


class FakeGpu(GpuWatch):
    """A discrete GPU that goes through states."""

    def __init__(self, states: Iterable[GpuState]) -> None:
        self._states = iter(states)

    def read(self) -> GpuState | None:
        return next(self._states, None)


def test_clocks_are_told_before_during_and_after_with_their_limits(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        running_on(1)
        | cpufreq(0, 400_000, 400_000, 4_000_000, "schedutil")
        | cpufreq(1, 3_900_000, 400_000, 4_000_000, "schedutil"),
    )
    watch = Watch(root)
    watch.start()
    plant(tmp_path, cpufreq(1, 1_300_000, 400_000, 4_000_000, "schedutil"))
    watch.sample(1.0)
    clocks = watch.stop(2 * SECOND)["clocks"]
    assert clocks["cpu"] == {
        "locked": False, "governor": "schedutil", "min_mhz": 400.0, "max_mhz": 4000.0,
    }  # fmt: skip
    assert clocks["before_mhz"] == {"cpu0": 400.0, "cpu1": 3900.0}
    assert clocks["after_mhz"] == {"cpu0": 400.0, "cpu1": 1300.0}
    assert clocks["seen"]["t_s"] == [0.0, 1.0, 2.0]
    assert clocks["seen"]["cpu_mhz"] == [3900.0, 1300.0, 1300.0]
    assert clocks["gpu"] is None


def test_a_jetsons_gpu_is_watched_by_its_devfreq(tmp_path: Path) -> None:
    root = plant(tmp_path, devfreq(GPU, 306_000_000, 306_000_000, 1_020_000_000, "nvhost_podgov"))
    watch = Watch(root, runs_on="gpu")
    watch.start()
    plant(tmp_path, devfreq(GPU, 1_020_000_000, 306_000_000, 1_020_000_000, "nvhost_podgov"))
    seen = watch.stop(SECOND)
    assert seen["runs_on"] == "gpu"
    assert seen["clocks"]["gpu"]["name"] == GPU
    assert seen["clocks"]["gpu"]["locked"] is False
    assert seen["clocks"]["seen"]["gpu_mhz"] == [306.0, 1020.0]


def test_a_discrete_gpu_tells_its_clock_and_what_slows_it_down(tmp_path: Path) -> None:
    fast, slow = GpuState(1980.0, 1980.0, []), GpuState(1200.0, 1980.0, ["power brake"])
    watch = Watch(str(tmp_path), runs_on="gpu", gpu=FakeGpu([fast, slow, fast, fast]))
    watch.start()
    watch.sample(0.5)
    seen = watch.stop(SECOND)
    assert seen["throttled"]["slowed_by"] == ["power brake"]
    assert seen["clocks"]["seen"]["slowed"] == [False, True, False]
    assert seen["clocks"]["seen"]["gpu_mhz"] == [1980.0, 1200.0, 1980.0]
    assert seen["clocks"]["gpu"]["max_mhz"] == 1980.0


def test_throttling_is_what_rose_and_what_was_on_in_between(tmp_path: Path) -> None:
    count = "sys/class/hwmon/hwmon3/oc1_event_cnt"
    root = plant(
        tmp_path,
        {count: 4, "sys/class/hwmon/hwmon3/oc2_event_cnt": 7}
        | cooler(0, "thermal-cpufreq-0", 0)
        | zone(0, "cpu-thermal", 60000, passive=99000),
    )
    watch = Watch(root)
    watch.start()
    plant(tmp_path, cooler(0, "thermal-cpufreq-0", 2))
    watch.sample(0.4)
    plant(tmp_path, {count: 9} | cooler(0, "thermal-cpufreq-0", 0))
    plant(tmp_path, zone(0, "cpu-thermal", 98500, passive=99000))
    seen = watch.stop(SECOND)
    assert seen["throttled"] == {
        "counters": ["oc1", "oc2"],
        "counted": {"oc1": [4, 9]},
        "slowed_by": ["thermal-cpufreq-0 (state 2)"],
    }
    assert seen["zones"] == {"cpu-thermal": {"before_c": 60.0, "after_c": 98.5, "trip_c": 99.0}}


def test_waiting_is_a_share_of_the_window(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        thread(1, waited_ns=5, preempted=1, migrated=2)
        | psi("cpu", 1_000_000)
        | psi("memory", 10, 5)
        | {"proc/vmstat": "pswpin 1\npswpout 1\n", "proc/self/status": "VmSwap:\t 8 kB\n"}
        | {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": "throttled_usec 0\n"},
    )
    watch = Watch(root)
    watch.start()
    plant(tmp_path, thread(1, waited_ns=5 + SECOND // 2, preempted=11, migrated=5))
    plant(tmp_path, psi("cpu", 1_600_000) | {"proc/vmstat": "pswpin 4\npswpout 2\n"})
    plant(tmp_path, {"sys/fs/cgroup/cpu.stat": "throttled_usec 200000\n"})
    seen = watch.stop(2 * SECOND)
    assert (seen["waited_share"], seen["preemptions"], seen["migrations"]) == (0.25, 10, 3)
    assert seen["psi"] == {"cpu some": 0.3, "memory some": 0.0, "memory full": 0.0}
    assert seen["quota_share"] == 0.1
    assert seen["swap"] == {"own_bytes": 8192, "in_bytes": 3 * PAGE, "out_bytes": PAGE}


def test_the_power_mode_is_told_before_and_after(tmp_path: Path) -> None:
    root = plant(tmp_path, ORIN_NANO)
    watch = Watch(root)
    watch.start()
    plant(tmp_path, {"var/lib/nvpmodel/status": "pmode:0000 fmode:quiet\n"})
    assert watch.stop(SECOND)["power_mode"] == ["25W", "15W"]


def test_a_machine_that_tells_nothing_gives_values_that_say_so(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path))
    watch.start()
    seen = watch.stop(0)
    assert seen["waited_share"] is None
    assert seen["psi"] is None
    assert seen["clocks"]["cpu"]["locked"] is None
    assert seen["clocks"]["seen"]["cpu_mhz"] == [None, None]
    assert seen["swap"] == {"own_bytes": None, "in_bytes": None, "out_bytes": None}


EVERY_FILE = sorted(
    running_on(0)
    | cpufreq(0, 1, 1, 1, "x")
    | devfreq(GPU, 1, 1, 1, "x")
    | zone(0, "x", 1, passive=1)
    | cooler(0, "thermal-cpufreq-0", 1)
    | thread(1, waited_ns=1, preempted=1, migrated=1)
    | psi("cpu", 1)
    | dict.fromkeys(
        (
            "proc/stat",
            "proc/vmstat",
            "proc/self/status",
            "proc/self/cgroup",
            "sys/fs/cgroup/cpu.stat",
            "sys/class/hwmon/hwmon0/oc1_event_cnt",
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
            "var/lib/nvpmodel/status",
        ),
        "",
    )
)
HOSTILE: Any = st.one_of(
    st.binary(max_size=40),
    st.integers(-(10**25), 10**25).map(lambda value: str(value).encode()),
    st.sampled_from([b"", b"nan", b"some avg10=x total=9\n", b"0::/../..\n", b"1 2 3", b"\0" * 99]),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(HOSTILE, min_size=len(EVERY_FILE), max_size=len(EVERY_FILE)))
def test_no_file_of_the_kernel_can_stop_a_run(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    watch = Watch(plant(folder, dict(zip(EVERY_FILE, contents, strict=True))), runs_on="gpu")
    watch.start()
    plant(folder, dict(zip(EVERY_FILE, reversed(contents), strict=True)))
    watch.sample(0.5)
    json.dumps(watch.stop(SECOND), allow_nan=False)
