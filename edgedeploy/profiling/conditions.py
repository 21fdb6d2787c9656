"""What a worker saw around its samples, in the form that a verdict asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy import stats

if TYPE_CHECKING:
    from collections.abc import Mapping

# How the system reacts between two frames is part of what these scenarios measure.
_PACED = ("camera", "server")
# Several streams may run more threads than there are CPUs, on purpose.
_CROWDED = ("multi",)
# As `edgedeploy.meters.windows` puts it. A window too short for a sensor is no gap of it.
_GAP = re.compile(r"[\w-]+ gave nothing from [\d.-]+ s to [\d.-]+ s of the window", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What went on around the samples. What nobody could read is None or empty.

    Attributes:
        settled: Whether the warm-up's windows agreed before its time was up.
        warm_up_s: Seconds it took.
        cpus: CPUs that the machine has.
        other_cpus: CPUs that others kept busy meanwhile, e.g. 0.98.
        stolen_cpus: Of these, what a hypervisor gave to other machines.
        waited: Share of the time that one thread of the worker waited for a CPU.
        preempted_hz: Times a second that a thread lost its CPU to another.
        migrated_hz: Times a second that a thread moved to another CPU.
        quota: Share of the time that a CPU quota stopped the worker.
        stalled: Shares of the time by PSI: ``"cpu some"``, ``"memory some"``, …
        major_faults: Pages read from disk while the worker waited.
        own_swap_mb: The worker's memory that lies in swap, in 10⁶ bytes.
        swap_in_mb: Read from swap meanwhile by all processes, in 10⁶ bytes.
        swap_out_mb: Written to it.
        board: Name of the device.
        paced: Calls were made on a schedule, so the machine idled in between.
        crowded: The worker's own threads may have waited for each other.
        engine: What does the work: ``"CPU"`` or ``"GPU"``.
        locked: Whether its clock cannot change.
        fastest_mhz: The fastest that its clock may be now.
        seen_mhz: What its clock was, about once a second.
        counted: First and last count of what throttled, by counter.
        slowed_by: What else slowed a processor down.
        zones: Highest temperature and lowest trip point in °C, by thermal zone.
        power_modes: Before and after.
        gpu_ms: Median that the GPU works in a call; None where it is not timed.
        call_ms: Median of the calls that ``gpu_ms`` belongs to.
        sensor_gap: What the power sensor missed, in words.
    """

    settled: bool
    warm_up_s: float
    cpus: int
    other_cpus: float | None
    stolen_cpus: float | None = None
    waited: float | None = None
    preempted_hz: float | None = None
    migrated_hz: float | None = None
    quota: float | None = None
    stalled: Mapping[str, float] = field(default_factory=dict)
    major_faults: int | None = None
    own_swap_mb: float | None = None
    swap_in_mb: float | None = None
    swap_out_mb: float | None = None
    board: str = "local"
    paced: bool = False
    crowded: bool = False
    engine: str = "CPU"
    locked: bool | None = None
    fastest_mhz: float | None = None
    seen_mhz: tuple[float, ...] = ()
    counted: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    slowed_by: tuple[str, ...] = ()
    zones: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    power_modes: tuple[str | None, str | None] = (None, None)
    gpu_ms: float | None = None
    call_ms: float | None = None
    sensor_gap: str | None = None


def of(result: Mapping[str, Any], scenario: str, call_ms: float | None) -> Conditions:
    """Return the conditions of a run.

    Args:
        result: As `edgedeploy.worker.profiling.profile` returns it; what an older worker does not
            tell counts as not known.
        scenario: That was run.
        call_ms: Median latency of a call.

    Raises:
        KeyError: A value is missing that every version tells.
    """
    seen = result["conditions"]
    seconds = result["window_ns"] / 1e9
    swap = seen.get("swap") or {}
    return Conditions(
        settled=result["warm_up"]["settled"],
        warm_up_s=result["warm_up"]["seconds"],
        cpus=seen["cpus"],
        other_cpus=seen["other_cpus"],
        stolen_cpus=seen.get("stolen_cpus"),
        waited=seen.get("waited_share"),
        preempted_hz=_rate(seen.get("preemptions"), seconds),
        migrated_hz=_rate(seen.get("migrations"), seconds),
        quota=seen.get("quota_share"),
        stalled=seen.get("psi") or {},
        major_faults=seen.get("waits", {}).get("major_faults"),
        own_swap_mb=_mb(swap.get("own_bytes")),
        swap_in_mb=_mb(swap.get("in_bytes")),
        swap_out_mb=_mb(swap.get("out_bytes")),
        board=result["board"]["name"],
        paced=scenario in _PACED,
        crowded=scenario in _CROWDED,
        # the stages are those of one call after another
        gpu_ms=_gpu_ms(result) if scenario == "single" else None,
        call_ms=call_ms,
        sensor_gap=_sensor_gap(result["energy_reason"]),
        **_clock(seen, str(result["runtime"]["device"])),
        **_heat(seen),
    )


def device_clocks(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return whether the device's clocks are locked and what sets the CPUs'; None if not known.

    A Jetson's are locked when those of the CPUs and of the GPU are.
    """
    clocks = result["conditions"].get("clocks") or {}
    known = [clocks[kind] for kind in ("cpu", "gpu") if clocks.get(kind)]
    locked = [clock["locked"] for clock in known if clock["locked"] is not None]
    governor = clocks["cpu"]["governor"] if clocks.get("cpu") else None
    if not locked and governor is None:
        return None
    return {"locked": all(locked) if locked else None, "governor": governor}


def _clock(seen: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Return what is known of the clock of what does the work."""
    kind = seen.get("runs_on", "cpu")
    if kind == "cpu" and device != "CPU":
        return {"engine": device}  # OpenVINO's GPU or NPU: nobody reads its clock
    clocks = seen.get("clocks") or {}
    limits = clocks.get(kind) or {}
    samples = (clocks.get("seen") or {}).get(f"{kind}_mhz", ())
    return {
        "engine": kind.upper(),
        "locked": limits.get("locked"),
        "fastest_mhz": limits.get("max_mhz"),
        "seen_mhz": tuple(mhz for mhz in samples if mhz is not None),
    }


def _heat(seen: Mapping[str, Any]) -> dict[str, Any]:
    throttled = seen.get("throttled") or {}
    before, after = seen.get("power_mode") or (None, None)
    return {
        "counted": {
            name: (first, last) for name, (first, last) in throttled.get("counted", {}).items()
        },
        "slowed_by": tuple(throttled.get("slowed_by", ())),
        "zones": {
            name: (max(zone["after_c"], zone["before_c"] or zone["after_c"]), zone["trip_c"])
            for name, zone in seen.get("zones", {}).items()
            if zone["trip_c"] is not None
        },
        "power_modes": (before, after),
    }


def _gpu_ms(result: Mapping[str, Any]) -> float | None:
    """Return the sum of the stages' medians, copies included; None where they are not timed.

    Where a CUDA graph works, a call replays it instead of computing plainly.
    """
    stages = result["stages_ms"]
    if not stages:
        return None
    unused = "compute" if "graph" in stages else None
    medians = {name: stats.percentile(np.array(times), 0.5) for name, times in stages.items()}
    return sum(median for name, median in medians.items() if name != unused)


def _sensor_gap(reason: str | None) -> str | None:
    """Return what a sensor missed of the window; None if it missed nothing, or there is none."""
    gap = _GAP.match(reason or "")
    return gap.group() if gap else None


def _rate(count: int | None, seconds: float) -> float | None:
    # what happens a few times in a moment is no rate
    return None if count is None or seconds <= 0 else count / max(seconds, 1.0)


def _mb(size_bytes: float | None) -> float | None:
    return None if size_bytes is None else size_bytes / 1e6
