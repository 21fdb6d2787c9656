"""Whether an engine loads here, known before TensorRT is asked, and how to build one that does."""

from typing import Optional, Tuple

from .cuda_device import Gpu
from .errors import ArtifactError, UnsupportedError
from .manifest import SOURCE, Manifest

_AMPERE = 8
# Major version -> the older one whose version-compatible engines it loads too (support matrix of
# TensorRT 11.4.1).
_ALSO_LOADS = {10: 8, 11: 10}


def check_built(folder: str, manifest: Manifest) -> None:
    """Refuse an artifact whose engine the board is yet to build.

    Raises:
        ArtifactError: It is waiting.
    """
    if manifest.waiting:
        board = manifest.runs_on.get("device") or "a board"
        version = manifest.runs_on.get("tensorrt")
        raise ArtifactError(
            f"{folder} was prepared for {board} (TensorRT {version}) and has no engine yet",
            fix=rebuild_fix(folder, manifest),
        )


def check_library(folder: str, manifest: Manifest, library: str, here: str) -> None:
    """Compare the library that built an artifact with the one that is here.

    Args:
        folder: The artifact.
        manifest: Of it.
        library: ``"tensorrt"`` or ``"tensorrt_rtx"``.
        here: Version of it.

    Raises:
        ArtifactError: It is another library, or a version that does not load the engine: TensorRT
            takes those of its own version, and later ones of engines that are version-compatible.
    """
    built = (manifest.runs_on.get("library"), manifest.runs_on.get("library_version"))
    if built == (library, here):
        return
    compatible = bool(manifest.runs_on.get("version_compatible"))
    if compatible and built[0] == library and _is_later(str(built[1]), here):
        return
    reach = " for itself and later versions" if compatible else ""
    raise ArtifactError(
        f"{folder} was built by {built[0]} {built[1]}{reach}, this machine has {library} {here}",
        fix=rebuild_fix(folder, manifest),
    )


def check_gpu(folder: str, manifest: Manifest, here: Gpu) -> None:
    """Compare the GPU that an artifact is bound to, if any, with the one that is here.

    Raises:
        ArtifactError: It is another GPU than the engine was built for.
    """
    built = (manifest.runs_on.get("gpu"), manifest.runs_on.get("compute_capability"))
    if built[0] is None or built == tuple(here):
        return
    level = manifest.runs_on.get("hardware_compatible")
    if level == "same-compute-capability" and built[1] == here.compute_capability:
        return
    if level == "ampere-plus" and _numbers(here.compute_capability) >= (_AMPERE,):
        return
    others = {
        "same-compute-capability": f" and other GPUs of compute capability {built[1]}",
        "ampere-plus": f" and other GPUs from compute capability {_AMPERE}.0 on",
    }
    raise ArtifactError(
        f"{folder} was built for {built[0]} (compute capability {built[1]})"
        f"{others.get(str(level), '')}, this machine has {here.name} ({here.compute_capability})",
        fix=rebuild_fix(folder, manifest),
    )


def rebuild_fix(folder: str, manifest: Manifest) -> str:
    """Say how to build this artifact's engine on this machine."""
    if has_source(manifest):
        where = (
            f"on {manifest.runs_on.get('device') or 'the board'}" if manifest.waiting else "here"
        )
        # the name under which this folder of ours was imported, on a board perhaps another
        return (
            f"build its engine {where}, from its {SOURCE}: python3 -m "
            f"{__package__}.trt_rebuild {folder} (or load it with Runtime.load(path, rebuild=True))"
        )
    return f"it has no {SOURCE} to build from; build it from the model: {command(manifest)}"


def check_target(folder: str, manifest: Manifest, library: str, here: Optional[Gpu]) -> None:
    """Refuse to build the engine of an artifact that waits for another machine.

    Args:
        folder: The artifact.
        manifest: Of it.
        library: ``"tensorrt"`` or ``"tensorrt_rtx"``, which would build.
        here: The GPU of this machine, or None.

    Raises:
        UnsupportedError: It was prepared for another library or compute capability.
    """
    if not manifest.waiting:
        return
    wanted = (manifest.runs_on.get("library"), manifest.runs_on.get("compute_capability"))
    found = (library, None if here is None else here.compute_capability)
    if wanted != found:
        board = manifest.runs_on.get("device") or "another board"
        gpu = "no GPU" if here is None else f"{here.name} ({here.compute_capability})"
        raise UnsupportedError(
            f"{folder} waits for {board} (compute capability {wanted[1]}, {wanted[0]}), this "
            f"machine has {gpu} and {library}",
            fix=f"copy it to the {board} and build its engine there; for this machine: "
            f"{command(manifest)}",
        )


def has_source(manifest: Manifest) -> bool:
    """Return whether an artifact holds what its engine is built from."""
    return SOURCE in [info.name for info in manifest.files]


def command(manifest: Manifest) -> str:
    """Return what builds the artifact again from its model."""
    return f"edgedeploy build {manifest.model}.onnx --backend trt --{manifest.precision}"


def _is_later(built: str, here: str) -> bool:
    """Return whether a library loads version-compatible engines of another version."""
    old, new = _numbers(built), _numbers(here)
    return old <= new if old[0] == new[0] else _ALSO_LOADS.get(new[0]) == old[0]


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
