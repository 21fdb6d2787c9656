"""Records that have everything a report can show, and those that have next to nothing."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.profiling import records
from edgedeploy.worker.samples import encode
from tests.profiling import documents
from tests.reporting.profiles import made, sweep

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord

HOSTILE = "</svg><script>alert('1')</script>\" onload=\"x()&amp;"


def full(folder: Path, **changes: Any) -> ProfileRecord:
    """A run on a board, with power, stages, layers, throttling and a long tail."""
    random = np.random.default_rng(7)
    ns = (8e6 * (1 + 0.02 * random.standard_normal(900)) + (np.arange(900) % 97 == 5) * 9e6).astype(
        int
    )
    base = documents.record(
        folder / "artifact", result=documents.raw_result(ns.tolist(), window_ns=int(ns.sum()))
    )
    seconds = ns.sum() / 1e9
    at_s = np.arange(-1.0, seconds + 0.5, 0.02)
    watts = np.where((at_s > 0) & (at_s < seconds), 6.1, 2.2) + 0.1 * np.sin(at_s * 40)
    values: dict[str, Any] = {
        "model": "mobilenet_v2_1.00_224",
        "variant": {"family": "mobilenet_v2", "alpha": 1.0, "resolution": 224, "rho": 1.0},
        "device": {"name": "jetson-orin-nano", "model": "Cortex-A78AE", "power_mode": "15W"},
        "accuracy": {"source": "eval", "top1": 0.7176, "date": "2026-11-22"},
        "energy_mj_per_inference": 48.8,
        "energy_above_idle_mj_per_inference": 31.2,
        "power": {
            "mean_w": 6.1,
            "joules": 6.1 * seconds,
            "window_ns": int(ns.sum()),
            "source": "tegrastats",
            "rails_w": {"VDD_IN": 6.1},
            "rule": "VDD_IN is the module",
            "idle_w": 2.2,
            "idle_reason": None,
            "samples": len(at_s),
            "uncertainty_pct": 1.4,
            "trace": {
                "t_ns": (at_s * 1e9).astype(int).tolist(),
                "mw": (watts * 1e3).round().astype(int).tolist(),
            },
        },
        "power_reason": None,
        "stages_ms": {
            name: {"p50": ms, "count": 100}
            for name, ms in (("h2d", 0.31), ("compute", 7.4), ("d2h", 0.05))
        },
        "layers": [
            {"name": f"features.{i // 3}.{kind}", "kind": kind, "ms": 0.4 / (1 + i % 7) + 0.01}
            for i in range(51)
            for kind in [("pointwise", "depthwise", "other")[i % 3]]
        ],
        "conditions": {
            "cpus": 6,
            "other_cpus": 0.04,
            "clocks": {
                "seen": {
                    "t_s": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
                    "slowed": [False, False, True, True, False, False, True, False],
                }
            },
            "throttled": {"counted": {}, "slowed_by": ["cpu-throttle-alert (state 1)"]},
        },
        "verdict": {"level": "suspect", "reasons": ["the clock was throttled"]},
        "command": ["edgedeploy", "profile", "build/my model/trt-fp16", "--duration", "7"],
    }
    document = {**base.document, **values, **changes}
    document["artifact"] = {**document["artifact"], "backend": "trt", "precision": "fp16"}
    return records.parse(document, name="made")


def bare(folder: Path, **changes: Any) -> ProfileRecord:
    """What another program measured, with hardly a value that may be null and is not."""
    document = dict(documents.record(folder / "artifact").document)
    for key in ("conditions", "stages_ms", "warm_up", "window_s", "threads", "reasons"):
        del document[key]
    latency = dict(document["latency_ms"])
    gone = ("p90", "p95", "p99", "p99_9", "std", "p50_ci95")
    document |= {
        "source": "trtexec",
        "variant": None,
        "latency_ms": {**latency, **dict.fromkeys(gone)},
        "throughput_ips": None,
        "cold_start_ms": {"load": None, "first_inference": None},
        "memory_mb": {"peak_rss": None, "engine": None, "device": None},
        "samples_ns": None,
        "trtexec": {"command": "trtexec --loadEngine=model.engine"},
        **changes,
    }
    return records.parse(document, name="made")


def everything(folder: Path) -> list[ProfileRecord]:
    """A sweep, a full run, a bare one, a hostile one, and one that a newer one replaces."""
    hostile = made(
        folder,
        model=HOSTILE,
        verdict={"level": "invalid", "reasons": [HOSTILE]},
        device__model=HOSTILE,
        environment={"backend": HOSTILE, HOSTILE: HOSTILE},
        accuracy={"source": "eval", "top1": 0.5},
        layers=[{"name": HOSTILE, "kind": HOSTILE, "ms": 1.0}],
        stages_ms={HOSTILE: {"p50": 1.0, "count": 3}},
        conditions={HOSTILE: [HOSTILE]},
        reasons={HOSTILE: HOSTILE},
        command=HOSTILE,
    )
    older = full(folder, created="2026-11-01T00:00:00Z")
    return [*sweep(folder), older, full(folder), bare(folder), hostile]


def one_call(folder: Path) -> ProfileRecord:
    """A run of a single call, which the clock did not see."""
    return made(
        folder,
        samples_ns=encode(array("q", [0])),
        latency_ms={
            **dict.fromkeys(("p50", "mean", "std", "min", "max"), 0.0),
            **dict.fromkeys(("p90", "p95", "p99", "p99_9")),
            "count": 1,
        },
    )
