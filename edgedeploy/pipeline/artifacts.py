"""Finding artifacts, and evaluating them."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from edgedeploy import artifact, evaluating
from edgedeploy.errors import ArtifactError, EdgeDeployError, FileError
from edgedeploy.files import require_writable
from edgedeploy.pipeline.places import ARTIFACTS, Failure
from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgedeploy.evaluating import Evaluation
    from edgedeploy.images import ImageSet
    from edgedeploy.labelling import ClassOffset
    from edgedeploy.model_file import ModelHints

ANY_BOARD = "auto"

_log = logging.getLogger(__name__)


def find_artifacts(paths: Sequence[Path], *, board: str | None = None) -> list[Path]:
    """Return the artifacts among and below ``paths``; without any, all of ``./build``.

    Those that wait for another board are left out where they were not named themselves.

    Args:
        paths: Artifacts, and folders of them.
        board: The board that is reached from here; `ANY_BOARD`: it has not been asked yet.

    Raises:
        FileError: There is none, or none that has an engine.
    """
    found = artifact.find(list(paths) or [ARTIFACTS])
    waiting = {folder: name for folder in found if not _fits(name := _waits_for(folder), board)}
    kept = [folder for folder in found if folder not in waiting or folder in paths]
    for folder in found:
        if folder not in kept:
            _log.info("%s waits for %s, and is left out", folder, waiting[folder])
    if not kept:
        raise FileError(
            f"{found[0]} waits for {waiting[found[0]]} to build its engine, and so do all others",
            fix="copy it to that board (docs/jetson.md), or measure it there: edgedeploy profile "
            "--host user@board; or build for this machine: leave --device out",
        )
    return kept


def _fits(waits_for: str | None, board: str | None) -> bool:
    return waits_for is None or board in (waits_for, ANY_BOARD)


def _waits_for(folder: Path) -> str | None:
    """Return the board that is to build an artifact's engine; None if it has one, or is damaged."""
    try:
        manifest = manifests.read(str(folder))
    except ArtifactError:
        return None
    return str(manifest.runs_on.get("device")) if manifest.waiting else None


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

    Raises:
        NotWrittenError: A result could not be kept, which is tried before the first picture.
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
        for folder in asked:
            require_writable(folder)
        found = evaluating.evaluate_all(
            runtimes, images, class_offset=class_offset, progress=progress
        )
    for folder in asked:
        evaluating.write(found[str(folder)], folder)
    return [(folder, found[str(folder)]) for folder in asked]


def _quiet(failure: Failure) -> None:
    """Say nothing."""
