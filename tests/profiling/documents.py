"""A worker's raw result and the record made from it, for tests."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from edgedeploy.profiling import deriving
from edgedeploy.runtime import manifest as manifests
from edgedeploy.worker.samples import encode
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord

MEMORY = {"peak_rss_bytes": 90_000_000, "pss_bytes": None, "uss_bytes": None, "swap_bytes": 0}
PHASES = ("start", "import", "load", "first_inference", "steady")


def raw_result(ns: Sequence[int] = (1_000_000, 1_010_000) * 500, **changes: Any) -> dict[str, Any]:
    """What a worker hands over after calls of ``ns``."""
    made: dict[str, Any] = {
        "samples": encode(array("q", ns)),
        "count": len(ns),
        "window_ns": 2 * sum(ns),
        "series": {},
        "facts": {},
        "steps": [],
        "timer_ns": 50,
        "warm_up": {"settled": True, "runs": 30, "seconds": 0.3},
        "overhead": {
            "bound": encode(array("q", [1000, 9000, 1000])),
            "infer": encode(array("q", [6000, 16000, 4000])),
        },
        "conditions": {"cpus": 2, "other_cpus": 0.0, "load_average": 0.1, "governor": None},
        "stages_ms": None,
        "stages_reason": "this backend does not tell them apart",
        "energy": None,
        "energy_reason": "no sensor measured it: rapl: not here",
        "runtime": {"library": "onnxruntime 1.2.3", "device": "CPU", "threads": 2},
        "inside": ["h2d", "compute", "d2h"],
        "input_shape": [1, 3, 8, 8],
        "cold_start_ms": {"import": 60.0, "load": 30.0, "first_inference": 5.0},
        "memory": {phase: {**MEMORY, "rss_bytes": 70_000_000} for phase in PHASES},
        "device_memory": {"rule": None, "phases": None, "reason": "it runs on the CPU"},
        "environment": {"python": "3.6.9", "numpy": "1.13.3"},
        "board": {"name": "local", "model": "Intel N100", "power_mode": None},
    }
    return made | changes


def record(
    folder: Path,
    *,
    known: dict[str, Any] | None = None,
    result: dict[str, Any] | None = None,
    created_s: float = 1_795_332_600,
    scenario: str = "single",
    options: dict[str, Any] | None = None,
    **manifest: Any,
) -> ProfileRecord:
    """A record of the small model; ``manifest`` changes its artifact's manifest."""
    if not folder.exists():
        write_artifact(folder, **manifest)
    return deriving.record(
        result or raw_result(),
        manifests.read(str(folder)),
        known,
        scenario=scenario,
        options=options,
        created_s=created_s,
    )
