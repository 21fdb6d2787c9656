"""The accuracy of an artifact: what ``edgedeploy eval`` measured, else what shipped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.runtime.manifest import Manifest

EVALUATION = "eval.json"
SHIPPED_SCHEMA = "edgedeploy.accuracy/1"
_KEYS = ("top1", "top5", "agreement", "count", "data", "data_digest", "date")


def find(folder: Path, manifest: Manifest, shipped: Path) -> dict[str, Any] | None:
    """Return what is known of an artifact's accuracy.

    Args:
        folder: The artifact; its ``eval.json`` comes first.
        manifest: Of the artifact.
        shipped: The file of models that ship with their accuracy, ``models/accuracy.json``: its
            figure is that of the maintainers' machine and is marked with its date.

    Returns:
        ``{"source": "eval" | "shipped", "top1": 0.61, "date": "2026-11-22", …}``; None where
        nobody has measured this very artifact.

    Raises:
        FileError: A file is there and damaged.
    """
    own = _load(folder / EVALUATION)
    # built anew since: the evaluation is of another engine
    if own is not None and own.get("artifact_sha256", manifest.sha256) == manifest.sha256:
        return {"source": "eval", **_picked(own, folder / EVALUATION)}
    table = _load(shipped)
    if table is None:
        return None
    if table.get("schema") != SHIPPED_SCHEMA:
        raise FileError(
            f"{shipped} has schema {table.get('schema')!r}, this version reads {SHIPPED_SCHEMA!r}",
            fix="update edgedeploy, or move the file away",
        )
    try:
        model = table["models"].get(manifest.model, {})
        entry = model.get(f"{manifest.backend}-{manifest.precision}")
        date = str(table["date"])
        inputs = {"model_sha256": model.get("model_sha256")}
        if manifest.precision == "int8":
            inputs["calibration_sha256"] = model.get("calibration_sha256")
    except (KeyError, AttributeError) as error:
        raise FileError(
            f"{shipped} is damaged: {type(error).__name__}: {error}",
            fix="take the file of the release again, or move it away",
        ) from error
    other = any(manifest.raw.get(key) != value for key, value in inputs.items())
    if entry is None or other:  # a model of the same name, or another calibration
        return None
    return {"source": "shipped", **_picked(entry, shipped), "date": date}


def _load(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(
            f"{path} is damaged: {error}", fix="evaluate again: edgedeploy eval ARTIFACT --data DIR"
        ) from error
    if not isinstance(document, dict):
        raise FileError(
            f"{path} is damaged: it holds no JSON object",
            fix="evaluate again: edgedeploy eval ARTIFACT --data DIR",
        )
    return document


def _picked(entry: object, path: Path) -> dict[str, Any]:
    """Keep what a record says; shares must lie in 0 to 1."""
    if not isinstance(entry, dict):
        raise FileError(f"{path} is damaged: an entry is no object", fix="evaluate again")
    picked = {key: entry[key] for key in _KEYS if key in entry}
    for key in ("top1", "top5", "agreement"):
        share = picked.get(key)
        if share is not None and not (isinstance(share, (int, float)) and 0 <= share <= 1):
            raise FileError(
                f"{path} is damaged: {key} is {share!r}, not a share from 0 to 1",
                fix="evaluate again: edgedeploy eval ARTIFACT --data DIR",
            )
    return picked
