"""Logs, times and artifacts that belong together, for tests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime import trt_options
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.runtime.manifest import Manifest

DATA = Path(__file__).parent / "data"
NANO = (DATA / "8.2.1-jetson-nano.log").read_text(encoding="utf-8")
NANO_801 = (DATA / "8.0.1-jetson-nano.log").read_text(encoding="utf-8")
RTX = (DATA / "10.9.0-rtx-3070.log").read_text(encoding="utf-8")
ELEVEN = (DATA / "11.1.0-derived.log").read_text(encoding="utf-8")
LOGS = (NANO_801, NANO, RTX, ELEVEN)

CAPABILITIES = {"8.2.1": "5.3", "8.5.2": "7.2", "10.3.0": "8.7", "10.9.0": "8.6", "11.1.0": "8.7"}
DEVICES = {"8.2.1": "jetson-nano", "8.5.2": "jetson-xavier-nx", "10.3.0": "jetson-orin-nano"}


def waiting(
    folder: Path,
    tensorrt: str = "8.2.1",
    precision: str = "fp16",
    *,
    int8_mode: str | None = None,
    options: dict[str, Any] | None = None,
    shape: Sequence[int | None] = (None, 3, 224, 224),
    **changes: Any,
) -> Path:
    """An artifact that waits for a board with ``tensorrt``; ``changes`` go into its manifest."""
    files = {"source.onnx": b"source"} | (
        {"calibration.cache": b"cache"} if int8_mode == "implicit" else {}
    )
    asked: dict[str, Any] = {"asked": precision, "runs": {}}
    made: dict[str, Any] = {
        "model": "net",
        "backend": "trt",
        "backend_version": tensorrt,
        "content": files,
        "precision": asked if int8_mode is None else {**asked, "int8_mode": int8_mode},
        "engine": "model.engine",
        "inputs": [{"name": "input", "shape": list(shape), "dtype": "float32"}],
        "outputs": [{"name": "output", "shape": [None, 1001], "dtype": "float32"}],
        "options": {**trt_options.to_json(trt_options.TrtOptions()), **(options or {})},
        "runs_on": {
            "portable": False,
            "library": "tensorrt",
            "library_version": None,
            "gpu": None,
            "compute_capability": CAPABILITIES.get(tensorrt),
            "device": DEVICES.get(tensorrt),
            "tensorrt": tensorrt,
        },
    }
    return write_artifact(folder, **(made | changes))


def built(folder: Path, tensorrt: str, precision: str = "fp16", **changes: Any) -> Path:
    """An artifact whose engine was built by ``tensorrt``."""
    runs_on = {
        "portable": False,
        "library": "tensorrt",
        "library_version": tensorrt,
        "gpu": None,
        "compute_capability": CAPABILITIES.get(tensorrt),
    }
    files = {"model.engine": b"engine", "source.onnx": b"source"}
    made: dict[str, Any] = {"content": files, "runs_on": runs_on}
    return waiting(folder, tensorrt, precision, **(made | changes))


def of_the_nano_log(folder: Path, **changes: Any) -> Path:
    """The artifact that `NANO` could be of."""
    made: dict[str, Any] = {
        "precision": "fp32",
        "shape": (None, 3, 288, 800),
        "outputs": [{"name": "output", "shape": [None, 201, 18, 4], "dtype": "float32"}],
    }
    return waiting(folder, **(made | changes))


def read(folder: Path) -> Manifest:
    return manifests.read(str(folder))


def exported(latencies_ms: Sequence[float], *, end_to_end: bool = False) -> str:
    """What ``--exportTimes`` writes; up to 8.2 with ``endToEndMs``."""
    rows, now = [], 0.0
    for latency in latencies_ms:
        start, copy = now, latency / 100
        row = {
            "startEnqMs": start,
            "endEnqMs": start + latency / 10,
            "startH2dMs": start,
            "endH2dMs": start + copy,
            "startComputeMs": start + copy,
            "endComputeMs": start + latency - copy,
            "startD2hMs": start + latency - copy,
            "endD2hMs": start + latency,
            "h2dMs": copy,
            "computeMs": latency - 2 * copy,
            "d2hMs": copy,
            "latencyMs": latency,
        }
        rows.append({**row, "endToEndMs": latency} if end_to_end else row)
        now += latency
    # as NVIDIA's program writes a list: a line an object, the comma first
    lines = [f"{'  ' if not i else ', '}{json.dumps(row)}" for i, row in enumerate(rows)]
    return "\n".join(["[", *lines, "]"]) + "\n"


def latencies(text: str, count: int | None = None) -> list[float]:
    """Latencies with the ends of a log's summary, as many as it timed."""
    line = re.search(r"\] Latency: min = ([\d.]+) ms, max = ([\d.]+) ms", text)
    timed = re.search(r"Timing trace has (\d+) queries", text)
    assert line is not None
    assert timed is not None
    low, high = float(line[1]), float(line[2])
    number = int(timed[1]) if count is None else count
    return [low + (high - low) * (i * 7919 % number) / (number - 1) for i in range(number)]
