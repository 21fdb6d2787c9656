"""What the checks on a GPU find: values, and the JSON that keeps all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy import stats
from edgedeploy.worker.samples import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = "edgedeploy.gpu-checks/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where it ran.

    Attributes:
        gpu: Name of device 0.
        compute_capability: Of it, e.g. ``"8.7"``.
        library: TensorRT's package and version.
        cuda: What drives CUDA: ``pycuda``, ``cuda-python`` or ``libcudart``.
        board: What `edgedeploy.meters.board` makes of the machine.
        python: Version.
        system: Kernel and distribution.
    """

    gpu: str
    compute_capability: str
    library: str
    cuda: str
    board: str
    python: str
    system: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test of tests/gpu.

    Attributes:
        file: Where it is, e.g. ``"test_precisions"``.
        name: Its name with its parameters.
        outcome: ``passed``, ``failed``, ``error`` or ``skipped``.
        seconds: That it took.
        message: First line of why it failed or was skipped; ``""`` where it passed.
        measured: What it recorded, by name.
    """

    file: str
    name: str
    outcome: str
    seconds: float = 0.0
    message: str = ""
    measured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model in one precision, with CUDA graphs or without.

    Attributes:
        model: Its name.
        precision: What was asked.
        graphs: Whether calls were replayed from a CUDA graph.
        problem: Why there are no samples; None where there are.
        int8_mode: How INT8 was said to TensorRT.
        runs: Layers by type, as the engine reports them.
        engine_bytes: Size of the engine.
        build_s: Seconds that the build took.
        device_bytes: Device memory that loading and the first call took, as CUDA counts it.
        warmed: Whether the warm-up settled.
        samples: Nanoseconds of each call, in call order, as `edgedeploy.worker.samples` writes
            them; ``""`` where there are none.
        no_graph: Why no graph was replayed although it was asked for; None where one was.
        stages_ms: Milliseconds of each of some calls by stage, as `TrtSession.stage_times` says.
        agreement: Share of pictures with the best answer of the FP32 engine; None with a reason.
        agreement_reason: Why it is None.
        top1: Share of right answers, where the pictures are labelled.
        pictures: How many there were.
    """

    model: str
    precision: str
    graphs: bool
    problem: str | None = None
    int8_mode: str | None = None
    runs: Mapping[str, int] = field(default_factory=dict)
    engine_bytes: int | None = None
    build_s: float | None = None
    device_bytes: int | None = None
    warmed: bool | None = None
    samples: str = ""
    no_graph: str | None = None
    stages_ms: Mapping[str, Sequence[float]] = field(default_factory=dict)
    agreement: float | None = None
    agreement_reason: str | None = None
    top1: float | None = None
    pictures: int = 0

    def latency(self) -> Latency | None:
        """Return what is said of the samples; None where there are none."""
        if not self.samples:
            return None
        ns = np.array(decode(self.samples), dtype=np.int64)
        enough = len(ns) >= stats.required_samples(0.99)
        p99_ns = stats.percentile(ns, 0.99) if enough else None
        return Latency(
            p50_ms=stats.percentile(ns, 0.5) / 1e6,
            p99_ms=None if p99_ns is None else p99_ns / 1e6,
            count=len(ns),
        )


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in ms, and of how many calls; p99 is None below 662."""

    p50_ms: float
    p99_ms: float | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """A whole run.

    Attributes:
        date: Day it began, UTC.
        machine: Where.
        cases: Tests, in the order of their files.
        rows: Measurements, in the order they were taken.
    """

    date: str
    machine: Machine
    cases: Sequence[Case]
    rows: Sequence[Row]

    def failed(self) -> bool:
        """Return whether anything did not do what it should."""
        broken = any(case.outcome in ("failed", "error") for case in self.cases)
        return broken or any(row.problem is not None for row in self.rows)


def to_json(checks: Checks) -> dict[str, Any]:
    """Return everything, samples included."""
    rows = [_row(row) for row in checks.rows]
    return {"schema": SCHEMA, **asdict(checks), "rows": rows}


def _row(row: Row) -> dict[str, Any]:
    latency = row.latency()
    return {**asdict(row), "latency": None if latency is None else asdict(latency)}
