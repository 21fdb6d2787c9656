"""What of a run's conditions makes its numbers doubtful: one sentence each, with both numbers.

A fact that nobody could read is no reason. docs/verdict.md says where each threshold comes from
and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.profiling.conditions import Conditions

OTHERS_CPUS = 0.2
"""CPUs that others may keep busy anyway: a desktop or a progress bar at rest."""
OTHERS_SHARE = 0.05
"""Of all CPUs; as wide as the median's interval may be."""
WAITED = 0.05
"""Of the time. Measured: 0.9 % alone on a core, 51 % with one other process on it."""
PREEMPTED_HZ = 60.0
"""Where waiting is not told. Measured: 29 a second alone on a core, 124 with another process."""
MIGRATED_HZ = 100.0
"""Filling 1 MB of cache anew at 10 GB/s takes 0.1 ms: 100 a second are 1 % of the time."""
STALLED = 0.01
"""Of the time, by PSI: then the slowest 1 % of the calls, p99, may be nothing but waiting."""
QUOTA = 0.01
"""Of the time, as `STALLED`."""
FAULTS = 0.01
"""Pages read from disk per call, as `STALLED`."""
SWAPPED_MB = 1.0
"""256 pages of 4 kB: what lies in swap unused for long is less."""
CLOCK = 0.10
"""A latency follows the clock, and 10 % is the drift that a run may have (`stats.doubts`)."""
NEAR_C = 5.0
"""What Intel's sensors may be off by near their limit."""
HOST = 0.5
"""Of a call. Above it the host decides: a GPU twice as fast would save less than a quarter."""

_COUNTERS = {"core": "a CPU core", "package": "the CPU package"}


def doubts(around: Conditions, calls: int) -> Iterator[str]:
    """Say what makes a run doubtful.

    Args:
        around: Its conditions.
        calls: Timed calls.
    """
    yield from _throttling(around)
    yield from _clock(around)
    yield from _load(around)
    yield from _scheduling(around)
    yield from _memory(around, calls)
    yield from _sides(around)


def _throttling(around: Conditions) -> Iterator[str]:
    for name, (first, last) in around.counted.items():
        if name in _COUNTERS:
            yield f"{_COUNTERS[name]} was throttled: its counter went from {first} to {last}"
        else:
            yield f"over-current or a weak supply: the board's {name} went from {first} to {last}"
    if around.slowed_by:
        yield f"slowed down while it was timed, by {', '.join(around.slowed_by)}"
    hot = max(around.zones.items(), key=lambda zone: zone[1][0] - zone[1][1], default=None)
    if hot is not None:
        name, (celsius, trip_c) = hot
        if celsius >= trip_c - NEAR_C:
            yield f"{name} is at {celsius:.1f} °C, and slows down or stops at {trip_c:.1f} °C"
    before, after = around.power_modes
    if before is not None and after is not None and before != after:
        yield f"the power mode changed from {before} to {after}"


def _clock(around: Conditions) -> Iterator[str]:
    if around.paced or not around.seen_mhz:
        return
    low, high = min(around.seen_mhz), max(around.seen_mhz)
    is_jetson = around.board.startswith("jetson-")
    fix = ": run sudo jetson_clocks" if is_jetson and not around.locked else ""
    if low < (1 - CLOCK) * high:
        yield f"the {around.engine}'s clock moved between {low:.0f} and {high:.0f} MHz{fix}"
    # elsewhere the fastest is a turbo that one busy core may reach, but not all of them
    elif is_jetson and around.fastest_mhz is not None and high < (1 - CLOCK) * around.fastest_mhz:
        state = "although it is locked" if around.locked else "not locked"
        yield (
            f"the {around.engine}'s clock stood at {high:.0f} of {around.fastest_mhz:.0f} MHz, "
            f"{state}{fix}"
        )


def _load(around: Conditions) -> Iterator[str]:
    allowed = max(OTHERS_CPUS, OTHERS_SHARE * around.cpus)
    stolen = around.stolen_cpus or 0.0
    if around.other_cpus is not None and around.other_cpus - stolen > allowed:
        yield (f"other processes kept {around.other_cpus - stolen:.1f} of {around.cpus} CPUs busy")
    elif around.other_cpus is None and around.stalled.get("cpu some", 0.0) > WAITED:
        yield (
            f"some process waited for a CPU {around.stalled['cpu some']:.0%} of the time (PSI), "
            f"more than {WAITED:.0%}"
        )
    if stolen > allowed:
        yield f"the hypervisor gave {stolen:.1f} of {around.cpus} CPUs to other machines"
    if around.quota is not None and around.quota > QUOTA:
        yield (
            f"a CPU quota (container?) stopped the worker {around.quota:.0%} of the time, "
            f"more than {QUOTA:.0%}"
        )


def _scheduling(around: Conditions) -> Iterator[str]:
    """Say how others got in the way; the worker's own threads may take turns as they like."""
    others = around.other_cpus
    # who waits for others waits no longer than these work
    if around.crowded or (others is not None and others <= WAITED):
        return
    if around.waited is not None:
        if around.waited > WAITED:
            yield (
                f"a thread of the worker waited for a CPU {around.waited:.0%} of the time, "
                f"more than {WAITED:.0%}"
            )
    elif around.preempted_hz is not None and around.preempted_hz > PREEMPTED_HZ:
        yield (
            f"a thread of the worker was preempted {around.preempted_hz:.0f} times a second, "
            f"more than {PREEMPTED_HZ:.0f}"
        )
    if around.migrated_hz is not None and around.migrated_hz > MIGRATED_HZ:
        yield (
            f"a thread of the worker changed its CPU {around.migrated_hz:.0f} times a second, "
            f"more than {MIGRATED_HZ:.0f}"
        )


def _memory(around: Conditions, calls: int) -> Iterator[str]:
    if around.own_swap_mb is not None and around.own_swap_mb > SWAPPED_MB:
        yield f"swap in use: {around.own_swap_mb:.1f} MB of the worker lie there"
    moved_in, moved_out = around.swap_in_mb or 0.0, around.swap_out_mb or 0.0
    if moved_in + moved_out > SWAPPED_MB:
        yield f"swap in use: {moved_in:.1f} MB were read from it and {moved_out:.1f} MB written"
    if around.major_faults is not None and around.major_faults > max(1, FAULTS * calls):
        yield f"the worker waited for the disk {around.major_faults} times in {calls} calls"
    stalled = around.stalled.get("memory some", 0.0)
    if stalled > STALLED:
        yield (
            f"processes waited for memory {stalled:.0%} of the time (PSI), more than {STALLED:.0%}"
        )


def _sides(around: Conditions) -> Iterator[str]:
    """Say where the number is not that of the engine, or not all of the power was seen."""
    gpu_ms, call_ms = around.gpu_ms, around.call_ms
    if gpu_ms is not None and call_ms is not None and gpu_ms < (1 - HOST) * call_ms:
        yield f"host-bound: the GPU works {gpu_ms:.3f} of the {call_ms:.3f} ms of a call"
    if around.sensor_gap is not None:
        yield f"the power sensor has a gap: {around.sensor_gap}"
