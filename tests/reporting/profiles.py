"""A set of records such as a sweep leaves, for tests of how they are shown."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from edgedeploy.profiling import records
from tests.profiling import documents

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord


def made(folder: Path, **changes: Any) -> ProfileRecord:
    """One record; ``changes`` by dotted path with ``__`` for the dots."""
    document = copy.deepcopy(dict(documents.record(folder / "artifact").document))
    for path, value in changes.items():
        *above, last = path.split("__")
        inner = document
        for key in above:
            inner = inner[key]
        inner[last] = value
    return records.parse(document, name="made")


def sweep(folder: Path) -> list[ProfileRecord]:
    """Two sizes on two backends, each in two precisions, and a model that is not of the zoo."""
    found = []
    for side, rho in ((96, 0.857), (112, 1.0)):
        variant = {"family": "mobilenet_v1", "alpha": 0.25, "resolution": side, "rho": rho}
        for backend in ("ort", "openvino"):
            for precision in ("int8", "fp32"):
                is_ort = backend == "ort"
                busy = side == 112 and precision == "fp32" and is_ort
                found.append(
                    made(
                        folder,
                        model=f"mobilenet_v1_0.25_{side}_cifar10",
                        variant=variant,
                        artifact__backend=backend,
                        artifact__precision=precision,
                        latency_ms__p50=rho if precision == "fp32" else rho / 3,
                        latency_ms__p99=None if is_ort else 12.3456,
                        reasons={"latency_ms.p99": "fewer than 662 samples: measure for longer"},
                        accuracy={"source": "shipped", "date": "2026-11-20", "top1": 0.8765}
                        if is_ort
                        else {"source": "eval", "top1": 0.8712},
                        verdict={
                            "level": "suspect" if busy else "measured",
                            "reasons": ["other processes kept 1.5 of 2 CPUs busy"] if busy else [],
                        },
                    )
                )
    return [*found, made(folder, model="my|net[red]", memory_mb__peak_rss=None)]
