"""Latency before and after, by `edgedeploy build` and `edgedeploy profile --ab`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Medians of one picture at a time, in milliseconds, measured in turns.

    Attributes:
        backend: Word of the backend.
        before: Of the network as it was trained.
        after: Of the converted one.
        levels: Verdicts of the two.
    """

    backend: str
    before: float
    after: float
    levels: tuple[str, str]


def compare(
    before: Path, after: Path, backend: str, *, out: Path, duration_s: float, threads: int | None
) -> Timed:
    """Build two models and measure them in turns."""
    _edgedeploy("build", str(before), str(after), "--backend", backend, "--fp32", "-o", str(out))
    folders = [str(out / path.stem / f"{backend}-fp32") for path in (before, after)]
    few = [] if threads is None else ["--threads", str(threads)]
    document = _edgedeploy(
        "profile", "--ab", *folders, "--duration", str(duration_s), "-o", str(out), *few
    )
    first, second = document["profiles"]
    return Timed(
        backend=backend,
        before=float(first["latency_ms"]["p50"]),
        after=float(second["latency_ms"]["p50"]),
        levels=(first["verdict"]["level"], second["verdict"]["level"]),
    )


def _edgedeploy(*argv: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "edgedeploy", *argv, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    if done.returncode:
        raise RuntimeError(f"edgedeploy {' '.join(argv)}: {document}")
    return document
