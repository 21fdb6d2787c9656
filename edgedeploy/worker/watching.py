"""Watching a machine around and during the timed calls: clocks, heat, waiting, swapping."""

from typing import Any, Dict, List, Optional

from ..meters import board, clocks, pressure, process, threads, throttling
from ..meters.clocks import Clock
from ..meters.gpu_clocks import GpuState, GpuWatch


class Watch:
    """Reads what surrounds the samples from `start` to `stop`, and in between when it is told to.

    Made before the warm-up: it reads the clocks of all CPUs, and some kernels need 10 ms for each.

    Args:
        root: Where the file system starts.
        runs_on: What does the work: ``"cpu"`` or ``"gpu"``.
        gpu: Reads a discrete GPU; None: there is one where ``runs_on`` says so and no Jetson's.
    """

    def __init__(
        self, root: str = "/", runs_on: str = "cpu", gpu: Optional[GpuWatch] = None
    ) -> None:
        self._root = root
        self._gpu = gpu
        self._runs_on = runs_on
        if gpu is None and runs_on == "gpu" and clocks.gpu(root) is None:
            self._gpu = GpuWatch()
        self._coolers = throttling.find_coolers(root)
        self._zones = throttling.zones(root)
        self._cpus = clocks.cpus(root)
        self._power_mode = board.detect(root).power_mode
        self._begin()

    def start(self) -> None:
        """Begin, right before the first timed call."""
        self._begin()
        self.sample(0.0)

    def sample(self, seconds: float) -> None:
        """Look at what changes fast; a few files, so call it rarely and between two calls.

        Args:
            seconds: Since `start`.
        """
        gpu = clocks.gpu(self._root)
        state = None if self._gpu is None else self._gpu.read()
        slowed = [
            "{} (state {})".format(name, level)
            for name, level in sorted(throttling.states(self._coolers).items())
            if level
        ]
        slowed += [] if state is None else state.throttles
        self._slowed_by += [name for name in slowed if name not in self._slowed_by]
        self._seen["t_s"].append(seconds)
        self._seen["cpu_mhz"].append(clocks.working_cpu_mhz(self._root))
        self._seen["gpu_mhz"].append(_gpu_mhz(gpu[1] if gpu else None, state))
        self._seen["slowed"].append(bool(slowed))

    def stop(self, window_ns: int) -> Dict[str, Any]:
        """End, right after the last timed call.

        Args:
            window_ns: Nanoseconds since `start`.

        Returns:
            JSON values; docs/verdict.md says what each means.
        """
        self.sample(window_ns / 1e9)
        worst = threads.worst(self._threads, threads.read(self._root))
        counts = throttling.counters(self._root)
        return {
            "runs_on": self._runs_on,
            "clocks": self._clocks(),
            "throttled": {
                "counters": sorted(counts),
                "counted": {
                    name: list(pair)
                    for name, pair in throttling.counted(self._counts, counts).items()
                },
                "slowed_by": self._slowed_by,
            },
            "zones": self._temperatures(),
            "waited_share": None if worst.waited_ns is None else _share(worst.waited_ns, window_ns),
            "preemptions": worst.preempted,
            "migrations": worst.migrated,
            "power_mode": [self._power_mode, board.detect(self._root).power_mode],
            **self._pressure_since(window_ns),
        }

    def _begin(self) -> None:
        self._seen = {
            "t_s": [],
            "cpu_mhz": [],
            "gpu_mhz": [],
            "slowed": [],
        }  # type: Dict[str, List[Any]]
        self._slowed_by = []  # type: List[str]
        self._counts = throttling.counters(self._root)
        self._pressure = pressure.read(self._root)
        self._threads = threads.read(self._root)

    def _clocks(self) -> Dict[str, Any]:
        cpus, gpu = clocks.cpus(self._root), clocks.gpu(self._root)
        return {
            "cpu": _describe(list(cpus.values())),
            "before_mhz": {name: clock.current_mhz for name, clock in self._cpus.items()},
            "after_mhz": {name: clock.current_mhz for name, clock in cpus.items()},
            "gpu": self._describe_gpu() if gpu is None else dict(_describe([gpu[1]]), name=gpu[0]),
            "seen": self._seen,
        }

    def _describe_gpu(self) -> Optional[Dict[str, Any]]:
        state = None if self._gpu is None else self._gpu.read()
        if state is None:
            return None
        clock = Clock(None, None, state.max_mhz, state.sm_mhz)
        return dict(_describe([clock]), name="nvml")

    def _temperatures(self) -> Dict[str, Dict[str, Optional[float]]]:
        return {
            name: {
                "before_c": self._zones[name].celsius if name in self._zones else None,
                "after_c": zone.celsius,
                "trip_c": zone.trip_c,
            }
            for name, zone in throttling.zones(self._root).items()
        }

    def _pressure_since(self, window_ns: int) -> Dict[str, Any]:
        first, last = self._pressure, pressure.read(self._root)
        stalled = {
            name: _share((total - first.stalled_us[name]) * 1000, window_ns)
            for name, total in last.stalled_us.items()
            if name in first.stalled_us
        }
        quota_us = _rise(first.quota_us, last.quota_us)
        stolen_s = _rise(first.stolen_s, last.stolen_s)
        return {
            "psi": stalled or None,
            "quota_share": None if quota_us is None else _share(quota_us * 1000, window_ns),
            "stolen_cpus": None if stolen_s is None else _share(stolen_s * 1e9, window_ns),
            "swap": {
                "own_bytes": process.memory(self._root).swap_bytes,
                "in_bytes": _rise(first.swapped_in_bytes, last.swapped_in_bytes),
                "out_bytes": _rise(first.swapped_out_bytes, last.swapped_out_bytes),
            },
        }


def _describe(found: List[Clock]) -> Dict[str, Any]:
    """Say of the clocks of one kind whether they are locked, by what, and within which limits."""
    slowest = [clock.min_mhz for clock in found if clock.min_mhz is not None]
    fastest = [clock.max_mhz for clock in found if clock.max_mhz is not None]
    return {
        "locked": clocks.all_locked(found),
        "governor": ", ".join(sorted({clock.governor for clock in found if clock.governor}))
        or None,
        "min_mhz": min(slowest, default=None),
        "max_mhz": max(fastest, default=None),
    }


def _gpu_mhz(jetson: Optional[Clock], state: Optional[GpuState]) -> Optional[float]:
    if jetson is not None:
        return jetson.current_mhz
    return None if state is None else state.sm_mhz


def _share(part_ns: float, window_ns: int) -> Optional[float]:
    return part_ns / window_ns if window_ns > 0 else None


def _rise(first: Optional[float], last: Optional[float]) -> Optional[float]:
    return None if first is None or last is None else last - first
