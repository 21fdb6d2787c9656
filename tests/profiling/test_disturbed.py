"""A run that something disturbs is suspect and says what: from the kernel's files to the record."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgedeploy.profiling import measuring
from edgedeploy.profiling.measuring import ProfileSpec
from edgedeploy.reporting import notes, table
from edgedeploy.worker.conditions import Window
from tests.artifacts import write_artifact
from tests.fake_trees import NANO, Tree, plant
from tests.machines import cooler, cpufreq, devfreq, psi, running_on, thread, zone
from tests.profiling.documents import raw_result, record

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord

SECOND = 10**9
TICK = os.sysconf("SC_CLK_TCK")
GPU = "57000000.gpu"


def stat(busy_s: int) -> Tree:
    return {"proc/stat": f"cpu  {busy_s * TICK} 0 0 999 5 0 0 0 0 0\ncpu0 1 2 3\n"}


CALM: Tree = (
    stat(100)
    | running_on(0)
    | cpufreq(0, 3_900_000, 400_000, 4_000_000, "performance")
    | thread(77, waited_ns=0, preempted=0, migrated=0)
    | zone(0, "cpu-thermal", 60000, passive=99000)
    | cooler(0, "thermal-cpufreq-0", 0)
    | psi("cpu", 0)
    | {"sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": 0}
)


def run(folder: Path, during: Tree, *, before: Tree = CALM, runs_on: str = "cpu") -> ProfileRecord:
    """The record of ten seconds in which the kernel's files became ``during``."""
    root = plant(folder / "root", before)
    window = Window(runs_on, root)
    window.open()
    plant(folder / "root", during)
    window.sample(1.0)
    result = raw_result()
    seen = window.close(10 * SECOND)
    result["conditions"] = seen.conditions | {"cpus": 2}
    result["window_ns"] = 10 * SECOND
    result["board"]["name"] = "jetson-nano" if runs_on == "gpu" else "local"
    return record(folder / "artifact", result=result)


def test_a_calm_run_is_measured(tmp_path: Path) -> None:
    found = run(tmp_path, {})
    assert (found.level, found.reasons) == ("measured", ())
    assert found.document["device"]["clocks"] == {"locked": True, "governor": "performance"}


def test_a_hog_that_starts_in_the_middle_is_told(tmp_path: Path) -> None:
    hog = stat(106) | thread(77, waited_ns=3 * SECOND, preempted=600, migrated=0)
    found = run(tmp_path, hog)
    assert found.level == "suspect"
    assert found.reasons[0].startswith("other processes kept 0.6 of ")
    assert found.reasons[1] == (
        "a thread of the worker waited for a CPU 30% of the time, more than 5%"
    )


def test_a_processor_that_throttles_is_told(tmp_path: Path) -> None:
    count = "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    hot = zone(0, "cpu-thermal", 98000, passive=99000) | cooler(0, "thermal-cpufreq-0", 3)
    slow = cpufreq(0, 1_200_000, 400_000, 4_000_000, "performance")
    assert run(tmp_path, {count: 12} | hot | slow).reasons == (
        "the CPU package was throttled: its counter went from 0 to 12",
        "slowed down while it was timed, by thermal-cpufreq-0 (state 3)",
        "cpu-thermal is at 98.0 °C, and slows down or stops at 99.0 °C",
        "the CPU's clock moved between 1200 and 3900 MHz",
    )


def test_a_jetson_with_free_clocks_and_a_weak_supply_is_told(tmp_path: Path) -> None:
    free = devfreq(GPU, 76_800_000, 76_800_000, 921_600_000, "nvhost_podgov")
    modes = {
        "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=5W >\n",
        "var/lib/nvpmodel/status": "pmode:0000\n",
    }
    events = "sys/class/hwmon/hwmon2/oc1_event_cnt"
    found = run(
        tmp_path,
        {events: 5, "var/lib/nvpmodel/status": "pmode:0001\n"},
        before=NANO | free | modes | {events: 0},
        runs_on="gpu",
    )
    assert found.reasons == (
        "over-current or a weak supply: the board's oc1 went from 0 to 5",
        "the power mode changed from MAXN to 5W",
        "the GPU's clock stood at 77 of 922 MHz, not locked: run sudo jetson_clocks",
    )
    (row,) = table.rows([found])
    told = notes.footnotes([row], table.columns([row]))
    assert any("not locked: run sudo jetson_clocks" in note for note in told)


@pytest.mark.slow
def test_a_real_hog_makes_a_real_run_suspect(tmp_path: Path) -> None:
    hogs: list[subprocess.Popen[bytes]] = []

    def start_hog(text: str, done_s: float, _total_s: float) -> None:
        if text == "timing" and done_s > 0.9 and not hogs:
            hogs.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))

    try:
        found = measuring.profile(
            write_artifact(tmp_path / "artifact"),
            ProfileSpec(duration_s=4, threads=1),
            progress=start_hog,
        )
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert hogs
    assert found.level == "suspect"
    assert any(reason.startswith("other processes kept ") for reason in found.reasons)
