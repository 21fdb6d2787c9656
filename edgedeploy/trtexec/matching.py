"""Is a log one of this artifact's engine, on the board that it is said to be of?"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from edgedeploy.errors import ArtifactError
from edgedeploy.runtime import trt_dialects
from edgedeploy.trtexec.artifacts import PRECISIONS, is_typed, version_for
from edgedeploy.trtexec.flags import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedeploy.devices import Device
    from edgedeploy.runtime.manifest import Manifest
    from edgedeploy.trtexec.log import Run, Tensor


def check(run: Run, manifest: Manifest, folder: Path, device: Device) -> tuple[str, ...]:
    """Refuse a log of something else.

    Args:
        run: The log.
        manifest: Of the artifact.
        folder: Of the artifact: its name and its parents' are compared with the engine's path.
        device: The board that it is said to be of.

    Returns:
        What could not be compared, as doubts.

    Raises:
        ArtifactError: The log is of another engine, precision, TensorRT or GPU.
        UnsupportedError: The artifact is not TensorRT's.
    """
    own = version_for(manifest)
    for what, logged, expected in _compared(run, manifest, folder, device, own):
        if logged != expected:
            raise ArtifactError(
                f"the log is not of this artifact: its {what} is {logged}, not {expected}",
                fix="pass the artifact, the log and the device that belong together",
            )
    if not run.inputs:
        return ("the log names no tensors: that it is of this engine was not checked",)
    return ()


def _compared(
    run: Run, manifest: Manifest, folder: Path, device: Device, own: str
) -> Iterator[tuple[str, object, object]]:
    """Yield what both sides tell: its name, what the log says, what it should say."""
    yield "TensorRT", _version(run, manifest), _own_version(manifest, own)
    capability = run.option("Device Information", "Compute Capability")
    if capability:
        for known in (manifest.runs_on.get("compute_capability"), device.compute_capability):
            if known is not None:
                yield "compute capability", capability, known
    gpu = manifest.runs_on.get("gpu")
    if gpu is not None:
        yield "GPU", run.option("Device Information", "Selected Device") or gpu, gpu
    yield from _tensors(run, manifest)
    yield from _paths(run, folder)
    yield from _size(run, manifest)
    # of an engine that is loaded it prints what it would have built
    if run.argument("--onnx") is not None:
        typed = is_typed(trt_dialects.for_version(own), manifest)
        expected = "Strongly Typed" if typed else PRECISIONS[manifest.precision]
        yield "precision", run.option("Build Options", "Precision") or expected, expected


def _version(run: Run, manifest: Manifest) -> str:
    """Return the log's version, as far as it counts: a board may have another JetPack's patch."""
    dotted = ".".join(map(str, run.version))
    return trt_dialects.for_version(dotted).name if _is_loose(manifest) else dotted


def _own_version(manifest: Manifest, own: str) -> str:
    if _is_loose(manifest):
        return trt_dialects.for_version(own).name
    return ".".join(map(str, (*numbers(own), 0)[:3]))


def _is_loose(manifest: Manifest) -> bool:
    return manifest.waiting or bool(manifest.runs_on.get("version_compatible"))


def _tensors(run: Run, manifest: Manifest) -> Iterator[tuple[str, object, object]]:
    if run.inputs:
        (_, *rest) = manifest.input.shape
        names, shapes = _split(run.inputs)
        yield "input", names, [manifest.input.name]
        yield "input's shape", shapes[0][1:], tuple(rest)
    if run.outputs:
        yield "output", _split(run.outputs)[0], [manifest.output.name]


def _split(tensors: tuple[Tensor, ...]) -> tuple[list[str], list[tuple[int, ...]]]:
    return [tensor.name for tensor in tensors], [tensor.shape for tensor in tensors]


def _paths(run: Run, folder: Path) -> Iterator[tuple[str, object, object]]:
    """Compare the folders above the engine, where they are named as `build` names them."""
    path = run.argument("--loadEngine") or run.argument("--onnx") or ""
    own = folder.absolute().parts
    logged = PurePosixPath(path).parts[:-1]
    if logged and logged[-1].startswith("trt-"):
        yield "engine's folder", logged[-1], own[-1]
        if len(logged) > 1 and len(own) > 1:
            yield "engine's model", logged[-2], own[-2]


def _size(run: Run, manifest: Manifest) -> Iterator[tuple[str, object, object]]:
    """Compare sizes where the very engine of the artifact was loaded; TensorRT cuts off to MiB."""
    sizes = [info.size_bytes for info in manifest.files if info.name == manifest.engine]
    if sizes and run.engine_mib is not None and run.argument("--loadEngine") is not None:
        mib = sizes[0] / (1 << 20)
        close = abs(run.engine_mib - mib) <= 1
        yield "engine's size in MiB", run.engine_mib, run.engine_mib if close else round(mib, 1)
