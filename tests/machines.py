"""The files that tell of clocks, throttling and waiting, for trees in a temporary folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fake_trees import Tree


def cpufreq(cpu: int, current_khz: int, low_khz: int, high_khz: int, governor: str) -> Tree:
    """The clock of a CPU."""
    folder = f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
    return {
        f"{folder}/scaling_cur_freq": f"{current_khz}\n",
        f"{folder}/scaling_min_freq": f"{low_khz}\n",
        f"{folder}/scaling_max_freq": f"{high_khz}\n",
        f"{folder}/scaling_governor": f"{governor}\n",
    }


def devfreq(name: str, current_hz: int, low_hz: int, high_hz: int, governor: str) -> Tree:
    """The clock of a Jetson's GPU, or of another device."""
    folder = f"sys/class/devfreq/{name}"
    return {
        f"{folder}/cur_freq": f"{current_hz}\n",
        f"{folder}/min_freq": f"{low_hz}\n",
        f"{folder}/max_freq": f"{high_hz}\n",
        f"{folder}/governor": f"{governor}\n",
    }


def zone(number: int, kind: str, millicelsius: int | str, **trips: int) -> Tree:
    """A thermal zone; ``trips`` are its trip points by type."""
    folder = f"sys/class/thermal/thermal_zone{number}"
    tree: Tree = {f"{folder}/type": f"{kind}\n", f"{folder}/temp": f"{millicelsius}\n"}
    for index, (name, value) in enumerate(trips.items()):
        tree[f"{folder}/trip_point_{index}_type"] = f"{name}\n"
        tree[f"{folder}/trip_point_{index}_temp"] = f"{value}\n"
    return tree


def cooler(number: int, kind: str, state: int) -> Tree:
    """A cooling device."""
    folder = f"sys/class/thermal/cooling_device{number}"
    return {f"{folder}/type": f"{kind}\n", f"{folder}/cur_state": f"{state}\n"}


def running_on(cpu: int, *, number: int = 77, state: str = "R") -> Tree:
    """A thread of the process itself, on a CPU."""
    fields = [state] + ["0"] * 35 + [str(cpu)] + ["0"] * 13
    return {f"proc/self/task/{number}/stat": f"{number} (a) thread) {' '.join(fields)}\n"}


def thread(number: int, *, waited_ns: int, preempted: int, migrated: int) -> Tree:
    """A thread of the process itself."""
    folder = f"proc/self/task/{number}"
    return {
        f"{folder}/schedstat": f"123456789 {waited_ns} 4711\n",
        f"{folder}/status": f"Name:\tx\nvoluntary_ctxt_switches:\t7\n"
        f"nonvoluntary_ctxt_switches:\t{preempted}\n",
        f"{folder}/sched": f"python3 ({number}, #threads: 3)\n{'-' * 67}\n"
        f"se.nr_migrations                             : {migrated:>20}\n"
        "numa_pages_migrated                          :                    0\n",
    }


def psi(kind: str, some_us: int, full_us: int | None = None) -> Tree:
    """Pressure stall information of ``"cpu"``, ``"memory"`` or ``"io"``."""
    averages = "avg10=1.00 avg60=2.00 avg300=3.00"
    text = f"some {averages} total={some_us}\n"
    if full_us is not None:
        text += f"full {averages} total={full_us}\n"
    return {f"proc/pressure/{kind}": text}
