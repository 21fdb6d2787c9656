"""Calibration files: JSON that says where every range comes from, and arrays in an npz beside it.

The JSON holds the SHA-256 of the arrays, so its own covers both.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.calibration import arrays, spendings
from edgedeploy.calibration.values import check_count, check_number, check_text, check_texts
from edgedeploy.calibration_values import Calibration, TensorRange
from edgedeploy.errors import FileError
from edgedeploy.files import write_together
from edgedeploy.runtime.manifest import format_preprocessing, parse_preprocessing

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.calibration_values import Correction
    from edgedeploy.types import Array, OnnxModel

SCHEMA = "edgedeploy.calibration/2"
_WITHOUT_ARRAYS = "edgedeploy.calibration/1"  # and with numbers in the digits of float32
_LARGEST = 127 * float(np.finfo(np.float32).max)  # of which TensorRT's scale is a float32
_PARTS = ("min", "max", "low", "high")
_ODD = (ValueError, KeyError, TypeError, AttributeError, OverflowError)


def write(calibration: Calibration, path: Path) -> None:
    """Write a calibration and, beside it, its arrays; the same one always gives the same bytes.

    Arrays of the calibration that was at ``path`` are removed where the new one has none.

    Raises:
        FileError: The folder cannot be written to; ``path`` is as before.
    """
    packed, beside = arrays.pack(calibration), arrays_path(path)
    document = {
        "schema": SCHEMA,
        "model": {"sha256": calibration.model_sha256},
        "data": {
            "digest": calibration.data_digest or None,
            "count": calibration.data_count or None,
            "unreadable": dict(calibration.unreadable),
        },
        "side": list(calibration.side),
        "preprocessing": format_preprocessing(calibration.preprocessing),
        "method": calibration.method,
        "steps": list(calibration.steps),
        "max_drop": calibration.max_drop,
        "spending": spendings.document(calibration.spending),
        "versions": dict(calibration.versions),
        "tensors": {name: _range_document(found) for name, found in calibration.ranges.items()},
        **arrays.index(calibration),
        "arrays": None if packed is None else {"sha256": hashlib.sha256(packed).hexdigest()},
    }
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    data = text.encode() + b"\n"
    if packed is not None:
        write_together({beside: packed, path: data})  # until the second, the digests differ
        return
    left = _belongs(beside, path)
    write_together({path: data})
    if left:
        with contextlib.suppress(OSError):
            beside.unlink()


def arrays_path(path: Path) -> Path:
    """Return where the arrays of the calibration ``path`` lie.

    Example:
        >>> from pathlib import Path
        >>> arrays_path(Path("calib/v1_0.25.json")).as_posix()
        'calib/v1_0.25.npz'
    """
    return path.with_name(path.name.removesuffix(".json") + ".npz")


def read(path: Path) -> Calibration:
    """Read and check a calibration and its arrays.

    Raises:
        FileError: It is missing, damaged, of another schema, holds a range that is none, or the
            arrays beside it are not its own.
    """
    try:
        data = path.read_bytes()
        document = json.loads(data.decode())
        schema = document["schema"]
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}",
            fix="pass a calibration file, or make one: edgedeploy calibrate MODEL --data IMAGES",
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from error
    if schema not in (SCHEMA, _WITHOUT_ARRAYS):
        raise FileError(
            f"{path} has schema {schema!r}, this version reads {SCHEMA!r} and {_WITHOUT_ARRAYS!r}",
            fix="update edgedeploy, or calibrate again with this version",
        )
    try:
        calibration = _parse(document, hashlib.sha256(data).hexdigest())
        if schema == _WITHOUT_ARRAYS:
            return calibration
        equalisation, corrections = _arrays(document, path)
    except _ODD as error:
        raise _damaged(path, error) from error
    return replace(calibration, equalisation=equalisation, corrections=corrections)


def check(calibration: Calibration, model: OnnxModel) -> None:
    """Refuse a calibration of another model.

    Raises:
        FileError: The digests differ.
    """
    if calibration.model_sha256 != model.sha256:
        raise FileError(
            f"the calibration was measured on a model with SHA-256 {calibration.model_sha256}, "
            f"{model.path} has {model.sha256}",
            fix=f"measure this model: edgedeploy calibrate {model.path} --data IMAGES",
        )


def _arrays(
    document: dict[str, Any], path: Path
) -> tuple[dict[str, Array], dict[str, dict[str, Correction]]]:
    stated = document["arrays"]
    for name in (*document["equalisation"], *document["corrections"]):
        name.encode()
    if stated is None:
        if not arrays.is_empty(document):
            raise ValueError("it names arrays without their digest")
        return {}, {style: {} for style in document["corrections"]}
    wanted, beside = check_text(stated["sha256"], "arrays.sha256"), arrays_path(path)
    data = _beside(beside, path)
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise FileError(
            f"{path} belongs to arrays with SHA-256 {wanted}, {beside} has {found}",
            fix="copy both files from one place, or calibrate again: "
            "edgedeploy calibrate MODEL --data IMAGES",
        )
    return arrays.unpack(document, data)


def _beside(beside: Path, path: Path) -> bytes:
    try:
        size = beside.stat().st_size
        if size > arrays.LARGEST_BYTES:
            raise ValueError(f"{beside} has {size} bytes, at most {arrays.LARGEST_BYTES} are read")
        return beside.read_bytes()
    except OSError as error:
        raise FileError(
            f"{path} needs the arrays in {beside}, which cannot be read: {error.strerror}",
            fix=f"copy {beside.name} beside it, or calibrate again: "
            "edgedeploy calibrate MODEL --data IMAGES",
        ) from error


def _belongs(beside: Path, path: Path) -> bool:
    """Return whether ``beside`` holds the arrays of the calibration that is at ``path`` now."""
    try:
        stated: object = json.loads(path.read_bytes())["arrays"]["sha256"]
        return stated == hashlib.sha256(beside.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _range_document(found: TensorRange) -> dict[str, object]:
    parts = {part: float(getattr(found, part)) + 0.0 for part in _PARTS}  # the sum makes -0.0 0.0
    return {**parts, "method": found.method} if found.method else {**parts}


def _parse(document: dict[str, Any], sha256: str) -> Calibration:
    preprocessing = parse_preprocessing(document["preprocessing"])
    if preprocessing is None:
        raise ValueError("preprocessing is null")
    height, width = (check_count(n, "side") for n in document["side"])
    single = document["schema"] == _WITHOUT_ARRAYS
    digest, count = document["data"]["digest"], document["data"]["count"]
    if not single and (digest, count) == (None, None):
        digest, count = "", 0
    else:
        digest, count = check_text(digest, "data.digest"), check_count(count, "data.count")
        if not digest:
            raise ValueError(f"data.digest is empty, and data.count {count}")
    return Calibration(
        model_sha256=check_text(document["model"]["sha256"], "model.sha256"),
        data_digest=digest,
        data_count=count,
        method=check_text(document["method"], "method"),
        steps=tuple(check_text(step, "steps") for step in document.get("steps", ())),
        side=(height, width),
        preprocessing=preprocessing,
        ranges={
            check_text(name, "a tensor's name"): _range(name, found, single=single)
            for name, found in document["tensors"].items()
        },
        versions=check_texts(document["versions"], "versions"),
        max_drop=spendings.parse_budget(document.get("max_drop")),
        spending=spendings.parse(document.get("spending", {})),
        unreadable={} if single else check_texts(document["data"]["unreadable"], "data.unreadable"),
        sha256=sha256,
    )


def _range(name: str, found: dict[str, Any], *, single: bool) -> TensorRange:
    largest = _LARGEST / 127 if single else _LARGEST
    parts = {part: check_number(found[part], f"{part} of {name}", largest) for part in _PARTS}
    if single:
        parts = {part: float(np.float32(value)) for part, value in parts.items()}
    if not parts["low"] < parts["high"]:
        raise ValueError(
            f"{name} has low {parts['low']:g}, which is not below high {parts['high']:g}"
        )
    if parts["min"] > parts["max"]:
        raise ValueError(f"{name} has min {parts['min']:g} above max {parts['max']:g}")
    method = "" if single else check_text(found.get("method", ""), f"method of {name}")
    return TensorRange(parts["min"], parts["max"], parts["low"], parts["high"], method=method)


def _damaged(path: Path, error: Exception) -> FileError:
    missing = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    return FileError(
        f"{path} is no calibration that can be used: {missing}",
        fix="make it again: edgedeploy calibrate MODEL --data IMAGES",
    )
