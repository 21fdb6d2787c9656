"""Speed and memory of measuring ranges, beside ONNX Runtime's entropy calibrator.

    python benchmarks/calibration_speed.py MODEL IMAGES [--images 100] [--most 500] [--threads N]

MODEL is an ONNX file that takes x / 127.5 - 1 and says its size in its name; IMAGES a folder or a
zip. Every contender runs in a process of its own, over the same pictures, which it decodes itself;
seconds are from the first picture to the ranges. ONNX Runtime's calibrator keeps every activation
of every picture until the last one, so it is given --images only; peak memory over --most is
compared with plain inference.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgedeploy import model_file
from edgedeploy.calibration.feeding import Feed
from edgedeploy.calibration.ranging import measure_ranges
from edgedeploy.errors import UsageError
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.shapes import fix_size
from edgedeploy.images import open_images
from edgedeploy.runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedeploy.types import Array

RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)
PEER, PLAIN = "onnxruntime entropy", "plain inference"
OURS = ("entropy", "auto", "minmax")


def main() -> None:
    """Run every contender, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=100, help="for the times")
    parser.add_argument("--most", type=int, default=500, help="for the memory")
    parser.add_argument("--threads", type=int, help="of ours and of plain inference")
    parser.add_argument("--contender", nargs=2, metavar=("NAME", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        name, count = options.contender
        print(json.dumps(_run(name, options.model, options.data, int(count), options.threads)))
        return
    times = {name: _measure(name, options.images) for name in (PEER, *OURS)}
    memory = {name: _measure(name, options.most) for name in (PLAIN, *OURS)}
    _print(times, memory, options)


def _measure(name: str, count: int) -> dict[str, float]:
    """Run a contender in a process of its own."""
    print(f"{name}, {count} images", file=sys.stderr)
    command = [sys.executable, *sys.argv, "--contender", name, str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _run(name: str, path: Path, data: Path, count: int, threads: int | None) -> dict[str, float]:
    side = model_file.read(path).side
    if side is None:
        raise UsageError(f"{path} does not say its size", fix="name it like v1_0.25_224_tag.onnx")
    graph = ir.load(path)
    fix_size(graph, side)
    fold_batch_norm(graph)
    feed = Feed(images=open_images(data).evenly(count), side=side, preprocessing=RULE)
    started = time.perf_counter()
    if name == PLAIN:
        _infer(graph, feed.batches(), threads)
    elif name == PEER:
        _calibrate(graph, feed.batches())
    else:
        measure_ranges(graph, feed.batches(), method=name, threads=threads)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    used = len(feed.images.entries)
    return {"count": used, "seconds_per_image": seconds / used, "peak_mib": peak}


def _infer(graph: ir.Model, batches: Iterable[Array], threads: int | None) -> None:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads or 0
    session = ort.InferenceSession(
        ir.serde.serialize_model(graph).SerializeToString(),
        settings,
        providers=["CPUExecutionProvider"],
    )
    for batch in batches:
        session.run(None, {graph.graph.inputs[0].name: batch})


def _calibrate(graph: ir.Model, batches: Iterable[Array]) -> None:
    """Let ONNX Runtime choose ranges by entropy, with its own defaults."""
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        ir.save(graph, Path(folder, "model.onnx"))
        calibrator = create_calibrator(
            Path(folder, "model.onnx"),
            augmented_model_path=str(Path(folder, "augmented.onnx")),
            calibrate_method=CalibrationMethod.Entropy,
        )
        calibrator.collect_data(_Reader(graph.graph.inputs[0].name, batches))
        calibrator.compute_data()


class _Reader:
    """What the calibrator takes its inputs from: ``get_next`` until it returns None."""

    def __init__(self, feed: str | None, batches: Iterable[Array]) -> None:
        self._feed, self._batches = feed, iter(batches)

    def get_next(self) -> dict[str | None, Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._feed: batch}


def _print(
    times: dict[str, dict[str, float]],
    memory: dict[str, dict[str, float]],
    options: argparse.Namespace,
) -> None:
    plain, peer = memory[PLAIN], times[PEER]
    print(
        f"{options.model.name}, {options.threads or 'all'} threads, {_cpu()}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, "
        f"ONNX Runtime {ort.__version__}\n"
    )
    count, most = int(peer["count"]), int(plain["count"])
    print(f"| | ms per image, {count} images | faster | peak MiB | peak MiB, {most} | of plain |")
    print("|---|---:|---:|---:|---:|---:|")
    print(f"| {PLAIN} | | | | {plain['peak_mib']:.0f} | 1.00 |")
    for name, found in times.items():
        faster = peer["seconds_per_image"] / found["seconds_per_image"]
        largest = memory.get(name)
        print(
            f"| {name} | {found['seconds_per_image'] * 1e3:.1f} | {faster:.1f} × "
            f"| {found['peak_mib']:.0f} | "
            + (f"{largest['peak_mib']:.0f}" if largest else "–")
            + " | "
            + (f"{largest['peak_mib'] / plain['peak_mib']:.2f} |" if largest else "– |")
        )


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
