"""A log, and the times if there are any, as a profile: what they say, and null with a reason else.

docs/trtexec.md says how the numbers compare with those of ``edgedeploy profile``.
"""

from __future__ import annotations

import datetime
from array import array
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

import edgedeploy
from edgedeploy import stats
from edgedeploy.runtime import trt_options
from edgedeploy.trtexec import matching, reading, verdict
from edgedeploy.worker import samples as encoding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.devices import Device
    from edgedeploy.runtime.manifest import Manifest
    from edgedeploy.trtexec.log import Run
    from edgedeploy.trtexec.reading import Samples
    from edgedeploy.trtexec.summary import Timing
    from edgedeploy.trtexec.times import Times

SOURCE = "trtexec"

_MIB_MB = (1 << 20) / 1e6
_NOT_MEASURED = "trtexec does not measure it"


def document(
    run: Run,
    times: Times | None,
    manifest: Manifest,
    *,
    folder: Path,
    device: Device,
    known: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the profile of one run of trtexec; the schema and the date are the writer's.

    Args:
        run: What it printed.
        times: What it exported; None: nothing.
        manifest: Of the artifact that was measured.
        folder: Of the artifact.
        device: Where.
        known: The artifact's accuracy, or None.

    Raises:
        ArtifactError: The log is of something else than this artifact on this device.
        FileError: The times are of another run than the log.
    """
    doubts = matching.check(run, manifest, folder, device)
    kept = None if times is None else reading.matched(times, run)
    inside = ["h2d", "compute", "d2h"] if reading.transfers(run) else ["compute"]
    batch = (
        run.inputs[0].shape[0] if run.inputs else trt_options.from_json(manifest.options).batch[1]
    )
    size_bytes = None if manifest.waiting else manifest.size_bytes
    engine_mb = _engine_mb(run, size_bytes)
    latency, reasons = _latency(run, kept)
    return {
        "source": SOURCE,
        "model": manifest.model,
        "variant": manifest.variant,
        **_subject(run, manifest, device, size_bytes),
        "scenario": "single" if reading.is_one_by_one(run) else "queued",
        "inside": inside,
        "input_shape": [batch, *(length or 1 for length in manifest.input.shape[1:])],
        "threads": None,
        "latency_ms": latency,
        "throughput_ips": run.throughput_qps * batch,
        "window_s": run.seconds,
        "warm_up": {
            "settled": None,
            "runs": run.warm_up_queries,
            "seconds": run.warm_up_ms / 1e3,
        },
        "cold_start_ms": {"load": None, "first_inference": None},
        "memory_mb": {"peak_rss": None, "engine": engine_mb, "device": None},
        "power": None,
        "power_reason": "trtexec measures no power; tegrastats beside it does",
        "energy_mj_per_inference": None,
        "accuracy": known,
        "verdict": verdict.judge(run, kept, doubts),
        "reasons": {**reasons, **_reasons(known, size_bytes, engine_mb)},
        "samples_ns": None if kept is None else encoding.encode(array("q", kept.ns.tolist())),
        SOURCE: _facts(run, kept),
    }


def finished_s(run: Run) -> float | None:
    """Return when a run ended, in seconds since 1970; None where its log tells no time.

    trtexec prints its machine's own time without a zone; it is taken as UTC.
    """
    if run.finished is None:
        return None
    try:
        moment = datetime.datetime.strptime(run.finished, "%m/%d/%Y-%H:%M:%S")
        return moment.replace(tzinfo=datetime.timezone.utc).timestamp()
    except ValueError:  # a clock that was never set
        return None


def _latency(run: Run, samples: Samples | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the statistics, and why some are null."""
    if samples is not None:
        found: dict[str, Any] = {
            **asdict(samples.summary),
            "p50_ci95": list(samples.summary.p50_ci95),
            "rule": "nearest rank",
        }
    else:
        found = _as_printed(run.timings["latency"], run.queries)
    how = ", or not printed" if samples is None else ": measure for longer"
    reasons = {
        f"latency_ms.{place}": f"fewer than {stats.required_samples(share)} samples{how}"
        for name, share in stats.PERCENTILES.items()
        if found[name] is None
        for place in (name, f"bounds.{name}")
    }
    if samples is None:
        lacks = "no times were exported: measure with --exportTimes, import with --times"
        reasons |= dict.fromkeys(("latency_ms.std", "latency_ms.p50_ci95", "samples_ns"), lacks)
    return found, reasons


def _as_printed(timing: Timing, count: int) -> dict[str, Any]:
    """Return what the summary says, by trtexec's own rules."""
    return {
        "p50": timing.median,
        **{
            name: timing.percentiles.get(round(share * 100, 1))
            if count >= stats.required_samples(share)
            else None
            for name, share in stats.PERCENTILES.items()
        },
        "mean": timing.mean,
        "std": None,
        "min": timing.min,
        "max": timing.max,
        "count": count,
        "p50_ci95": None,
        "rule": "trtexec: sorted[n - 1 - int((1 - p) * n)] in float32, the median of an even "
        "number is the mean of the two in the middle",
    }


def _subject(
    run: Run, manifest: Manifest, device: Device, size_bytes: int | None
) -> dict[str, Any]:
    return {
        "artifact": {
            "backend": manifest.backend,
            "precision": manifest.precision,
            "runs": manifest.runs,
            "sha256": manifest.sha256,
            "size_bytes": size_bytes,
        },
        "device": {
            "name": device.name,
            "model": run.option("Device Information", "Selected Device") or None,
            "power_mode": None,
            "clocks": None,
        },
        "environment": {
            "edgedeploy": edgedeploy.__version__,
            "backend": f"tensorrt {_dotted(run)}",
            "engine_device": _engine_device(run),
        },
    }


def _resolution_ns(run: Run) -> float:
    """Return how fine the times are: float32 milliseconds since the run began get coarser."""
    return float(np.spacing(np.float32(run.seconds * 1e3 + run.warm_up_ms))) * 1e6


def _engine_mb(run: Run, size_bytes: int | None) -> float | None:
    if size_bytes is not None:
        return size_bytes / 1e6
    return None if run.engine_mib is None else run.engine_mib * _MIB_MB


def _engine_device(run: Run) -> str:
    core = run.option("System Options", "DLACore")
    return f"DLA {core}" if core else "GPU"


def _reasons(
    known: Mapping[str, Any] | None, size_bytes: int | None, engine_mb: float | None
) -> dict[str, str]:
    """Say of each null why it is one; power has its own ``power_reason``."""
    reasons = dict.fromkeys(
        (
            "cold_start_ms.load",
            "cold_start_ms.first_inference",
            "memory_mb.peak_rss",
            "memory_mb.device",
            "warm_up.settled",
        ),
        _NOT_MEASURED,
    )
    if size_bytes is None:
        reasons["artifact.size_bytes"] = "the board built the engine"
    if engine_mb is None:
        reasons["memory_mb.engine"] = "the board built the engine, and the log has no size of it"
    if known is None:
        reasons["accuracy"] = "not evaluated: edgedeploy eval ARTIFACT --data DIR"
    return reasons


def _facts(run: Run, samples: Samples | None) -> dict[str, Any]:
    """Return what trtexec itself said, by its own rules and in its own words."""
    options = run.sections.get("Inference Options", {})
    return {
        "version": _dotted(run),
        "build": run.build,
        "command": " ".join(run.command),
        "finished": run.finished,
        "clock": "CUDA events; enqueue is host time",
        "latency_is": "h2d + compute + d2h, waits between them left out"
        if reading.transfers(run)
        else "compute",
        "cuda_graph": options.get("CUDA Graph"),
        "spin_wait": options.get("Spin-wait"),
        "expose_dma": options.get("ExposeDMA"),
        "streams": reading.streams(run),
        "duration": options.get("Duration"),
        "iterations": options.get("Iterations"),
        "device": dict(run.sections.get("Device Information", {})),
        "resolution_ns": _resolution_ns(run),
        "engine_mib": run.engine_mib,
        "throughput_qps": run.throughput_qps,
        "summary_ms": {key: _printed(timing) for key, timing in run.timings.items()},
        "times_exported": samples is not None,
    }


def _printed(timing: Timing) -> dict[str, float]:
    percentiles = {f"p{percent:g}": value for percent, value in timing.percentiles.items()}
    return {
        "min": timing.min,
        "max": timing.max,
        "mean": timing.mean,
        "median": timing.median,
        **percentiles,
    }


def _dotted(run: Run) -> str:
    return ".".join(map(str, run.version))
