"""Jobs: what the host asks for, read from one line of JSON."""

import json
from typing import Any, Dict, NamedTuple, Optional, Tuple, Union

from ..runtime.errors import UnsupportedError, UsageError
from .timing import WarmUp

SCENARIOS = ("single", "multi", "offline", "server", "camera")
MOST_STREAMS = 64
FRAME = (480, 640)
"""Height and width of what `camera` sees."""
MOST_QUERIES = 10000000
"""What a run may hold: as many arrivals are drawn before it begins."""


class ProfileJob(NamedTuple):
    """Measure an artifact.

    Attributes:
        artifact: Its folder.
        threads: For the vendor's library; None means one per physical core.
        device: The vendor's device, e.g. OpenVINO's ``"GPU"``; None: what the artifact says.
        board: Name that the board must have, e.g. ``"jetson-nano"``; None: any.
        side: Height and width in pixels, for artifacts that take any; else None.
        scenario: How calls arrive, one of `SCENARIOS`; see `scenarios`.
        batch: Images per call; `offline` finds its own.
        duration_s: Seconds that the timed calls last, at least.
        min_runs: Timed calls, at least.
        seed: Of the random input.
        warm_up: When the timed calls may start.
        streams: Calls at the same time, of `multi` and `server`.
        rate: Queries a second, of `server`; 0 for others.
        fps: Frames a second, of `camera`; 0 for others.
        batches: Images per call that `offline` tries; empty: 1, 2, 4, … while that gains.
        layers: Whether to time layers as well, after all else.
    """

    artifact: str
    threads: Optional[int] = None
    device: Optional[str] = None
    board: Optional[str] = None
    side: Optional[Tuple[int, int]] = None
    scenario: str = "single"
    batch: int = 1
    duration_s: float = 10.0
    min_runs: int = 64
    seed: int = 0
    warm_up: WarmUp = WarmUp()
    streams: int = 1
    rate: float = 0.0
    fps: float = 0.0
    batches: Tuple[int, ...] = ()
    layers: bool = False


class PrepareJob(NamedTuple):
    """Build an artifact's engine, if it does not fit this machine.

    Attributes:
        artifact: Its folder.
        board: Name that the board must have; None: any.
    """

    artifact: str
    board: Optional[str] = None


class ProbeJob(NamedTuple):
    """Say what this Python and this board are.

    Attributes:
        libraries: Packages of vendors whose versions are asked for, e.g. ``("onnxruntime",)``.
    """

    libraries: Tuple[str, ...] = ()


class PowerModeJob(NamedTuple):
    """Set power modes when told to, and go back to the first one when stdin ends.

    Attributes:
        restore: Number of a mode to go back to at once, which another process left; None: listen.
    """

    restore: Optional[int] = None


Job = Union[ProfileJob, PrepareJob, ProbeJob, PowerModeJob]


class Order(NamedTuple):
    """A job, and whether the end of stdin means that the host is gone."""

    job: Job
    watch_stdin: bool


def parse(line: str) -> Order:
    """Read ``{"job": "profile", "artifact": …, …}``, ``"prepare"``, ``"probe"``, ``"power_mode"``.

    ``"watch_stdin": true`` beside it asks the worker to end when stdin does.

    Raises:
        UsageError: The line is no JSON object, or a value is not what the job takes.
        UnsupportedError: The scenario is not one of this version.
    """
    try:
        document = json.loads(line)
        if not isinstance(document, dict):
            raise TypeError(f"it is a {type(document).__name__}, not an object")
        kind = document.pop("job", None)
        watch = document.pop("watch_stdin", False) is True
        if kind == "probe":
            return Order(_probe_job(document), watch)
        if kind == "prepare":
            return Order(PrepareJob(**document), watch)
        if kind == "power_mode":
            return Order(PowerModeJob(**document), watch)
        if kind == "profile":
            return Order(_profile_job(document), watch)
        raise ValueError(
            f"job is {kind!r}, it must be 'profile', 'prepare', 'probe' or 'power_mode'"
        )
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"the job on stdin cannot be read: {error}",
            fix='send one line of JSON, e.g. {"job": "profile", "artifact": "build/m/ort-fp32"}',
        ) from error


def _probe_job(document: Dict[str, Any]) -> ProbeJob:
    libraries = document.pop("libraries", [])
    if not isinstance(libraries, list) or not all(isinstance(name, str) for name in libraries):
        raise TypeError(f"libraries is {libraries!r}")
    return ProbeJob(tuple(libraries), **document)


def _profile_job(document: Dict[str, Any]) -> ProfileJob:
    for key, kinds in _TYPES.items():
        if key in document and (type(document[key]) not in kinds):
            raise TypeError(f"{key} is {document[key]!r}")
    warm_up = WarmUp(**document.pop("warm_up", {}))
    side = document.pop("side", None)
    if side is not None:
        height, width = side
        side = (int(height), int(width))
    batches = tuple(int(batch) for batch in document.pop("batches", ()))
    job = ProfileJob(warm_up=warm_up, side=side, batches=batches, **document)
    if job.scenario not in SCENARIOS:
        raise UnsupportedError(
            f"the scenario {job.scenario!r} was asked for, this version measures "
            + ", ".join(SCENARIOS),
            fix=f"use --scenario {SCENARIOS[0]}",
        )
    if not all(_in_range(job)):
        raise ValueError(f"a value is out of its range in {job}")
    return job


_TYPES = {
    "artifact": (str,),
    "threads": (int, type(None)),
    "device": (str, type(None)),
    "board": (str, type(None)),
    "side": (list, type(None)),
    "scenario": (str,),
    "batch": (int,),
    "duration_s": (int, float),
    "min_runs": (int,),
    "seed": (int,),
    "warm_up": (dict,),
    "streams": (int,),
    "rate": (int, float),
    "fps": (int, float),
    "batches": (list,),
    "layers": (bool,),
}  # type: Dict[str, Tuple[type, ...]]


def _in_range(job: ProfileJob) -> Tuple[bool, ...]:
    rule = job.warm_up
    with_streams = job.scenario in ("multi", "server")
    return (
        job.threads is None or 1 <= job.threads <= 1024,
        job.side is None or min(job.side) >= 1,
        1 <= job.batch <= 1024,
        0 <= job.duration_s <= 86400,
        job.min_runs >= 1,
        0 <= job.seed < 2**32,
        0 <= rule.min_s <= rule.max_s,
        rule.window_s >= 0,
        min(rule.window_runs, rule.windows) >= 1,
        rule.tolerance > 0,
        1 <= job.streams <= (MOST_STREAMS if with_streams else 1),
        0.1 <= job.rate <= 100000 if job.scenario == "server" else job.rate == 0,
        0.1 <= job.fps <= 100000 if job.scenario == "camera" else job.fps == 0,
        max(job.rate, job.fps) * job.duration_s <= MOST_QUERIES,
        not job.batches or job.scenario == "offline",
        all(1 <= batch <= 1024 for batch in job.batches),
    )
