"""A scenario made ready for one artifact: its calls are bound and warm, its timed loop is next."""

import itertools
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..runtime import cpu
from ..runtime.runtime import Runtime
from . import scenarios, timing
from .answers import HERE, Host, Taken, Tick
from .jobs import FRAME, ProfileJob
from .samples import encode
from .scenarios import Step
from .timing import Call, Samples, Warmed

# From host memory to host memory. On a CPU the two copies are empty, on a GPU they are not.
INSIDE = ("h2d", "compute", "d2h")
_INSIDE = {
    "server": ("queue", *INSIDE),
    "camera": ("preprocess", *INSIDE, "postprocess"),
}  # type: Dict[str, Tuple[str, ...]]

_FRAMES = 4
_TOP = 5
_LARGEST_BATCH = 128
_SEARCH_SHARE = 0.2
_SEARCH_MOST_S = 5.0
_SEARCH_RUNS = 5


class Plan(NamedTuple):
    """What is left to do, and what was done for it.

    Attributes:
        take: Runs the timed loop.
        warmed: The warm-up before it; of several streams the slowest.
        batch: What each call gets.
        call: The vendor's own with this batch bound.
        inside: What a sample contains.
        steps: What `offline` measured to find its batch size, as JSON values.
    """

    take: Callable[[Tick], Taken]
    warmed: Warmed
    batch: np.ndarray
    call: Call
    inside: Tuple[str, ...] = INSIDE
    steps: Tuple[Dict[str, Any], ...] = ()


def threads(job: ProfileJob, cores: Callable[[], int] = cpu.physical_cores) -> Optional[int]:
    """Return the CPU threads of one stream: streams share the cores where nobody said otherwise."""
    if job.threads is not None or job.streams == 1:
        return job.threads
    return max(cores() // job.streams, 1)


def prepare(
    job: ProfileJob,
    runtimes: Sequence[Runtime],
    pictures: Callable[[int], np.ndarray],
    phase: Callable[[str], None],
    host: Host = HERE,
) -> Plan:
    """Bind the calls of a scenario and warm them up.

    Args:
        job: What to measure, and how.
        runtimes: One for each stream.
        pictures: Makes a batch of so many images.
        phase: Hears what is being done.
        host: Time and threads.

    Raises:
        UsageError: `camera`, and the artifact does not say how pictures are preprocessed.
    """
    if job.scenario == "offline":
        return _offline(job, runtimes[0], pictures, phase, host)
    batch = pictures(job.batch)
    bound = [runtimes[0].bind(batch)]
    bound += [runtime.bind(batch.copy()) for runtime in runtimes[1:]]
    calls = [_from_picture(runtimes[0], job.seed)] if job.scenario == "camera" else bound
    take = _TAKES[job.scenario](job, calls, host)
    warmed = _warm_up(calls, job, host)
    return Plan(take, warmed, batch, bound[0], _INSIDE.get(job.scenario, INSIDE))


def _single(job: ProfileJob, calls: Sequence[Call], host: Host) -> Callable[[Tick], Taken]:
    return lambda tick: Taken(
        *timing.time_calls(calls[0], job.duration_s, job.min_runs, host.clock, tick)
    )


def _multi(job: ProfileJob, calls: Sequence[Call], host: Host) -> Callable[[Tick], Taken]:
    return lambda tick: scenarios.multi(calls, job.duration_s, job.min_runs, host, tick)


def _server(job: ProfileJob, calls: Sequence[Call], host: Host) -> Callable[[Tick], Taken]:
    due = scenarios.arrivals(job.rate, job.duration_s, job.min_runs, job.seed)
    return lambda tick: scenarios.server(calls, due, host, tick)


def _camera(job: ProfileJob, calls: Sequence[Call], host: Host) -> Callable[[Tick], Taken]:
    return lambda tick: scenarios.camera(
        calls[0], job.fps, job.duration_s, job.min_runs, host=host, tick=tick
    )


_TAKES = {"single": _single, "multi": _multi, "server": _server, "camera": _camera}


def _offline(
    job: ProfileJob,
    runtime: Runtime,
    pictures: Callable[[int], np.ndarray],
    phase: Callable[[str], None],
    host: Host,
) -> Plan:
    """Look for the batch size with the best throughput; that one is then measured anew.

    Of several noisy numbers the largest is too large, so the search's own number is not the result.
    """
    share_s = min(_SEARCH_SHARE * job.duration_s, _SEARCH_MOST_S)

    def measure(size: int) -> Samples:
        phase(f"batch {size}")
        call = runtime.bind(pictures(size))
        timing.warm_up(call, job.warm_up, host.clock)
        return timing.time_calls(call, share_s, _SEARCH_RUNS, host.clock)

    sizes = job.batches or _doubling(runtime)
    steps = scenarios.search(measure, sizes, to_the_end=bool(job.batches))
    best = max(steps, key=lambda step: step.images_per_s)
    phase("warm-up")
    batch = pictures(best.batch)
    call = runtime.bind(batch)
    warmed = timing.warm_up(call, job.warm_up, host.clock)
    return Plan(_single(job, [call], host), warmed, batch, call, steps=tuple(map(_as_json, steps)))


def _doubling(runtime: Runtime) -> List[int]:
    """Return 1, 2, 4, … up to what the engine takes in one call."""
    most = runtime.info["engine"].get("largest_batch") or _LARGEST_BATCH
    sizes = itertools.takewhile(lambda size: size <= most, (2**power for power in range(31)))
    return list(sizes)


def _as_json(step: Step) -> Dict[str, Any]:
    samples, window_ns = step.samples
    return {"batch": step.batch, "samples": encode(samples), "window_ns": window_ns}


def _from_picture(runtime: Runtime, seed: int) -> Call:
    """Return a call that classifies the next one of a few pictures of noise."""
    random = np.random.RandomState(seed)
    shape = (_FRAMES, *FRAME, 3)
    frames = itertools.cycle(random.randint(0, 256, size=shape).astype(np.uint8))
    return lambda: runtime.classify(next(frames), top=_TOP)


def _warm_up(calls: Sequence[Call], job: ProfileJob, host: Host) -> Warmed:
    """Warm all streams up at the same time, as they are going to run."""
    found = []  # type: List[Warmed]

    def stream(call: Call) -> Callable[[], None]:
        return lambda: found.append(timing.warm_up(call, job.warm_up, host.clock))

    host.together([stream(call) for call in calls])
    return Warmed(
        all(one.settled for one in found),
        sum(one.runs for one in found),
        max(one.seconds for one in found),
    )
