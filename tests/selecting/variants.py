"""Variants to choose from, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedeploy.selecting.candidates import Candidate, Wanted, candidates
from tests.comparing.measured import profile

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord


def variant(
    folder: Path,
    model: str,
    *,
    top1: float | None = None,
    p99: float | None = 1.0,
    energy: float | None = None,
    rss: float = 90.0,
    level: str = "measured",
    accuracy: dict[str, Any] | None = None,
    **changes: Any,
) -> ProfileRecord:
    return profile(
        folder,
        model=model,
        latency_ms__p99=p99,
        accuracy=accuracy if top1 is None else {"top1": top1},
        energy_mj_per_inference=energy,
        memory_mb__peak_rss=rss,
        verdict={"level": level, "reasons": [] if level == "measured" else ["CPU throttled"]},
        **changes,
    )


def among(*records: ProfileRecord) -> tuple[Candidate, ...]:
    return candidates(records, Wanted())
