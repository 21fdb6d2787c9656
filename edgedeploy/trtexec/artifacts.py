"""What an artifact tells of itself that trtexec must be told: its TensorRT, its types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy import devices
from edgedeploy.errors import ArtifactError, UnsupportedError, UsageError
from edgedeploy.runtime import trt_build, trt_dialects, trt_options
from edgedeploy.source_forms import trt_form
from edgedeploy.trtexec.flags import numbers
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from edgedeploy.runtime.manifest import Manifest
    from edgedeploy.runtime.trt_dialects import Dialect

PRECISIONS = {
    Precision.FP32.value: "FP32",
    Precision.FP16.value: "FP32+FP16",
    Precision.INT8.value: "FP32+FP16+INT8",
}
"""What TensorRT builds, and what trtexec calls it where types are said by flags."""


def version_for(manifest: Manifest, tensorrt: str | None = None, device: str | None = None) -> str:
    """Return the version of TensorRT whose trtexec is meant.

    Args:
        manifest: Of the artifact: the version that it waits for, or was built by, unless
            something else is named.
        tensorrt: A version, e.g. ``"8.2.1"``.
        device: A board; the version of its newest JetPack.

    Raises:
        UsageError: Both are given, or it is no version.
        UnknownNameError: There is no such board.
        UnsupportedError: The artifact is not TensorRT's, or the board has no TensorRT.
    """
    _check_library(manifest)
    if tensorrt is not None and device is not None:
        raise UsageError(
            f"--tensorrt {tensorrt} and --device {device} both name a version", fix="pass one"
        )
    if device is not None:
        jetpacks = devices.find(device).jetpacks
        if not jetpacks:
            raise UnsupportedError(
                f"the board table knows no TensorRT of {device}", fix="name it: --tensorrt 8.2.1"
            )
        tensorrt = jetpacks[0].tensorrt
    own = manifest.runs_on.get("tensorrt" if manifest.waiting else "library_version")
    found = str(own if tensorrt is None else tensorrt)
    numbers(found)
    return found


def is_typed(dialect: Dialect, manifest: Manifest) -> bool:
    """Return whether the types of an artifact's source are final, in a strongly typed network."""
    if manifest.precision == Precision.INT8.value:
        return int8_mode(manifest) == "typed"
    on_dla = trt_options.from_json(manifest.options).dla_core is not None
    return dialect.typed and not (on_dla and dialect.dla_int8 != "typed")


def check(manifest: Manifest, version: str, *, measure: bool) -> None:
    """Refuse what trtexec of ``version`` cannot build or, to ``measure``, load.

    Raises:
        UnsupportedError: The artifact is not TensorRT's, or its source is not for that version.
        ArtifactError: It is damaged, lacks a file, or its engine is of another version.
    """
    _check_library(manifest)
    own = version_for(manifest)
    if measure and not manifest.waiting:
        if numbers(version)[:3] != numbers(own)[:3] and not manifest.runs_on.get(
            "version_compatible"
        ):
            raise ArtifactError(
                f"the engine was built by TensorRT {own}, trtexec of {version} does not load it",
                fix="leave --tensorrt and --device out, or build the engine again first",
            )
        return
    if not measure:
        _check_source(manifest, own, version)


def _check_library(manifest: Manifest) -> None:
    library = manifest.runs_on.get("library")
    if manifest.backend != "trt" or library != "tensorrt":
        made = "TensorRT-RTX" if library == "tensorrt_rtx" else f"the backend {manifest.backend!r}"
        raise UnsupportedError(
            f"the artifact was built by {made}, trtexec runs engines of TensorRT only",
            fix="prepare one for a board: edgedeploy build MODEL --backend trt --device BOARD",
        )
    if manifest.precision not in PRECISIONS or not manifest.engine.isprintable():
        raise ArtifactError(
            f"the artifact is damaged: its precision is {manifest.precision!r}, its engine "
            f"{manifest.engine!r}",
            fix="build it again",
        )


def _check_source(manifest: Manifest, own: str, version: str) -> None:
    """Refuse a source that another generation of TensorRT would read differently, or not at all.

    Raises:
        ArtifactError: It lies not in the artifact.
        UnsupportedError: It was made for another generation.
    """
    names = {info.name for info in manifest.files}
    mode = int8_mode(manifest)
    wanted = {trt_build.SOURCE} | ({trt_build.CACHE} if mode == "implicit" else set())
    if missing := sorted(wanted - names):
        raise ArtifactError(f"the artifact has no {' and no '.join(missing)}", fix="build it again")
    made, read = trt_dialects.for_version(own), trt_dialects.for_version(version)
    precision = Precision(manifest.precision)
    forms = [trt_form(dialect, precision, mode or "") for dialect in (made, read)]
    same = forms[0].half == forms[1].half and is_typed(made, manifest) == is_typed(read, manifest)
    readable = made.opset <= read.opset and made.ir_version <= read.ir_version
    if not same or not readable or (mode is not None and mode not in read.int8):
        raise UnsupportedError(
            f"the artifact's source was made for TensorRT {own}, not for {version}",
            fix="prepare one for it: edgedeploy build MODEL --backend trt --device BOARD",
        )


def int8_mode(manifest: Manifest) -> str | None:
    """Return how INT8 is said to TensorRT; None of everything else."""
    mode = manifest.raw["precision"].get("int8_mode")
    return None if mode is None else str(mode)
