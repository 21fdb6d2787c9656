"""What a scenario did besides its latencies, in words: batches, queues, frames that were dropped.

Of `scenario_results` only numbers are read: series are not for people, and a profile may come from
anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedeploy.reporting.figures import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgedeploy.profiling.records import ProfileRecord


def brief(record: ProfileRecord) -> str | None:
    """Return what a table may not keep to itself; None: nothing.

    That is how busy a server was, and what a camera lost.
    """
    return "; ".join([*_queries(_results(record)), *_frames(_results(record))]) or None


def full(record: ProfileRecord) -> str | None:
    """Return everything that the scenario found; None: nothing."""
    found = _results(record)
    said = [
        *_steps(found),
        *_streams(found),
        *_queries(found),
        *_frames(found),
        *_medians(found),
        *_series(found),
    ]
    return "; ".join(said) or None


def value(record: ProfileRecord, name: str) -> float | None:
    """Return a number that the scenario found; None where there is none of that name."""
    return _number(_results(record), name)


def batch(record: ProfileRecord) -> int | None:
    """Return the images of one call; None where nobody said."""
    shape = record.document.get("input_shape")
    return int(shape[0]) if shape else None


def _results(record: ProfileRecord) -> Mapping[str, Any]:
    return record.document.get("scenario_results") or {}


def _queries(found: Mapping[str, Any]) -> Iterator[str]:
    busy, offered, lost = (_number(found, n) for n in ("utilisation", "offered", "unanswered"))
    if busy is not None:
        yield f"busy {busy:.0%} of the time"
    if offered is not None and lost is not None:
        yield f"{lost:.0f} of {offered:.0f} queries never answered"


def _frames(found: Mapping[str, Any]) -> Iterator[str]:
    frames, dropped = _number(found, "frames"), _number(found, "dropped")
    if frames is None or dropped is None:
        return
    yield f"{dropped:.0f} of {frames:.0f} frames dropped"
    late, deadline = _number(found, "deadline_misses"), _number(found, "deadline_ms")
    if late is not None and deadline is not None:
        told = f"{late:.0f} of the {frames - dropped:.0f} others"
        yield f"{told} missed their deadline of {number(deadline)} ms"


def _steps(found: Mapping[str, Any]) -> Iterator[str]:
    for step in _parts(found, "steps"):
        size, speed, calls = (_number(step, n) for n in ("batch", "throughput_ips", "count"))
        if size is not None and speed is not None and calls is not None:
            yield f"batch {size:.0f}: {number(speed)} images/s in {calls:.0f} calls"


def _streams(found: Mapping[str, Any]) -> Iterator[str]:
    for index, stream in enumerate(_parts(found, "streams")):
        calls, median = _number(stream, "count"), _number(stream, "p50_ms")
        if calls is not None:
            p50 = "" if median is None else f", p50 {number(median)} ms"
            yield f"stream {index + 1}: {calls:.0f} calls{p50}"


def _medians(found: Mapping[str, Any]) -> Iterator[str]:
    for name, what in (("wait_p50_ms", "median wait"), ("work_p50_ms", "median work")):
        median = _number(found, name)
        if median is not None:
            yield f"{what} {number(median)} ms"


def _series(found: Mapping[str, Any]) -> Iterator[str]:
    series = found.get("series_ns")
    if isinstance(series, dict) and series:
        yield "when each call was due and begun, and by which stream, is in the profile"


def _parts(found: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    parts = found.get(name)
    return [one for one in parts if isinstance(one, dict)] if isinstance(parts, list) else []


def _number(found: Mapping[str, Any], name: str) -> float | None:
    told = found.get(name)
    if not isinstance(told, (int, float)) or isinstance(told, bool):
        return None
    # the bounds also refuse NaN, infinity and integers that no float can hold
    return told if -1e18 < told < 1e18 else None
