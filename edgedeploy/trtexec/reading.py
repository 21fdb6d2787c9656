"""What a log and its times mean: how queries came, what is inside a latency, which were timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy import stats
from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from edgedeploy.stats import Summary
    from edgedeploy.trtexec.log import Run
    from edgedeploy.trtexec.times import Times
    from edgedeploy.types import Array

# Six digits are written; the ends are found again among the times but for the last of them.
_DIGITS = 1e-5


@dataclass(frozen=True, slots=True)
class Samples:
    """Latencies as a profile keeps them.

    Attributes:
        ns: ``(n,)`` int64 nanoseconds in the order of the queries.
        summary: Of them, in milliseconds.
    """

    ns: Array
    summary: Summary


def transfers(run: Run) -> bool:
    """Return whether copies are inside the latency.

    Raises:
        FileError: The log does not say: it is not trusted to be of a version's default.
    """
    said = run.option("Inference Options", "Data transfers")
    if said not in ("Enabled", "Disabled"):
        raise FileError(
            f"the log says {said!r} of data transfers, so what a latency holds is not known",
            fix="keep all that trtexec prints, its options too: trtexec … > run.log 2>&1",
        )
    return said == "Enabled"


def is_one_by_one(run: Run) -> bool:
    """Return whether a query began when the last had ended, as in the scenario ``single``."""
    return run.option("Inference Options", "ExposeDMA") == "Enabled" and streams(run) == "1"


def streams(run: Run) -> str:
    """Return how many streams there were, as it is printed."""
    options = run.sections.get("Inference Options", {})
    return options.get("Inference Streams") or options.get("Streams") or "1"


def matched(times: Times, run: Run) -> Samples:
    """Return the timed queries, those that the log speaks of.

    Raises:
        FileError: They are not those of the log.
    """
    count = len(times.latency_ms)
    timed = times.last(run.queries)
    printed = run.timings["latency"]
    same = all(
        abs(float(found) - said) <= _DIGITS * max(said, 1e-3) + 1e-6
        for found, said in (
            (timed.latency_ms.min(), printed.min),
            (timed.latency_ms.max(), printed.max),
        )
    )
    if count not in (run.queries, run.queries + run.warm_up_queries) or not same:
        raise FileError(
            f"the times are of another run than the log: {count} queries of "
            f"{timed.latency_ms.min():g} to {timed.latency_ms.max():g} ms, the log says "
            f"{run.queries} of {printed.min:g} to {printed.max:g} ms",
            fix="pass the log and the times of one run; measure again if one was overwritten",
        )
    ns = np.rint(timed.latency_ms * 1e6).astype(np.int64)
    return Samples(ns, stats.summarise(ns / 1e6))
