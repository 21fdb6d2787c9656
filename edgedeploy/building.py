"""Build stage: a model, a spec and, for INT8, a calibration in; an artifact out."""

from __future__ import annotations

import datetime
import logging
import shlex
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy import advice, artifact, backends, compiling, model_file, readiness
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import (
    ArtifactError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)
from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime import trt_options
from edgedeploy.types import Precision, no_steps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedeploy.advice import Advice
    from edgedeploy.backends.base import Backend
    from edgedeploy.calibration_values import Calibration
    from edgedeploy.devices import Device, JetPack
    from edgedeploy.meters.cpu import Cpu
    from edgedeploy.types import BuildSpec, OnnxModel, Steps

# What `BuildSpec.x86` may be.
X86 = ("any", "vnni")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """Where an artifact lies, and whether it had to be built.

    Attributes:
        folder: The artifact.
        up_to_date: True where nothing was done, because nothing has changed since.
        manifest: What it says of itself.
        advice: What to know before it is deployed.
    """

    folder: Path
    up_to_date: bool
    manifest: manifests.Manifest
    advice: tuple[Advice, ...] = ()


def build(
    model: OnnxModel,
    spec: BuildSpec,
    *,
    out: Path,
    calibration: Calibration | None = None,
    device: Device | None = None,
    release: JetPack | None = None,
    processor: Cpu | None = None,
    command: Sequence[str] = (),
    progress: Steps = no_steps,
) -> BuildResult:
    """Make the artifact of one model for one backend, unless it is there already.

    Args:
        model: What to build.
        spec: For what.
        out: Folder of all artifacts; this one goes to ``out/<model>/<backend>-<precision>``.
        calibration: Ranges of this very model; required for INT8.
        device: The board that it is for; None where that sets no limits.
        release: What the board's JetPack installs; None where nobody knows.
        processor: The CPU that advice is given for; None gives none.
        command: What the user typed, for the manifest.
        progress: Told what the vendor tells of a long build.

    Raises:
        UnsupportedError: The backend, or the board, cannot build this.
        UsageError: INT8 without a calibration; full 8-bit weights asked of what has none.
        BuildError: The vendor's compiler refused the model.
        FileError: ``out`` cannot be written to.
    """
    backend = backends.for_spec(spec)
    if device is not None:
        readiness.check(device, release, spec)
    _check(backend, model, spec, calibration)
    target = artifact.place(out, model.name, spec.backend, spec.precision.value)
    about = _about(model, spec, calibration, backend.version())
    current = _up_to_date(target, about)
    if current is not None and backend.fits(current.runs_on):
        return _result(target, current, processor, up_to_date=True)
    if device is not None and spec.backend == "trt" and spec.target is None:
        for short in readiness.look(device, folder=out, workspace_mb=spec.trt.workspace_mb):
            _log.warning("%s\n  fix: %s", short.problem, short.fix)
    _log.info("%s: %s with %s %s", target, model.path, about["library"], about["backend_version"])
    start_ns = time.perf_counter_ns()
    with artifact.replacing(target) as folder:
        built, found = compiling.compile_fastest(
            backend, model, spec, calibration, folder, progress=progress
        )
        about["precision"] |= found
        about["built"] |= {
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "seconds": round((time.perf_counter_ns() - start_ns) / 1e9, 3),
            "command": list(command),
        }
        artifact.write_manifest(folder, built, about)
    return _result(target, manifests.read(str(target)), processor, up_to_date=False)


def _result(
    target: Path, manifest: manifests.Manifest, processor: Cpu | None, *, up_to_date: bool
) -> BuildResult:
    """Return what was built, with what is known of its use on ``processor``."""
    if processor is None or manifest.waiting:
        return BuildResult(target, up_to_date=up_to_date, manifest=manifest)
    found = target.parent.glob(f"{manifest.backend}-*/{manifests.MANIFEST}")
    siblings = sorted(str(path.parent) for path in found if path.parent != target)
    rows = advice.on_artifact(str(target), manifest, cpu=processor, siblings=siblings)
    return BuildResult(target, up_to_date=up_to_date, manifest=manifest, advice=rows)


def _calibrate_command(model: OnnxModel) -> str:
    """Return the command that calibrates a model, with what its own file does not say."""
    words = ["edgedeploy", "calibrate", str(model.path), "--data", "IMAGES"]
    itself, rule, side = model_file.read(model.path), model.preprocessing, model.side
    if itself.preprocessing is None:
        mean, std = ("MEAN", "STD") if rule is None else map(_numbers, (rule.mean, rule.std))
        words += ["--mean", mean, "--std", std]
    if itself.side is None:
        words += ["--resolution", "R"] if side is None else ["--input-shape", _shape(side)]
    return shlex.join(words)


def _numbers(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _shape(side: tuple[int, int]) -> str:
    return f"3x{side[0]}x{side[1]}"


def _check(
    backend: Backend, model: OnnxModel, spec: BuildSpec, calibration: Calibration | None
) -> None:
    if spec.precision not in backend.precisions():
        able = sorted(p.value for p in backend.precisions())
        raise UnsupportedError(
            f"backend {spec.backend!r} cannot build {spec.precision.value}",
            fix=f"pass {' or '.join('--' + name for name in able)}, or choose another backend",
        )
    if spec.precision is Precision.INT8 and calibration is None:
        raise UsageError(
            f"{model.name} has no calibration, and int8 needs the ranges of its activations",
            fix=f"measure them: {_calibrate_command(model)}",
        )
    if spec.x86 not in X86:
        raise UnknownNameError("kind of x86 CPU", spec.x86, X86)
    forms = [backend.source_form(candidate) for candidate in backend.candidates(spec)]
    if spec.x86 != "any" and forms[0].style is not QdqStyle.U8:
        raise UsageError(
            f"x86 {spec.x86} was asked for, and {spec.backend} {spec.precision.value} does not "
            "multiply uint8 by int8 on a CPU",
            fix="leave --x86 out, or build --int8 for ort or openvino",
        )


def _about(
    model: OnnxModel, spec: BuildSpec, calibration: Calibration | None, version: str
) -> dict[str, Any]:
    variant = model.variant
    options: dict[str, Any] = {"ov_device": spec.ov_device} if spec.backend == "openvino" else {}
    if spec.backend == "trt":
        options = trt_options.to_json(spec.trt)
    used = calibration if spec.precision is Precision.INT8 else None
    return {
        "model": model.name,
        "model_sha256": model.sha256,
        "calibration_sha256": used and used.sha256,
        "variant": variant
        and {
            "family": variant.family.value,
            "alpha": variant.alpha,
            "resolution": variant.resolution,
            "rho": round(variant.rho(model.base_resolution), 4),
            "base_resolution": model.base_resolution,
        },
        "backend": spec.backend,
        "backend_version": version,
        "library": "tensorrt" if spec.target else backends.package(spec.backend),
        "target": spec.target and asdict(spec.target),
        "precision": {"asked": spec.precision.value, "runs": {}},
        "inputs": [_tensor(model.input)],
        "outputs": [_tensor(model.output)],
        "softmax": model.softmax,
        "preprocessing": manifests.format_preprocessing(model.preprocessing),
        "labels": model.labels and list(model.labels),
        "needs": {} if spec.x86 == "any" else {"x86": spec.x86},
        "options": options,
        "built": {"edgedeploy": _own_version()},
    }


def _tensor(spec: Any) -> dict[str, Any]:
    return {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype}


def _own_version() -> str:
    from edgedeploy import __version__

    return str(__version__)


def _up_to_date(target: Path, about: dict[str, Any]) -> manifests.Manifest | None:
    """Return the manifest that is there if it was built from the same inputs and is whole."""
    try:
        current = manifests.read(str(target))
        manifests.verify(str(target), current)
    except ArtifactError:
        return None
    same = all(_input(key, current.raw.get(key)) == _input(key, about[key]) for key in about)
    return current if same else None


def _input(key: str, value: Any) -> object:
    """Return the part of a manifest's entry that goes into a build; the rest comes out of it."""
    part = {"precision": "asked", "built": "edgedeploy"}.get(key)
    return value if part is None else dict(value or {}).get(part)
