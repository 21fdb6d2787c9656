"""Artifacts on disk: stamped, written beside and renamed, so that a killed build leaves none."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import FileError
from edgedeploy.files import not_written, sha256
from edgedeploy.runtime import manifest as manifests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgedeploy.types import Built

_STALE_S = 3600
_ENGINES = ("model.onnx", "model.xml", "model.engine")


def place(out: Path, model: str, backend: str, precision: str) -> Path:
    """Return where an artifact lies: ``out/<model>/<backend>-<precision>``."""
    return out / model / f"{backend}-{precision}"


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give an empty folder beside ``target``; when the block ends well it takes target's place.

    Raises:
        FileError: The folder cannot be written to, or the disk is full; ``target`` is as before.
    """
    temporary = None
    ours = False
    try:
        ours = not target.parent.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        temporary.chmod(0o755)
        yield temporary
        if target.exists():
            old = temporary.with_name(temporary.name + ".old")
            target.rename(old)
            temporary.rename(target)
            shutil.rmtree(old)
        else:
            temporary.rename(target)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise not_written(target, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        if ours:
            with contextlib.suppress(OSError):  # it holds the artifact, unless that failed
                target.parent.rmdir()


def write_manifest(folder: Path, built: Built, about: Mapping[str, Any]) -> None:
    """Stamp ``folder``: ``about`` completed by the engine's files, their sizes and SHA-256."""
    files = [
        {
            "name": name,
            "size_bytes": (folder / name).stat().st_size,
            "sha256": sha256(folder / name),
        }
        for name in built.files
    ]
    document = {
        "schema": manifests.SCHEMA,
        **about,
        "engine": built.engine,
        "files": files,
        "runs_on": dict(built.runs_on),
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    with (folder / manifests.MANIFEST).open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def find(roots: list[Path]) -> list[Path]:
    """List the artifacts among and below ``roots``, sorted.

    Raises:
        FileError: A root does not exist or holds no artifact.
    """
    found: list[Path] = []
    for root in roots:
        below = sorted(p.parent for p in root.rglob(manifests.MANIFEST) if not _hidden(p, root))
        if not below:
            raise _no_artifact(root)
        found += [folder for folder in below if folder not in found]
    return found


def _no_artifact(root: Path) -> FileError:
    """Say what a path is that is no artifact and holds none."""
    build = "build one with: edgedeploy build MODEL --backend ort"
    if not root.exists():
        return FileError(f"{root} does not exist", fix=build)
    if root.is_dir():
        files = sorted(p.name for p in root.iterdir() if p.name in _ENGINES)
        if files:
            return FileError(
                f"{root} holds {files[0]} and no {manifests.MANIFEST}: the artifact is damaged, or "
                "it is none",
                fix="build it again: edgedeploy build MODEL --backend ort",
            )
        return FileError(f"{root} is empty of artifacts", fix=build)
    if (root.parent / manifests.MANIFEST).is_file():
        return FileError(
            f"{root} belongs to the artifact {root.parent}",
            fix=f"name the folder: {shlex.quote(str(root.parent))}",
        )
    if root.suffix == ".onnx":
        return FileError(
            f"{root} is a model, not an artifact",
            fix=f"build it: edgedeploy build {shlex.quote(str(root))} --backend ort",
        )
    return FileError(f"{root} is a file, and an artifact is a folder", fix=build)


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _remove_stale(target: Path) -> None:
    """Remove what killed builds of this artifact left, once it is old enough to be nobody's."""
    for left in target.parent.glob(f".{target.name}.*"):
        with contextlib.suppress(OSError):
            age_s = time.time() - left.stat().st_mtime  # noqa: TID251 -- compared with a file's date
            if age_s > _STALE_S:
                shutil.rmtree(left)
