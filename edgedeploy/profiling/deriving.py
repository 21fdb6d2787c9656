"""From a worker's raw result to a record: statistics, verdict, and a reason for every null.

docs/measuring.md says what each value means.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

import edgedeploy
from edgedeploy import stats
from edgedeploy.errors import MeasurementError
from edgedeploy.profiling import conditions, energy, records, scenarios
from edgedeploy.profiling.verdict import LEVELS, judge
from edgedeploy.worker import samples as encoding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.profiling.verdict import Verdict
    from edgedeploy.runtime.manifest import Manifest
    from edgedeploy.stats import Summary
    from edgedeploy.types import Array

_MB = 1e6


def record(
    result: Mapping[str, Any],
    manifest: Manifest,
    known: Mapping[str, Any] | None,
    *,
    scenario: str,
    options: Mapping[str, Any] | None = None,
    created_s: float | None = None,
) -> ProfileRecord:
    """Derive the record of one run.

    Args:
        result: As `edgedeploy.worker.profiling.profile` returns it.
        manifest: Of the artifact.
        known: Its accuracy, or None.
        scenario: That was run.
        options: Its settings, in full.
        created_s: Seconds since 1970; None: now.

    Raises:
        MeasurementError: The result is not of this version's form.
    """
    now_s = time.time() if created_s is None else created_s  # noqa: TID251 -- a date, no duration
    try:
        document = _document(result, manifest, known, scenario, options or {})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MeasurementError(
            f"the worker's result is not in this version's form: {type(error).__name__}: {error}",
            fix="use the same version of edgedeploy on both sides",
        ) from error
    head = {"schema": records.SCHEMA, "created": records.timestamp(now_s), "scenario": scenario}
    return records.parse({**head, **document}, name="the worker's result")


def latency_reasons(summary: Summary) -> dict[str, str]:
    """Return why values of ``latency_ms`` are null, by where they are."""
    reasons = {
        f"latency_ms.{place}": f"fewer than {stats.required_samples(share)} samples: "
        f"measure for longer with --percentile {name.replace('_', '.')}"
        for name, share in stats.PERCENTILES.items()
        if getattr(summary, name) is None
        for place in (name, f"bounds.{name}")
    }
    if summary.jitter is None:
        reasons["latency_ms.jitter"] = "a single call does not vary"
    return reasons


def _document(
    result: Mapping[str, Any],
    manifest: Manifest,
    known: Mapping[str, Any] | None,
    scenario: str,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    samples = _array(result["samples"])
    if not len(samples):
        raise ValueError("it holds no sample")
    summary = stats.summarise(samples / 1e6)
    seconds = result["window_ns"] / 1e9
    found = scenarios.results(result, scenario, options)
    return {
        "model": manifest.model,
        "variant": manifest.variant,
        "artifact": _artifact(manifest),
        "device": {**result["board"], "clocks": conditions.device_clocks(result)},
        "environment": {
            "edgedeploy": edgedeploy.__version__,
            "backend": result["runtime"]["library"],
            "engine_device": result["runtime"]["device"],
            **result["environment"],
        },
        "scenario_options": dict(options),
        "scenario_results": found,
        "inside": result["inside"],
        "input_shape": result["input_shape"],
        "threads": result["runtime"]["threads"],
        "latency_ms": {**asdict(summary), "p50_ci95": list(summary.p50_ci95)},
        "throughput_ips": len(samples) * result["input_shape"][0] / seconds,
        "infer_overhead_us": _overhead_us(result["overhead"]),
        "timer_ns": result["timer_ns"],
        "window_s": seconds,
        "warm_up": result["warm_up"],
        "cold_start_ms": result["cold_start_ms"],
        "memory_mb": _memory_mb(result, manifest),
        "stages_ms": _stages(result),
        "layers": None,
        **energy.of(result, len(samples) * result["input_shape"][0]),
        "accuracy": known,
        "conditions": result["conditions"],
        "verdict": _verdict(result, summary, scenario, scenarios.judge(found, options)),
        "reasons": _reasons(summary, known, result),
        "samples_ns": result["samples"],
    }


def _artifact(manifest: Manifest) -> dict[str, Any]:
    return {
        "backend": manifest.backend,
        "precision": manifest.precision,
        "runs": manifest.runs,
        "sha256": manifest.sha256,
        "size_bytes": manifest.size_bytes,
    }


def _overhead_us(pairs: Mapping[str, str]) -> float:
    """Return the median of the paired differences: drift meets both calls of a pair alike."""
    return stats.percentile(_array(pairs["infer"]) - _array(pairs["bound"]), 0.5) / 1e3


def _memory_mb(result: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    phases, device = result["memory"], result["device_memory"]
    by_phase = device["phases"]
    return {
        "peak_rss": _mb(phases["steady"]["peak_rss_bytes"]),
        "engine": manifest.size_bytes / _MB,
        "device": _mb(by_phase["steady"]) if device["reason"] is None else None,
        "device_rule": device["rule"] and f"{device['rule']}; at the end of the timed calls",
        "device_phases": by_phase and {phase: _mb(size) for phase, size in by_phase.items()},
        "rss": {phase: _mb(memory["rss_bytes"]) for phase, memory in phases.items()},
        **{
            kind: {phase: _mb(memory[f"{kind}_bytes"]) for phase, memory in phases.items()}
            for kind in ("pss", "uss")
        },
    }


def _mb(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / _MB


def _stages(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the median of every stage that was timed by itself, and of how many calls."""
    stages = result["stages_ms"]
    if stages is None:
        return None
    return {
        name: {"p50": stats.percentile(np.array(times), 0.5), "count": len(times)}
        for name, times in stages.items()
    }


def _verdict(
    result: Mapping[str, Any], summary: Summary, scenario: str, own: Verdict
) -> dict[str, Any]:
    """Judge the calls themselves; how long they waited for their turn is what was to be found."""
    work = scenarios.work_ns(result)
    if result["series"]:
        summary = stats.summarise(work / 1e6)
    calls = judge(work, summary, conditions.of(result, scenario, summary.p50))
    level = max(own.level, calls.level, key=LEVELS.index)
    return {"level": level, "reasons": [*own.reasons, *calls.reasons]}


def _reasons(
    summary: Summary, known: Mapping[str, Any] | None, result: Mapping[str, Any]
) -> dict[str, str]:
    """Say of each null why it is one; power has its own ``power_reason``."""
    reasons = latency_reasons(summary)
    if result["device_memory"]["reason"] is not None:
        reasons["memory_mb.device"] = result["device_memory"]["reason"]
    if result["stages_ms"] is None:
        reasons["stages_ms"] = result["stages_reason"]
    reasons["layers"] = "not asked for: edgedeploy profile --layers"
    if known is None:
        reasons["accuracy"] = "not evaluated: edgedeploy eval ARTIFACT --data DIR"
    return reasons


def _array(text: str) -> Array:
    return np.array(encoding.decode(text), dtype=np.int64)
