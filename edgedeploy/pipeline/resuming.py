"""Going on with a sweep: which artifacts are measured already, the way they would be now."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import edgedeploy
from edgedeploy.errors import ArtifactError, FileError
from edgedeploy.profiling import records, worker_process
from edgedeploy.profiling.measuring import THIS_MACHINE
from edgedeploy.runtime import manifest as manifests
from edgedeploy.worker import plans
from edgedeploy.worker.jobs import ProfileJob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgedeploy.profiling.measuring import ProfileSpec
    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.profiling.remote import Board
    from edgedeploy.runtime.manifest import Manifest

_PACKAGES = {"ort": "onnxruntime", "openvino": "openvino"}
_ANY_DEVICE = "AUTO"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Measured:
    """A profile that an earlier sweep left.

    Attributes:
        path: Where it lies.
        record: What it says.
    """

    path: Path
    record: ProfileRecord

    @property
    def shown(self) -> ProfileRecord:
        """The record, marked as not of this sweep: ``"resumed": true``."""
        return replace(self.record, document={**self.record.document, "resumed": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where would be measured now, as its own Python says.

    Attributes:
        board: ``name``, ``model`` and ``power_mode`` of the device, as profiles have them.
        python: Version of the Python that measures.
        cores: Physical cores that it may use.
        libraries: By package, its name and version as profiles have it; None if it does not load.
        gpu: Name of the GPU that TensorRT would take; None where that was not asked.
    """

    board: Mapping[str, Any]
    python: str
    cores: int
    libraries: Mapping[str, str | None]
    gpu: str | None = None


def find_measured(
    artifacts: Sequence[Path],
    spec: ProfileSpec,
    *,
    out: Path,
    board: Board | None = None,
    power_mode: str | None = None,
) -> dict[Path, Measured]:
    """Return those of ``artifacts`` that need not be measured again, each with its newest profile.

    If ``out`` holds a profile of one of them, a worker is started once where they are measured, to
    say what that place is. A damaged profile is told and does not count.

    Args:
        artifacts: The sweep's.
        spec: How it measures.
        out: Folder of its profiles.
        board: Where, see `pipeline.reach`; None: on this machine.
        power_mode: Name of the mode that was set there; None: what the worker says.

    Raises:
        EdgeDeployError: The worker does not start there.
    """
    kept = _kept(out)
    known = {folder: about for folder in artifacts if (about := _manifest(folder)) is not None}
    there = {found.record.document["artifact"]["sha256"] for found in kept}
    hopeful = [about for about in known.values() if about.sha256 in there]
    if not hopeful:
        return {}
    place = look({package(about) for about in hopeful}, spec, board)
    if power_mode is not None:
        place = replace(place, board={**place.board, "power_mode": power_mode})
    done = {}
    for folder, about in known.items():
        for found in kept:
            if found.record.document["artifact"]["sha256"] != about.sha256:
                continue
            if differs := differences(found.record, about, spec, place):
                _log.info("%s does not count for %s: %s", found.path, folder, "; ".join(differs))
            else:
                done[folder] = found  # the last one is the newest
    return done


def look(packages: set[str], spec: ProfileSpec, board: Board | None) -> Place:
    """Ask a worker where it is.

    Args:
        packages: Libraries whose versions count.
        spec: Says which Python.
        board: Where; None: on this machine.

    Raises:
        EdgeDeployError: The worker does not start there.
    """
    job = {"job": "probe", "libraries": sorted(packages)}
    if board is None:
        told = worker_process.run(job, python=spec.python, timeout_s=spec.timeout_s)
    else:
        told = board.run(job, timeout_s=spec.timeout_s)
    return Place(
        board=told["board"],
        python=told["environment"]["python"],
        cores=told["cores"],
        libraries=told["libraries"],
        gpu=told["gpu"],
    )


def differences(
    record: ProfileRecord, manifest: Manifest, spec: ProfileSpec, place: Place
) -> list[str]:
    """Say in what a profile is not what would be measured now; empty if it is the same.

    Args:
        record: The profile.
        manifest: Of the artifact that would be measured.
        spec: How.
        place: Where.
    """
    found = _found(record)
    told = [
        f"{name} is {found[name]!r}, now it is {value!r}"
        for name, value in _wanted(manifest, spec, place).items()
        if found[name] != value
    ]
    if record.level == "invalid":
        told.append("its verdict is invalid")
    if spec.layers and "layers_runs" not in record.document:
        told.append("it was measured without --layers")
    return told


def _wanted(manifest: Manifest, spec: ProfileSpec, place: Place) -> dict[str, Any]:
    """Return what a profile would say if it were measured now, as far as that is known before."""
    device = _engine_device(manifest, spec, place)
    height, width = manifest.input.shape[2:]
    wanted = {
        "artifact": manifest.sha256,
        "model": manifest.model,
        "precision": manifest.precision,
        "scenario": spec.scenario,
        "scenario_options": spec.options(),
        "side": spec.side or (None if height is None or width is None else (height, width)),
        "threads": _threads(spec, place) if device == "CPU" else None,
        "device": place.board["name"] if spec.device in THIS_MACHINE else spec.device,
        "device.model": place.board["model"],
        "power mode": place.board["power_mode"],
        "edgedeploy": edgedeploy.__version__,
        "backend": place.libraries[package(manifest)],
        "engine device": device,
        "python": place.python,
        "source": None,
        "ab": None,
    }
    if device == _ANY_DEVICE:  # nobody knows before what OpenVINO takes
        del wanted["engine device"]
    return wanted


def _found(record: ProfileRecord) -> dict[str, Any]:
    """Return what a profile says, by the names of `_wanted`."""
    document = record.document
    device, environment = document["device"], document["environment"]
    ran_on = environment.get("engine_device")
    return {
        "artifact": document["artifact"]["sha256"],
        "model": record.model,
        "precision": record.key.precision,
        "scenario": document["scenario"],
        "scenario_options": document.get("scenario_options"),
        "side": record.key.side,
        "threads": document.get("threads"),
        "device": device["name"],
        "device.model": device["model"],
        "power mode": device.get("power_mode"),
        "edgedeploy": environment.get("edgedeploy"),
        "backend": environment.get("backend"),
        "engine device": _family(record.key.backend, ran_on if isinstance(ran_on, str) else None),
        "python": environment.get("python"),
        "source": record.source,
        "ab": document.get("ab"),
    }


def _threads(spec: ProfileSpec, place: Place) -> int:
    """Return the CPU threads of one stream."""
    streams = spec.options().get("streams", 1)
    job = ProfileJob(artifact="", threads=spec.threads, streams=streams)
    return plans.threads(job, lambda: place.cores) or place.cores


def _engine_device(manifest: Manifest, spec: ProfileSpec, place: Place) -> str | None:
    """Return what an artifact would run on, as its profile would say it."""
    if manifest.backend == "trt":
        return place.gpu
    named = spec.engine_device or manifest.options.get("ov_device") or "CPU"
    return _family(manifest.backend, str(named).upper())


def _family(backend: str, device: str | None) -> str | None:
    """Return ``"GPU"`` for OpenVINO's ``"GPU.0"``: asked for the one it says the other."""
    return device if device is None or backend != "openvino" else device.partition(".")[0]


def package(manifest: Manifest) -> str:
    """Return the package that runs an artifact."""
    return _PACKAGES.get(manifest.backend) or str(manifest.runs_on.get("library"))


def _manifest(folder: Path) -> Manifest | None:
    """Return what an artifact says of itself; None if it is damaged, which measuring it tells."""
    try:
        return manifests.read(str(folder))
    except ArtifactError:
        return None


def _kept(out: Path) -> list[Measured]:
    """Return the profiles of a folder, oldest first; a damaged one is told."""
    found = []
    for path in sorted(out.glob("*.json")):
        try:
            found.append(Measured(path, records.read(path)))
        except FileError as error:
            _log.warning("does not count as measured: %s", error.problem)  # which names the path
    return sorted(found, key=lambda each: each.record.created)
