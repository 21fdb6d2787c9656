"""Building an artifact's engine where it is to run: ``python3 -m ….trt_rebuild FOLDER``.

It needs nothing but this folder of ours, TensorRT and what lies beside the engine: its source and,
for implicit INT8, its calibration cache.
"""

import argparse
import contextlib
import datetime
import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from .errors import ArtifactError, EdgeDeployError, FileError, UnsupportedError, no_numpy

try:
    from . import (
        cuda_memory,
        trt_api,
        trt_build,
        trt_dialects,
        trt_options,
        trt_progress,
        trt_timing_cache,
    )
    from . import manifest as manifests
    from .cuda_device import Gpu
    from .manifest import SOURCE, Manifest
    from .trt_checks import check_target, command, has_source
    from .trt_options import TrtOptions
except ImportError as error:
    if __name__ != "__main__" or error.name != "numpy":
        raise
    sys.stderr.write(f"error: {no_numpy()}\n")
    sys.exit(no_numpy().exit_code)

_STAGING = ".rebuild"
_LOCK = ".rebuild.lock"
# What was found out about the engine before, and cannot be found out without the toolkit.
_OF_THE_OLD_ENGINE = ("fell_back", "gpu_fallback", "tried")


def rebuild(
    folder: str,
    trt: Any = None,
    *,
    find_gpu: Callable[[], Optional[Gpu]] = cuda_memory.find_gpu,
    progress: Optional[trt_progress.Progress] = None,
) -> Manifest:
    """Build the engine of ``folder`` from its ``source.onnx``, and correct its manifest.

    Of several processes that ask for it at once one builds, and the others wait for it. The engine
    is made beside the old one and the manifest is written last: where this is interrupted, the
    artifact is as before, or no longer verifies and can be rebuilt. ``fell_back``, the quantised
    layers that run in a float type, is dropped: it was told by another engine.

    Args:
        folder: A trt artifact, waiting for its engine or with one for another machine.
        trt: TensorRT's Python package; None takes the first that is installed.
        find_gpu: Returns the GPU that it will build for, or None.
        progress: Called with a phase's name, the steps done and their number, where the library
            reports them.

    Returns:
        What the artifact says of itself now.

    Raises:
        ArtifactError: It is no trt artifact, or what it is built from is missing or was changed.
        BuildError: TensorRT refused the source.
        FileError: The folder cannot be written to.
        MissingDependencyError: There is no TensorRT.
        UnsupportedError: TensorRT cannot build here, or does not read what the source says, or the
            artifact waits for another board.
    """
    before = _buildable(folder)
    with _alone(folder):
        known = _buildable(folder)
        if known.raw != before.raw:
            return known  # another process has built it meanwhile
        found = trt or trt_api.library()
        check_target(folder, known, found.__name__, find_gpu())
        _build(folder, known, found, find_gpu, progress)
    return manifests.read(folder)


def _build(
    folder: str,
    known: Manifest,
    trt: Any,
    find_gpu: Callable[[], Optional[Gpu]],
    progress: Optional[trt_progress.Progress],
) -> None:
    """Build the engine, put it in its place, and write the manifest."""
    options = trt_options.from_json(known.options)
    mode = _int8_mode(trt, known, options)
    sources = _sources(folder, known, mode)
    start_s = time.perf_counter()
    with _staging(folder) as made:
        report = trt_build.build_engine(
            os.path.join(folder, SOURCE),
            os.path.join(made, known.engine),
            precision=known.precision,
            options=options,
            int8_mode=mode,
            cache=os.path.join(folder, trt_build.CACHE) if mode == "implicit" else None,
            timing_cache=trt_timing_cache.chosen_folder(),
            progress=progress,
            trt=trt,
            find_gpu=find_gpu,
        )
        _publish(folder, made, report.files)
    document = _corrected(known.raw, report, time.perf_counter() - start_s)
    document["files"] = [_entry(folder, name) for name in (*report.files, *sources)]
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    trt_build.write(os.path.join(folder, manifests.MANIFEST), text.encode("utf-8"))


def _buildable(folder: str) -> Manifest:
    """Return the manifest of a trt artifact that holds its source.

    Raises:
        ArtifactError: It is none.
    """
    known = manifests.read(folder)
    if known.backend != "trt" or not has_source(known):
        raise ArtifactError(
            f"{folder} is of backend {known.backend!r} and has the files "
            f"{', '.join(info.name for info in known.files)}; trt and {SOURCE} are needed",
            fix=f"build it: {command(known)}",
        )
    return known


def _int8_mode(trt: Any, known: Manifest, options: TrtOptions) -> Optional[str]:
    """Return how the source says INT8.

    Raises:
        UnsupportedError: The library that is here does not read that.
    """
    if known.precision != "int8":
        return None
    modes = trt_dialects.int8_modes(trt_dialects.of(trt), dla=options.dla_core is not None)
    # artifacts of before there were modes have Q/DQ nodes
    mode = known.raw["precision"].get("int8_mode") or ("qdq" if "qdq" in modes else "typed")
    if mode not in modes:
        board = known.runs_on.get("device") or "BOARD"
        raise UnsupportedError(
            f"the {SOURCE} of {known.model} says INT8 as {mode!r}, {trt_api.describe(trt)} reads "
            f"{' and '.join(modes)}",
            fix=f"prepare it for this board, on a workstation: {command(known)} --device {board} "
            "(edgedeploy devices lists them)",
        )
    return str(mode)


def _sources(folder: str, known: Manifest, mode: Optional[str]) -> List[str]:
    """Return the names of the files that the engine is built from, all of them as they were.

    Raises:
        ArtifactError: One is missing, or was changed.
    """
    wanted = [SOURCE] + ([trt_build.CACHE] if mode == "implicit" else [])
    found = tuple(info for info in known.files if info.name in wanted)
    if len(found) < len(wanted):
        raise ArtifactError(
            f"{folder} has no {trt_build.CACHE}, which implicit INT8 is built from",
            fix=f"build it: {command(known)}",
        )
    manifests.verify(folder, known._replace(files=found))
    return wanted


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Wait until no other process rebuilds this artifact; a lock that a killed one held is free."""
    if importlib.util.find_spec("fcntl") is None:  # on Windows a file that is open is locked
        yield
        return
    fcntl = importlib.import_module("fcntl")
    path = os.path.join(folder, _LOCK)
    with contextlib.ExitStack() as closing:
        try:
            file = closing.enter_context(open(path, "w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise FileError(
                f"{path} cannot be locked: {error.strerror}",
                fix="make the artifact's folder writable, or copy it to where it is",
            ) from error
        yield


@contextlib.contextmanager
def _staging(folder: str) -> Iterator[str]:
    """Make a folder beside the engine that is gone afterwards, whatever happens."""
    path = os.path.join(folder, _STAGING)
    shutil.rmtree(path, ignore_errors=True)  # of a build that was killed
    try:
        os.mkdir(path)
    except OSError as error:
        raise FileError(
            f"{path} cannot be made: {error.strerror}",
            fix="free space there, or make the artifact's folder writable",
        ) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _publish(folder: str, made: str, names: Tuple[str, ...]) -> None:
    """Move the files of a build into the artifact; the log of the build before goes."""
    if trt_build.LOG not in names:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, trt_build.LOG))
    for name in names:
        os.replace(os.path.join(made, name), os.path.join(folder, name))


def _corrected(
    document: Dict[str, Any], report: trt_build.BuildReport, seconds: float
) -> Dict[str, Any]:
    """Return a manifest that says what this build made, and keeps the rest."""
    changed = dict(document)
    precision = {
        key: value for key, value in document["precision"].items() if key not in _OF_THE_OLD_ENGINE
    }
    precision["runs"] = report.runs
    if report.int8_mode is not None:
        precision["int8_mode"] = report.int8_mode
    if report.gpu_fallback:
        precision["gpu_fallback"] = list(report.gpu_fallback)
    changed["precision"] = precision
    changed["backend_version"] = report.version
    changed["library"] = report.library
    changed["runs_on"] = report.runs_on
    now = datetime.datetime.now(datetime.timezone.utc)
    built = {"time": now.isoformat(timespec="seconds"), "seconds": round(seconds, 3)}
    changed["built"] = dict(document.get("built") or {}, rebuilt=True, **built)
    return changed


def _entry(folder: str, name: str) -> Dict[str, Any]:
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read()
    return {"name": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def main(arguments: List[str]) -> int:
    """Rebuild the artifacts that are named; return the exit code."""
    parser = argparse.ArgumentParser(description="Build TensorRT artifacts again, on this machine.")
    parser.add_argument("folder", nargs="+", help="a trt artifact with its source.onnx")
    for folder in parser.parse_args(arguments).folder:
        try:
            known = rebuild(folder, progress=_show)
        except EdgeDeployError as error:
            sys.stderr.write(f"error: {folder}: {error}\n")
            return error.exit_code
        library, version = known.runs_on["library"], known.runs_on["library_version"]
        sys.stdout.write(f"{folder}: built by {library} {version}\n")
    return 0


def _show(phase: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{phase}: {done} of {total}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
