"""What a scenario found besides its latencies: streams, batches, queues, dropped frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy import stats
from edgedeploy.profiling.verdict import Verdict
from edgedeploy.worker import samples as encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgedeploy.types import Array

_SATURATED = 0.95


def work_ns(result: Mapping[str, Any]) -> Array:
    """Return how long each call worked, ``(n,)`` ns: its latency less the wait before it began."""
    samples = _array(result["samples"])
    series = result["series"]
    return samples - (_array(series["start"]) - _array(series["due"])) if series else samples


def results(result: Mapping[str, Any], scenario: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to say of a scenario, as docs/measuring.md describes it.

    Args:
        result: As `edgedeploy.worker.profiling.profile` returns it.
        scenario: That was run.
        options: Its settings.
    """
    found = _RESULTS[scenario](result, options) if scenario in _RESULTS else {}
    if result["series"]:
        found["series_ns"] = dict(result["series"])
    return found


def judge(found: Mapping[str, Any], options: Mapping[str, Any]) -> Verdict:
    """Judge what the scenario itself did to the latencies; the calls are judged as everywhere.

    Args:
        found: See `results`.
        options: The scenario's settings.
    """
    if found.get("unanswered"):
        reason = (
            f"{found['unanswered']} of {found['offered']} queries were never answered, "
            f"at {options['rate']:g} a second: the latencies are those of the others"
        )
        return Verdict("invalid", (reason,))
    if found.get("saturated"):
        streams = "1 stream" if options["streams"] == 1 else f"{options['streams']} streams"
        reason = (
            f"saturated: {options['rate']:g} queries a second kept {streams} busy "
            f"{found['utilisation']:.0%} of the time, so the queue, and with it the latency, "
            "grows with the length of the run"
        )
        return Verdict("suspect", (reason,))
    return Verdict("measured")


def _multi(result: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    samples, stream = _array(result["samples"]), _array(result["series"]["stream"])
    parts = [samples[stream == number] for number in range(options["streams"])]
    return {"streams": [{"count": len(part), "p50_ms": _median_ms(part)} for part in parts]}


def _offline(result: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    return {"batch": result["input_shape"][0], "steps": [_step(step) for step in result["steps"]]}


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    samples = _array(step["samples"])
    return {
        "batch": step["batch"],
        "throughput_ips": len(samples) * step["batch"] * 1e9 / step["window_ns"],
        "p50_ms": _median_ms(samples),
        "count": len(samples),
        "window_s": step["window_ns"] / 1e9,
        "samples_ns": step["samples"],
    }


def _server(result: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    work, unanswered = work_ns(result), result["facts"]["unanswered"]
    utilisation = float(work.sum()) / (options["streams"] * result["window_ns"])
    return {
        "offered": len(work) + unanswered,
        "unanswered": unanswered,
        "utilisation": utilisation,
        "saturated": unanswered > 0 or utilisation > _SATURATED,
        **_waits(result),
    }


def _camera(result: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    samples, dropped = _array(result["samples"]), result["facts"]["dropped"]
    deadline_ms = 1e3 / options["fps"]
    return {
        "frames": len(samples) + dropped,
        "dropped": dropped,
        "deadline_ms": deadline_ms,
        "deadline_misses": int(np.count_nonzero(samples > deadline_ms * 1e6)),
        **_waits(result),
    }


def _waits(result: Mapping[str, Any]) -> dict[str, Any]:
    """Split the median: how long a call waited, and how long it worked."""
    work = work_ns(result)
    waits = _array(result["samples"]) - work
    return {"wait_p50_ms": _median_ms(waits), "work_p50_ms": _median_ms(work)}


def _median_ms(ns: Array) -> float | None:
    return stats.percentile(ns, 0.5) / 1e6 if len(ns) else None


def _array(text: str) -> Array:
    return np.array(encoding.decode(text), dtype=np.int64)


_RESULTS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]] = {
    "multi": _multi,
    "offline": _offline,
    "server": _server,
    "camera": _camera,
}
