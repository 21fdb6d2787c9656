"""Profiles to compare, for tests: latencies that wander, and a power trace."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.comparing.sides import Side, side
from edgedeploy.profiling import records
from tests.profiling import documents

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord


def latencies(count: int = 800, *, scale: float = 1.0, seed: int = 0) -> list[int]:
    """Nanoseconds around 1 ms, each near the one before."""
    steps = np.random.default_rng(seed).normal(0, 1, count)
    drift = np.convolve(steps, np.full(10, 0.1), mode="same")
    return [int(scale * (1_000_000 + 10_000 * step)) for step in drift]


def profile(
    folder: Path, *, ns: list[int] | None = None, created_s: float = 1_795_332_600, **changes: Any
) -> ProfileRecord:
    """One record; ``changes`` by dotted path with ``__`` for the dots."""
    document = copy.deepcopy(_document(folder, tuple(latencies() if ns is None else ns)))
    document["created"] = records.timestamp(created_s)
    for path, value in changes.items():
        *above, last = path.split("__")
        inner = document
        for key in above:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return records.parse(document, name="made")


_MADE: dict[tuple[int, ...], dict[str, Any]] = {}


def _document(folder: Path, ns: tuple[int, ...]) -> dict[str, Any]:
    """Derived once for each series: that takes a while."""
    if ns not in _MADE:
        made = documents.record(folder / "artifact", result=documents.raw_result(ns))
        _MADE[ns] = dict(made.document)
    return _MADE[ns]


def power(milliwatts: list[float], **more: Any) -> dict[str, Any]:
    """What a sampler leaves."""
    times = list(range(len(milliwatts)))
    return {"mean_w": 5.0, "trace": {"t_ns": times, "mw": milliwatts}, **more}


def a_side(folder: Path, *, label: str = "x", **changes: Any) -> Side:
    return side(profile(folder, **changes), label=label)
