"""How long INT8 takes: to calibrate, and to infer, beside ONNX Runtime's and NNCF's own.

    python benchmarks/int8_speed.py recipe MODEL… IMAGES [--peers-python PYTHON]
    python benchmarks/int8_speed.py latency MODEL… IMAGES [--peers-python PYTHON]

`recipe` quantises every MODEL with the same pictures (i%5<2 of the sorted images), each contender
in a process of its own, with all the cores it finds. Imports are not counted. Ours begins with
picture files and writes a calibration; the two artifacts built from it are timed apart. The
others begin with tensors that are ready, and write one model.

`latency` compares INT8 on openvino with NNCF's IR of the same model, and on ort with ONNX
Runtime's own static quantisation, in sessions of the same options: batch 1, the same threads, the
same input. Rounds of ours and theirs alternate; the ratio is the median over the rounds, with its
95 % interval. Below 1, ours is faster. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers import making
from peers.duel import Duel, fight
from peers.inputs import CALIBRATE, HINTS, hints, read, tensors

from edgedeploy import pipeline
from edgedeploy.calibration import measuring
from edgedeploy.images import open_images
from edgedeploy.meters import cpu
from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime import openvino, ort
from edgedeploy.runtime.cpu import physical_cores
from edgedeploy.types import BuildSpec, Precision

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.runtime.session import Session
    from edgedeploy.types import OnnxModel

_VENDORS: dict[str, Any] = {"ort": ort, "openvino": openvino}
_RUNS_ON = {"ort": "ort", "nncf": "openvino"}
_OPPONENTS = [peer for peer in making.PEERS if peer.name in ("ORT u8", "NNCF default")]


def main() -> None:
    """Print one table, and with --json write its numbers."""
    options = _options()
    processor, load = cpu.read(), cpu.load_average()
    print(f"{processor.model}, {physical_cores()} cores, load {load} before\n")
    rows = list((_recipes if options.what == "recipe" else _latencies)(options))
    if options.json:
        document = {"cpu": processor.model, "load_average": load, options.what: rows}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


def _recipes(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Time each contender on each model; print a line as each is done."""
    print("| model | contender | seconds | of them calibrating | peak RSS MB |")
    print("|---|---|---:|---:|---:|")
    for path in options.models:
        model = read(path)
        for contender, done in _quantised(model, options):
            if isinstance(done, making.NotMeasuredError):
                print(f"| {model.name} | {contender} | not measured: {done.problem} | | |")
                continue
            calibrating = done.get("calibrate_s", done["seconds"])
            print(
                f"| {model.name} | {contender} | {done['seconds']:.1f} | {calibrating:.1f} "
                f"| {done['peak_rss_bytes'] / 1e6:.0f} |",
                flush=True,
            )
            yield {"model": model.name, "contender": contender, **done}


def _quantised(
    model: OnnxModel, options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Any] | making.NotMeasuredError]]:
    """Yield each contender with what its process says, or why it says nothing; ours first."""
    rule = model.preprocessing or HINTS.preprocessing
    with tempfile.TemporaryDirectory() as out:
        told = {
            "kind": "edgedeploy",
            "model": str(model.path.resolve()),
            "images": str(options.images.resolve()),
            "rule": CALIBRATE,
            "mean": rule and rule.mean,
            "std": rule and rule.std,
            "out": out,
        }
        yield "edgedeploy", making.run_job(told, python=sys.executable)
    ready = tensors(model, open_images(options.images).every(CALIBRATE), options.cache)
    for peer in _OPPONENTS:
        with tempfile.TemporaryDirectory() as out:
            told = making.job(peer, model, ready, Path(out))
            try:
                yield peer.name, making.run_job(told, python=_python(peer, options))
            except making.NotMeasuredError as error:
                yield peer.name, error


def _latencies(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Let ours and theirs run in turns on each model; print a line as each is done."""
    print("| model | backend | against | ours ms | theirs ms | ours / theirs [95 %] | spread |")
    print("|---|---|---|---:|---:|---:|---:|")
    for path in options.models:
        model = read(path)
        for backend, opponent, found in _duels(model, options):
            if isinstance(found, making.NotMeasuredError):
                why = f"not measured: {found.problem}"
                print(f"| {model.name} | {backend} | {opponent} | {why} | | | |")
                continue
            low, high = found.ratio_ci95
            print(
                f"| {model.name} | {backend} | {opponent} | {found.ours_ms:.3f} "
                f"| {found.theirs_ms:.3f} | {found.ratio:.3f} [{low:.3f}, {high:.3f}] "
                f"| {found.ratio_spread:.1%} |",
                flush=True,
            )
            about = {"model": model.name, "backend": backend, "opponent": opponent}
            yield {**about, "threads": options.threads, **asdict(found)}


def _duels(
    model: OnnxModel, options: argparse.Namespace
) -> Iterator[tuple[str, str, Duel | making.NotMeasuredError]]:
    images = open_images(options.images).every(CALIBRATE)
    ready = tensors(model, images, options.cache)
    picture = next(ready.batches())
    with tempfile.TemporaryDirectory() as scratch:
        folders = _built(model, options, Path(scratch))
        for peer in _OPPONENTS:
            backend = _RUNS_ON[peer.kind]
            python = _python(peer, options)
            try:
                made = making.make(peer, model, ready, python=python, cache=options.cache)
            except making.NotMeasuredError as error:
                yield backend, peer.name, error
                continue
            ours = _session(folders[backend], folders[backend], options.threads).bind(picture)
            theirs = _session(made.path.parent, folders[backend], options.threads).bind(picture)
            found = fight(ours, theirs, rounds=options.rounds, round_s=options.round_s)
            yield backend, peer.name, found


def _built(model: OnnxModel, options: argparse.Namespace, out: Path) -> dict[str, Path]:
    """Calibrate and build for both backends; return the artifacts by backend."""
    known = hints(model.path)
    images = open_images(options.images).every(CALIBRATE)
    calib = pipeline.calibrate(
        model.path, images, hints=known, method=measuring.DEFAULT_METHOD, out=out
    )[0]
    specs = [BuildSpec(backend=name, precision=Precision.INT8) for name in _VENDORS]
    list(pipeline.build_all([model.path], specs, hints=known, calib=calib, out=out))
    return {name: out / model.name / f"{name}-int8" for name in _VENDORS}


def _session(folder: Path, like: Path, threads: int) -> Session:
    """Open the engine in ``folder`` as the Runtime opens the artifact ``like``."""
    about = manifests.read(str(like))
    session: Session = _VENDORS[about.backend].load(str(folder), about, threads)
    return session


def _python(peer: making.Contender, options: argparse.Namespace) -> str:
    return str(options.peers_python if peer.kind == "nncf" else sys.executable)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("recipe", "latency"))
    parser.add_argument("models", type=Path, nargs="+", help="float ONNX files")
    parser.add_argument("images", type=Path, help="pictures, a folder or a zip")
    parser.add_argument(
        "--peers-python", default=sys.executable, help="interpreter that NNCF is installed for"
    )
    parser.add_argument("--cache", type=Path, default=Path("build/int8_peers"))
    parser.add_argument("--threads", type=int, default=physical_cores(), help="of the latencies")
    parser.add_argument("--rounds", type=int, default=40, help="of each duel")
    parser.add_argument("--round-s", type=float, default=0.5, help="seconds for each in a round")
    parser.add_argument("--json", type=Path, help="write all numbers there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
