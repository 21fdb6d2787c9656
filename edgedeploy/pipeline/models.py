"""Finding models, and what is said of them in files of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError
from edgedeploy.pipeline.places import MODELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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
