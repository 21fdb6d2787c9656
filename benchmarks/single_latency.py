"""Our p50 of the scenario single beside a bare loop over the vendor's API, and benchmark_app.

    python benchmarks/single_latency.py build/MODEL/openvino-fp32 build/MODEL/ort-fp32 …

Every round runs the three in turns, in another order each time, each in a process of its own, with
the same threads, the same fixed shape and the same precision; the ratio of a round cancels what
changed since the last. Prints a Markdown table: medians, and the median, smallest and largest
ratio.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime.cpu import physical_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LOOP = """
import statistics, sys, time
import numpy as np
backend, path, seconds, threads, *shape = sys.argv[1:]
batch = np.random.default_rng(0).random([int(n) for n in shape], dtype=np.float32)
if backend == "ort":
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(threads)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input(session.get_inputs()[0].name, batch)
    binding.bind_output(session.get_outputs()[0].name)
    call = lambda: session.run_with_iobinding(binding)
else:
    import openvino as ov
    core = ov.Core()
    model = core.read_model(path)
    model.reshape(list(batch.shape))
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32",
              "INFERENCE_NUM_THREADS": int(threads)}
    request = core.compile_model(model, "CPU", config).create_infer_request()
    request.set_input_tensor(ov.Tensor(batch, shared_memory=True))
    call = request.infer
for _ in range(50):
    call()
times, until = [], time.perf_counter() + float(seconds)
while time.perf_counter() < until:
    start = time.perf_counter_ns()
    call()
    times.append(time.perf_counter_ns() - start)
print(statistics.median(times) / 1e6)
"""
_APP_MEDIAN = re.compile(r"Median:\s+([0-9.]+) (ms|us)")


@dataclass(frozen=True, slots=True)
class Job:
    """One artifact, measured in one way for some seconds."""

    folder: Path
    seconds: float
    threads: int

    @property
    def manifest(self) -> manifests.Manifest:
        """What the artifact says of itself."""
        return manifests.read(str(self.folder))

    @property
    def shape(self) -> list[int]:
        """A batch of one image."""
        return [1, *(int(n or 0) for n in self.manifest.input.shape[1:])]

    @property
    def engine(self) -> str:
        """The file that the vendor reads."""
        return str(self.folder / self.manifest.engine)


def ours(job: Job) -> float:
    """p50 of ``edgedeploy profile``, in ms."""
    with tempfile.TemporaryDirectory() as out:
        output = _run(
            [sys.executable, "-m", "edgedeploy", "profile", str(job.folder), "--json", "-o", out],
            ["--duration", str(job.seconds), "--threads", str(job.threads)],
        )
    return float(json.loads(output)["profiles"][0]["latency_ms"]["p50"])


def bare_loop(job: Job) -> float:
    """Median of a loop over the vendor's own call, in ms."""
    backend = job.manifest.backend
    words = [backend, job.engine, str(job.seconds), str(job.threads), *map(str, job.shape)]
    return float(_run([sys.executable, "-c", _LOOP], words))


def benchmark_app(job: Job) -> float:
    """Median of OpenVINO's own tool, in ms."""
    app = Path(sys.executable).with_name("benchmark_app")
    output = _run(
        [str(app), "-m", job.engine, "-d", "CPU", "-api", "sync", "-hint", "latency"],
        [
            *("-shape", f"[{','.join(map(str, job.shape))}]"),
            *("-infer_precision", "CPU:f32"),  # its threads are the physical cores, as ours
            *("-t", str(max(1, round(job.seconds)))),
        ],
    )
    found = _APP_MEDIAN.search(output)
    if found is None:
        raise ValueError(f"benchmark_app told no median: {output[-300:]}")
    return float(found[1]) / (1e3 if found[2] == "us" else 1)


def measure(job: Job, rounds: int) -> dict[str, list[float]]:
    """Run every way once a round, in turning order; ms by way."""
    ways: dict[str, Callable[[Job], float]] = {"edgedeploy": ours, "bare loop": bare_loop}
    app = Path(sys.executable).with_name("benchmark_app")
    if job.manifest.backend == "openvino" and shutil.which(app):
        ways["benchmark_app"] = benchmark_app
    found: dict[str, list[float]] = {name: [] for name in ways}
    orders = itertools.cycle(itertools.permutations(ways))
    for _, order in zip(range(rounds), orders, strict=False):
        for name in order:
            found[name].append(ways[name](job))
    return found


def rows(label: str, found: Mapping[str, Sequence[float]]) -> list[str]:
    """Return Markdown rows: each way against ours, by the ratios of the rounds."""
    lines = []
    for name, theirs in found.items():
        ratios = sorted(a / b for a, b in zip(found["edgedeploy"], theirs, strict=True))
        median = statistics.median(theirs)
        ratio = "–"
        if name != "edgedeploy":
            ratio = f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        lines.append(f"| {label} | {name} | {median:.3f} | {ratio} | {len(theirs)} |")
    return lines


def _run(argv: list[str], more: Sequence[str]) -> str:
    done = subprocess.run([*argv, *more], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout)[-500:]
        raise RuntimeError(f"{argv[:3]} ended with {done.returncode}: {said}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=physical_cores())
    options = parser.parse_args()
    print("| artifact | way | p50 ms | ours / theirs (smallest to largest) | rounds |")
    print("|---|---|---|---|---|")
    for folder in options.artifact:
        found = measure(Job(folder, options.seconds, options.threads), options.rounds)
        label = f"{folder.parent.name} {folder.name}"
        print("\n".join(rows(label, found)), flush=True)


if __name__ == "__main__":
    main()
