"""Where the stages meet: each command's work, and the sweep over models × backends × precisions."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import artifact, building, devices, evaluating, model_file, trial
from edgedeploy.calibration import files as calibrations
from edgedeploy.errors import (
    ArtifactError,
    EdgeDeployError,
    FileError,
    MissingDependencyError,
    UnsupportedError,
    UsageError,
)
from edgedeploy.files import write_atomically
from edgedeploy.meters import cpu
from edgedeploy.profiling import accuracy, records
from edgedeploy.profiling import measuring as profiling
from edgedeploy.reporting import markdown, table
from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime.runtime import Runtime
from edgedeploy.trtexec import log as trtexec_log
from edgedeploy.trtexec import records as trtexec_records
from edgedeploy.trtexec import times as trtexec_times
from edgedeploy.types import (
    BuildSpec,
    Precision,
    QdqStyle,
    Target,
    correction_style,
    no_steps,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edgedeploy.devices import Device, JetPack
    from edgedeploy.evaluating import Evaluation
    from edgedeploy.images import ImageSet
    from edgedeploy.labelling import ClassOffset
    from edgedeploy.model_file import ModelHints
    from edgedeploy.profiling.measuring import ProfileSpec
    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.types import Calibration, OnnxModel, Steps

_log = logging.getLogger(__name__)

# An artifact that is whole, but not for this machine: a sweep goes on without it.
NOT_HERE = (UnsupportedError, MissingDependencyError)
MODELS, CALIBRATIONS = Path("models"), Path("calib")
SHIPPED_ACCURACY = MODELS / "accuracy.json"
ARTIFACTS, PROFILES = Path("build"), Path("profiles")


@dataclass(frozen=True, slots=True)
class FloatCost:
    """What layers left in float cost in speed, in one Q/DQ style.

    Attributes:
        slowdown: How many times as long a picture takes as with every layer in INT8, in ONNX
            Runtime on this CPU; None with a reason.
        reason: Why it was not measured.
    """

    slowdown: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with one of several things; the others went on.

    Attributes:
        subject: What was being made, e.g. ``"mobilenet_v1_0.25_112 for trt int8"``.
        error: Why it was not.
    """

    subject: str
    error: EdgeDeployError


def find_models(paths: Sequence[Path]) -> list[Path]:
    """Return the models asked for; without any, all of ``./models``; a folder stands for its own.

    Raises:
        FileError: There is none.
    """
    found: list[Path] = []
    for path in paths or [MODELS]:
        found += sorted(path.glob("*.onnx")) if path.is_dir() else [path]
    if not found:
        where = ", ".join(str(path) for path in paths or [MODELS])
        raise FileError(
            f"there is no .onnx model in {where}",
            fix="export one: edgedeploy export mobilenet_v1 --alpha 0.25 --resolution 224 "
            "--weights FILE --preset keras",
        )
    return found


def calibrate(
    path: Path,
    images: ImageSet,
    *,
    hints: ModelHints,
    method: str,
    out: Path,
    without: Sequence[str] = (),
    max_drop: float | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Path, Calibration, bool]:
    """Measure one model's ranges on ``images`` and write ``out/<model>.json``.

    Args:
        path: The model.
        images: Pictures.
        hints: What the model's file does not say.
        method: Of choosing ranges.
        out: Folder to write to.
        without: Steps of the recipe to leave out.
        max_drop: How many points INT8 may lose; see `edgedeploy.calibration.measuring.measure`.
        threads: Of ONNX Runtime; None leaves it the choice.
        progress: Called with (units done, units in all).

    Returns:
        The file, what it holds, and whether it was there already, of the same inputs.

    Raises:
        UsageError: The model's size or preprocessing is not known, or the budget is no share.
        UnknownNameError: There is no such method or step.
    """
    from edgedeploy.calibration import measuring as calibrating  # imports ONNX Runtime
    from edgedeploy.calibration import recipe

    left_out = recipe.check_steps(without)
    steps = tuple(step for step in recipe.STEPS if step not in left_out)
    model = model_file.read(path, hints)
    if model.side is None:
        raise UsageError(
            f"{model.name} takes images of any size, and calibration needs one",
            fix="pass --resolution R or --input-shape CxHxW",
        )
    if model.preprocessing is None:
        raise UsageError(
            f"{model.name} does not say how its images are preprocessed",
            fix="pass --mean and --std in 0-255 units, e.g. --mean 127.5 --std 127.5",
        )
    target = out / f"{model.name}.json"
    current = _current(target)
    if current is not None and calibrating.is_current(
        current,
        model,
        images,
        method=method,
        steps=steps,
        max_drop=max_drop,
        side=model.side,
        preprocessing=model.preprocessing,
    ):
        return target, current, True
    calibration = calibrating.measure(
        model,
        images,
        method=method,
        steps=steps,
        max_drop=max_drop,
        side=model.side,
        preprocessing=model.preprocessing,
        threads=threads,
        progress=progress,
    )
    calibrations.write(calibration, target)
    return target, calibration, False


def float_costs(
    path: Path, calibration: Calibration, *, hints: ModelHints, threads: int | None = None
) -> dict[str, FloatCost]:
    """Time a model here with the layers that its budget left in float, and with all in INT8.

    Returns:
        By style of the budget; a time only where ONNX Runtime runs that style as it is meant.
    """
    costs = {}
    for style, spending in sorted(calibration.spending.items()):
        reason = _why_not_timed(style, spending.left_float)
        slowdown = None if reason else _slowdown(path, calibration, style, hints, threads)
        costs[style] = FloatCost(slowdown, reason)
    return costs


def _why_not_timed(style: str, left_float: Sequence[str]) -> str | None:
    if not left_float:
        return "no layer stays in float"
    if style == correction_style(QdqStyle.S8, "any"):
        return "the style s8 is TensorRT's, which runs on NVIDIA GPUs only"
    if style == correction_style(QdqStyle.U8, "vnni") and not cpu.read().multiplies_bytes_exactly:
        return "this CPU has no VNNI, which these weights are for"
    return None


def _slowdown(
    path: Path, calibration: Calibration, style: str, hints: ModelHints, threads: int | None
) -> float:
    model = model_file.with_side(model_file.read(path, hints), calibration.side, source=str(path))
    x86 = next(kind for kind in building.X86 if correction_style(QdqStyle.U8, kind) == style)
    spec = BuildSpec(backend="ort", precision=Precision.INT8, x86=x86)
    with tempfile.TemporaryDirectory() as folder:
        built = [
            building.build(model, spec, out=Path(folder, name), calibration=found).folder
            for name, found in (
                ("mixed", calibration),
                ("whole", replace(calibration, spending={})),
            )
        ]
        return trial.slowdown(built[0], built[1], side=calibration.side, threads=threads)


def _current(path: Path) -> Calibration | None:
    """Return the calibration that is there; one that cannot be read is written anew."""
    try:
        return calibrations.read(path)
    except FileError:
        return None


def build_all(
    paths: Sequence[Path],
    specs: Sequence[BuildSpec],
    *,
    hints: ModelHints,
    calib: Path | None = None,
    out: Path = ARTIFACTS,
    keep_going: bool = False,
    command: Sequence[str] = (),
    progress: Callable[[str], Steps] = lambda subject: no_steps,
) -> Iterator[building.BuildResult | Failure]:
    """Build every model for every spec, one by one, yielding each as it is done.

    Args:
        paths: Models; see `find_models`.
        specs: Backends and precisions.
        hints: What the models' files do not say.
        calib: Calibration to use; by default ``calib/<model>.json``.
        out: Folder of the artifacts; those for another board go to a folder of its name in it.
        keep_going: Yield a `Failure` and go on, instead of raising.
        command: What the user typed, for the manifests.
        progress: Called with what is built; returns what is told how far that is.

    Raises:
        EdgeDeployError: One could not be built, and ``keep_going`` is off.
    """
    processor = cpu.read()
    for path in paths:
        for spec in specs:
            subject = f"{path.stem} for {spec.backend} {spec.precision.value}"
            try:
                board, release = _board(spec)
                model = model_file.read(path, hints)
                model, calibration = _calibrated(model, spec, calib)
                yield building.build(
                    model,
                    spec,
                    out=out if spec.target is None else out / board.name,
                    calibration=calibration,
                    device=board,
                    release=release,
                    processor=processor,
                    command=command,
                    progress=progress(subject),
                )
            except EdgeDeployError as error:
                if not keep_going:
                    raise
                yield Failure(subject, error)


def _board(spec: BuildSpec) -> tuple[Device, JetPack | None]:
    """Return the board that a spec is for, and what its JetPack installs."""
    if spec.target is not None:
        board = devices.find(spec.target.device)
        return board, devices.release(board, spec.target.jetpack)
    here = devices.here()
    cores = devices.dla_cores(here.device, here.facts.module)
    return replace(here.device, dla_cores=cores), devices.release_here(here.facts)


def find_target(device: str | None, jetpack: str | None = None) -> Target | None:
    """Return the board to prepare for; None where that is this machine.

    Args:
        device: Its name in the board table; None is this machine.
        jetpack: The release on it; None is the newest that it has.

    Raises:
        UnknownNameError: There is no such board.
        UnsupportedError: It has no TensorRT.
        UsageError: It has no such JetPack, or a JetPack is given without a board.
    """
    if device is None:
        if jetpack is not None:
            raise UsageError(
                f"--jetpack {jetpack} is given without a board",
                fix="add --device, e.g. --device jetson-orin-nano",
            )
        return None
    board = devices.find(device)
    if board.name == devices.here().device.name or board.compute_capability is None:
        return None
    release = devices.release(board, jetpack)
    return Target(
        device=board.name,
        jetpack=release.jetpack,
        tensorrt=release.tensorrt,
        compute_capability=board.compute_capability,
    )


def _calibrated(
    model: OnnxModel, spec: BuildSpec, calib: Path | None
) -> tuple[OnnxModel, Calibration | None]:
    """Find the model's calibration; it also knows a foreign model's size and preprocessing."""
    path = calib or CALIBRATIONS / f"{model.name}.json"
    if not path.is_file():
        if calib is not None:
            raise FileError(f"there is no {calib}", fix="pass a file that calibrate wrote")
        return model, None
    calibration = calibrations.read(path)
    _log.info("%s: calibration %s, %d images", model.name, path, calibration.data_count)
    foreign = calibration.model_sha256 != model.sha256
    if foreign and calib is None and spec.precision is not Precision.INT8:
        return model, None
    calibrations.check(calibration, model)
    model = model_file.with_side(model, calibration.side, source=str(path))
    if model.preprocessing is None:
        model = replace(model, preprocessing=calibration.preprocessing)
    elif model.preprocessing != calibration.preprocessing:
        raise UsageError(
            f"{model.name} is preprocessed as {model.preprocessing}, "
            f"{path} was measured with {calibration.preprocessing}",
            fix=f"calibrate again, or pass the same --mean and --std: {path}",
        )
    return model, calibration


def read_labels(path: Path) -> tuple[str, ...]:
    """Read class names: a JSON list, or one name a line.

    Raises:
        FileError: The file is missing, empty, or no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
        names = json.loads(text) if text.lstrip().startswith("[") else text.splitlines()
    except (OSError, ValueError) as error:
        raise FileError(
            f"{path} holds no labels: {error}", fix="write one class name a line, or a JSON list"
        ) from error
    if text.lstrip().startswith("{"):
        raise FileError(
            f"{path} holds a JSON object", fix="write a JSON list of names, in the order of classes"
        )
    if not names:
        raise FileError(f"{path} is empty", fix="write one class name a line, or a JSON list")
    return tuple(str(name).strip() for name in names)


def sweep_code(failures: Sequence[Failure]) -> int:
    """Return a sweep's exit code: 0 if all that failed is not meant for this machine."""
    return next((f.error.exit_code for f in failures if not isinstance(f.error, NOT_HERE)), 0)


def find_artifacts(paths: Sequence[Path]) -> list[Path]:
    """Return the artifacts among and below ``paths``; without any, all of ``./build``.

    Those that wait for another board are left out where they were not named themselves.

    Raises:
        FileError: There is none, or none that has an engine.
    """
    found = artifact.find(list(paths) or [ARTIFACTS])
    waiting = {folder: board for folder in found if (board := _waits_for(folder)) is not None}
    kept = [folder for folder in found if folder not in waiting or folder in paths]
    for folder in found:
        if folder not in kept:
            _log.info("%s waits for %s, and is left out", folder, waiting[folder])
    if not kept:
        raise FileError(
            f"{found[0]} waits for {waiting[found[0]]} to build its engine, and so do all others",
            fix="copy it to that board (docs/jetson.md), or build for this machine: leave --device "
            "out",
        )
    return kept


def _waits_for(folder: Path) -> str | None:
    """Return the board that is to build an artifact's engine; None if it has one, or is damaged."""
    try:
        manifest = manifests.read(str(folder))
    except ArtifactError:
        return None
    return str(manifest.runs_on.get("device")) if manifest.waiting else None


def is_sweep(paths: Sequence[Path]) -> bool:
    """Return whether folders are to be searched, so that what does not run here is skipped."""
    return not any((path / manifests.MANIFEST).is_file() for path in paths)


def evaluate(
    folders: Sequence[Path],
    images: ImageSet,
    *,
    class_offset: ClassOffset,
    hints: ModelHints,
    threads: int | None = None,
    skip: Callable[[Failure], None] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[tuple[Path, Evaluation]]:
    """Evaluate artifacts on the same pictures, and keep each result beside its engine.

    Agreement is with the model's FP32 artifact, also where only its neighbours are asked for.

    Args:
        folders: Artifacts.
        images: Pictures.
        class_offset: See `evaluating.evaluate_all`.
        hints: Preprocessing and labels that the artifacts do not say.
        threads: CPU threads.
        skip: Called with what cannot be evaluated; the rest goes on. None: raise instead.
        progress: Called with (pictures done, pictures in all); each is decoded once.
    """
    known = {folder.resolve() for folder in folders}
    neighbours = {
        fp32: None  # a dict keeps the order
        for folder in folders
        for fp32 in sorted(folder.resolve().parent.glob("*-fp32"))
        if fp32 not in known
    }
    with contextlib.ExitStack() as stack:
        runtimes: dict[str, Runtime] = {}
        # an FP32 neighbour that does not run here is no reference; the result says that none was
        for folder, told in [*((f, skip) for f in folders), *((f, _quiet) for f in neighbours)]:
            try:
                runtime = Runtime.load(
                    str(folder),
                    threads=threads,
                    preprocessing=hints.preprocessing,
                    labels=hints.labels,
                )
                stack.enter_context(runtime)
                evaluating.check(runtime, images, class_offset=class_offset)
            except EdgeDeployError as error:
                if told is None:
                    raise
                told(Failure(str(folder), error))
            else:
                runtimes[str(folder)] = runtime
        asked = [folder for folder in folders if str(folder) in runtimes]
        if not asked:
            return []
        found = evaluating.evaluate_all(
            runtimes, images, class_offset=class_offset, progress=progress
        )
    for folder in asked:
        evaluating.write(found[str(folder)], folder)
    return [(folder, found[str(folder)]) for folder in asked]


def _quiet(failure: Failure) -> None:
    """Say nothing."""


def profile(
    folder: Path,
    spec: ProfileSpec,
    *,
    out: Path,
    progress: Callable[[str, float, float], None] = lambda phase, done_s, total_s: None,
) -> tuple[Path, ProfileRecord]:
    """Measure one artifact in a process of its own, and keep the record in ``out``.

    Raises:
        UnsupportedError: The artifact does not run on this machine, or it is not the board asked
            for.
        MeasurementError: The worker died or got stuck.
    """
    record = profiling.profile(folder, spec, shipped_accuracy=SHIPPED_ACCURACY, progress=progress)
    return records.write(record, out), record


def import_trtexec(
    folder: Path, log: Path, times: Path | None, *, device: str | None, out: Path
) -> tuple[Path, ProfileRecord]:
    """Keep what trtexec measured of an artifact as a profile in ``out``.

    Args:
        folder: The artifact.
        log: What trtexec printed.
        times: What it exported; None: nothing.
        device: Where it ran; None: the board that the artifact waits for.
        out: Folder of the profiles.

    Raises:
        ArtifactError: The log is not of this artifact.
        FileError: The log or the times are damaged, or not of one run.
        MeasurementError: trtexec failed.
        UsageError: Nobody says where it ran.
    """
    manifest = manifests.read(str(folder))
    name = device or manifest.runs_on.get("device")
    if name is None:
        raise UsageError(
            f"{folder} does not say where it was measured",
            fix="pass --device, a board's name or local; edgedeploy devices lists them",
        )
    run = trtexec_log.read(log)
    document = trtexec_records.document(
        run,
        None if times is None else trtexec_times.read(times),
        manifest,
        folder=folder,
        device=devices.find(str(name)),
        known=accuracy.find(folder, manifest, SHIPPED_ACCURACY),
    )
    finished_s = trtexec_records.finished_s(run)
    when_s = time.time() if finished_s is None else finished_s  # noqa: TID251 -- a date
    head = {"schema": records.SCHEMA, "created": records.timestamp(when_s)}
    record = records.parse({**head, **document}, name=str(log))
    return records.write(record, out), record


def read_profiles(paths: Sequence[Path]) -> list[ProfileRecord]:
    """Read the profiles asked for; without any, all of ``./profiles``.

    An artifact that was evaluated after it was measured brings its accuracy along, if it is still
    in ``./build``.

    Raises:
        FileError: There is none, or one is damaged.
    """
    found: list[Path] = []
    for path in paths or [PROFILES]:
        found += sorted(path.glob("*.json")) if path.is_dir() or not paths else [path]
    if not found:
        where = ", ".join(str(path) for path in paths or [PROFILES])
        raise FileError(f"there is no profile in {where}", fix="measure: edgedeploy profile")
    accuracies = _accuracies()
    return [_with_accuracy(records.read(path), accuracies) for path in found]


def _accuracies() -> dict[str, dict[str, Any]]:
    """Return what is known now of the artifacts in ``./build``, by their SHA-256."""
    known = {}
    folders = artifact.find([ARTIFACTS]) if any(ARTIFACTS.glob("*/*/manifest.json")) else []
    for folder in folders:
        about = manifests.read(str(folder))
        found = accuracy.find(folder, about, SHIPPED_ACCURACY)
        if found is not None:
            known[about.sha256] = found
    return known


def _with_accuracy(
    record: ProfileRecord, accuracies: Mapping[str, dict[str, Any]]
) -> ProfileRecord:
    found = accuracies.get(record.document["artifact"]["sha256"])
    if found is None:
        return record
    return replace(record, document={**record.document, "accuracy": found})


def write_report(measured: Sequence[ProfileRecord], path: Path) -> None:
    """Write the table of all variants as Markdown.

    Raises:
        UsageError: The file name does not end in ``.md``.
        FileError: It cannot be written.
    """
    if path.suffix != ".md":
        raise UsageError(
            f"a report is written as Markdown, and {path} does not end in .md",
            fix="pass -o report.md",
        )
    write_atomically(path, markdown.render(table.rows(measured)).encode())
