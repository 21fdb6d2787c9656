"""The profile job: load, warm up, time, and say under which conditions. Raw numbers only.

What is derived from them (percentiles, verdict) is the host's business.
"""

import contextlib
import importlib
from functools import partial
from typing import Any, Callable, Dict, Optional, Tuple, TypeVar

import numpy as np

from ..meters import board
from ..runtime import manifest
from ..runtime.choosing import BACKENDS
from ..runtime.errors import UsageError
from ..runtime.manifest import Manifest
from ..runtime.preprocessing import normalise
from ..runtime.runtime import Runtime
from . import conditions, memory, plans, power, timing
from .channel import Channel
from .jobs import ProfileJob
from .plans import Plan
from .samples import encode

_STAGE_RUNS = 100
_LAYER_RUNS = 100
_PAIR_SHARE = 0.1
_PAIR_LEAST_S = 0.2

_T = TypeVar("_T")


def profile(
    job: ProfileJob,
    channel: Channel,
    load: Callable[..., Any] = Runtime.load,
) -> Dict[str, Any]:
    """Measure an artifact in this process, which must be fresh for the memory to mean something.

    Args:
        job: What to measure, and how.
        channel: Hears of each phase, and of the progress of the timed calls.
        load: Opens the artifact.

    Returns:
        JSON values; `edgedeploy.profiling.deriving` says what they mean.

    Raises:
        EdgeDeployError: The artifact does not load here, or this is another board.
    """
    facts = board.detect()
    conditions.require_board(job.board, facts)
    known = manifest.read(job.artifact)
    pictures = partial(random_batch, known, job.side, seed=job.seed)
    batch = pictures(job.batch)
    held = memory.of(known.backend, facts)
    held.take("start")

    channel.phase("import")
    _, import_ms = _timed(lambda: _import_vendor(known.backend))
    held.take("import")
    channel.phase("load")
    open_one = partial(load, job.artifact, threads=plans.threads(job), device=job.device)
    with contextlib.ExitStack() as opened:
        runtime, load_ms = _timed(lambda: opened.enter_context(open_one()))
        held.take("load")
        channel.phase("first inference")
        _, first_ms = _timed(lambda: runtime.infer(batch))
        held.take("first_inference")
        runs_on = "gpu" if known.backend == "trt" else "cpu"
        window = conditions.Window(runs_on)
        with power.Meter(runs_on, facts.name) as meter:
            meter.idle(power.idle_seconds(job.duration_s))
            channel.phase("warm-up")
            others = [opened.enter_context(open_one()) for _ in range(job.streams - 1)]
            plan = plans.prepare(job, [runtime, *others], pictures, channel.phase)
            measured = _measure(runtime, plan, job, channel, meter=meter, window=window)
        held.take("steady")
        channel.phase("stages")
        measured.update(_stages(runtime, plan.batch))
        if job.layers:
            channel.phase("layers")
            measured.update(_layers(runtime, plan.batch))
        return dict(
            measured,
            runtime=runtime.info,
            inside=list(plan.inside),
            input_shape=list(plan.batch.shape),
            cold_start_ms={"import": import_ms, "load": load_ms, "first_inference": first_ms},
            **held.document(known.backend, runtime.info["device"]),
            environment=conditions.environment(),
            board=dict(facts._asdict()),
        )


def random_batch(
    known: Manifest, side: Optional[Tuple[int, int]], count: int, seed: int
) -> np.ndarray:
    """Return pictures of random pixels, normalised as the model expects.

    A convolution's time does not depend on its values, denormal numbers apart, which random pixels
    do not make; so noise stands for pictures.

    Args:
        known: Says the size and the preprocessing; without preprocessing the range is −1 to 1.
        side: Height and width for an artifact that takes any.
        count: Images.
        seed: Of the pixels.

    Returns:
        ``(count, 3, H, W)`` float32.

    Raises:
        UsageError: No size is known, or another one was asked for than the artifact takes.
    """
    height, width = known.input.shape[2:]
    fixed = None if height is None or width is None else (height, width)
    if fixed is None and side is None:
        raise UsageError(
            f"the artifact of {known.model} takes any size, so there is none to measure it at",
            fix="say which: --resolution 224",
        )
    if fixed is not None and side not in (None, fixed):
        raise UsageError(
            f"size {side} was asked for, the artifact of {known.model} takes {fixed}",
            fix="leave the size out, or build the model for the other size",
        )
    rows, columns = fixed or side or (0, 0)
    random = np.random.RandomState(seed)
    pixels = random.randint(0, 256, size=(count, rows, columns, 3)).astype(np.uint8)
    if known.preprocessing is not None:
        return normalise(pixels, known.preprocessing)
    scaled = (pixels.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(scaled)


def _measure(
    runtime: Runtime,
    plan: Plan,
    job: ProfileJob,
    channel: Channel,
    *,
    meter: power.Meter,
    window: conditions.Window,
) -> Dict[str, Any]:
    """Take the samples; the meters run over exactly the timed window."""
    channel.phase("timing")

    def tick(count: int, seconds: float) -> None:
        channel.progress(count, seconds)
        window.sample(seconds)
        meter.tick(seconds)

    with timing.no_garbage_collection():
        window.open()
        meter.open()
        taken = plan.take(tick)
        meter.stop()
        seen = window.close(taken.window_ns)
    channel.phase("overhead")
    with timing.no_garbage_collection():
        bound, infer = timing.time_pairs(
            plan.call,
            lambda: runtime.infer(plan.batch),
            max(_PAIR_SHARE * job.duration_s, _PAIR_LEAST_S),
        )
    # the sensor's first sample after the window was taken at work, not at rest
    energy = meter.close(taken.window_ns)
    return {
        "samples": encode(taken.ns),
        "count": len(taken.ns),
        "window_ns": taken.window_ns,
        "series": {name: encode(values) for name, values in taken.series.items()},
        "facts": taken.facts,
        "steps": list(plan.steps),
        "timer_ns": timing.timer_cost_ns(),
        "warm_up": dict(plan.warmed._asdict()),
        "overhead": {"bound": encode(bound), "infer": encode(infer)},
        "conditions": seen.conditions,
        "energy": energy.energy,
        "energy_reason": energy.reason,
    }


def _stages(runtime: Runtime, batch: np.ndarray) -> Dict[str, Any]:
    """Time the copies and the computing by themselves, where the GPU's clock can tell them."""
    largest = runtime.info["engine"].get("largest_batch")
    if largest is not None and len(batch) > largest:
        reason = f"{len(batch)} images go in several calls of {largest}"
        return {"stages_ms": None, "stages_reason": reason}
    times = runtime.stage_times(batch, _STAGE_RUNS)
    if times is None:
        return {"stages_ms": None, "stages_reason": "this backend does not tell them apart"}
    return {"stages_ms": times, "stages_reason": None}


def _layers(runtime: Runtime, batch: np.ndarray) -> Dict[str, Any]:
    """Time the layers with the vendor's profiler, in calls of their own: it slows them down."""
    times = runtime.layer_times(batch, _LAYER_RUNS)
    layers = None if times.layers is None else [dict(each._asdict()) for each in times.layers]
    return {"layers": layers, "layers_reason": times.reason, "layers_runs": _LAYER_RUNS}


def _import_vendor(backend: str) -> None:
    """Import the vendor's library, for its time; if that fails, `Runtime.load` says why."""
    if backend in BACKENDS:
        with contextlib.suppress(ImportError, OSError):
            importlib.import_module("..runtime." + backend, __package__)


def _timed(work: Callable[[], _T]) -> Tuple[_T, float]:
    start_ns = timing.monotonic_ns()
    value = work()
    return value, (timing.monotonic_ns() - start_ns) / 1e6
