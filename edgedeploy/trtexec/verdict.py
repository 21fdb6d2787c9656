"""May a run of trtexec be believed? Never without a doubt: it notes no conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedeploy import stats
from edgedeploy.trtexec import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.trtexec.log import Run
    from edgedeploy.trtexec.reading import Samples

# trtexec's own limit: above it the host is what the GPU waits for.
_HOST_BOUND = 0.8


def judge(run: Run, samples: Samples | None, doubts: tuple[str, ...]) -> dict[str, Any]:
    """Return a verdict as a profile holds it: its level and its reasons.

    Args:
        run: The log.
        samples: The timed queries; None where they were not exported.
        doubts: Of whoever compared the log with the artifact.
    """
    if run.queries < 2:
        return {"level": "invalid", "reasons": ["1 sample: that is no distribution"]}
    if run.timings["latency"].min <= 0 or (samples is not None and samples.ns.min() <= 0):
        return {"level": "invalid", "reasons": ["the clock saw no time pass during a query"]}
    return {"level": "suspect", "reasons": [*_suspicions(run, samples), *doubts]}


def _suspicions(run: Run, samples: Samples | None) -> Iterator[str]:
    yield "clocks, temperatures and power mode are not known: trtexec notes none"
    if samples is None:
        yield "no times were exported: whether they were steady is not known"
        fewest = stats.required_samples(0.90)
        if run.queries < fewest:
            yield f"only {run.queries} samples, {fewest} are the fewest that tell of the tail"
    else:
        yield from stats.doubts(samples.ns, samples.summary)
    for warning in run.warnings:
        yield f"trtexec says: {warning[:200]}"
    enqueue, compute = (run.timings[key].median for key in ("enqueue", "compute"))
    told = any("bound by Enqueue Time" in warning for warning in run.warnings)
    if enqueue > _HOST_BOUND * compute and not told:
        yield (
            f"bound by the host: handing a query over takes {enqueue:g} ms, computing it "
            f"{compute:g} ms; a CUDA graph may help"
        )
    streams = reading.streams(run)
    if streams != "1":
        yield f"{streams[:20]} streams shared the GPU: each query waited for the others"
    for pause in ("Sleep time", "Idle time"):
        length = run.option("Inference Options", pause)
        if length not in ("", "0ms"):
            yield f"{pause.lower()} of {length[:20]} between queries lets the clocks fall"
