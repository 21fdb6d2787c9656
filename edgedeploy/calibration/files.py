"""Calibration files: JSON that says where every range comes from."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import FileError
from edgedeploy.files import write_atomically
from edgedeploy.runtime.manifest import format_preprocessing, parse_preprocessing
from edgedeploy.types import Calibration, TensorRange

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.types import OnnxModel

SCHEMA = "edgedeploy.calibration/1"
_TOO_LARGE = 1e39  # also for a whole number that no float holds
_PARTS = ("min", "max", "low", "high")


def write(calibration: Calibration, path: Path) -> None:
    """Write a calibration; the same one always gives the same bytes.

    Raises:
        FileError: The folder cannot be written to; ``path`` is as before.
    """
    document = {
        "schema": SCHEMA,
        "model": {"sha256": calibration.model_sha256},
        "data": {"digest": calibration.data_digest, "count": calibration.data_count},
        "side": list(calibration.side),
        "preprocessing": format_preprocessing(calibration.preprocessing),
        "method": calibration.method,
        "versions": dict(calibration.versions),
        "tensors": {
            name: {part: _shortest(getattr(found, part)) for part in _PARTS}
            for name, found in calibration.ranges.items()
        },
    }
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text.encode() + b"\n")


def read(path: Path) -> Calibration:
    """Read and check a calibration.

    Raises:
        FileError: It is missing, damaged, of another schema, or holds a range that is none.
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
    if schema != SCHEMA:
        raise FileError(
            f"{path} has schema {schema!r}, this version reads {SCHEMA!r}",
            fix="update edgedeploy, or calibrate again with this version",
        )
    try:
        return _parse(document, hashlib.sha256(data).hexdigest())
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise _damaged(path, error) from error


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


def _parse(document: dict[str, Any], sha256: str) -> Calibration:
    preprocessing = parse_preprocessing(document["preprocessing"])
    if preprocessing is None:
        raise ValueError("preprocessing is null")
    height, width = (_count(n, "side") for n in document["side"])
    return Calibration(
        model_sha256=_text(document["model"]["sha256"], "model.sha256"),
        data_digest=_text(document["data"]["digest"], "data.digest"),
        data_count=_count(document["data"]["count"], "data.count"),
        method=_text(document["method"], "method"),
        side=(height, width),
        preprocessing=preprocessing,
        ranges={name: _range(name, found) for name, found in document["tensors"].items()},
        versions={str(k): _text(v, "versions") for k, v in document["versions"].items()},
        sha256=sha256,
    )


def _range(name: str, found: dict[str, Any]) -> TensorRange:
    parts = {part: _number(found[part], f"{part} of {name}") for part in _PARTS}
    if not parts["low"] < parts["high"]:
        raise ValueError(
            f"{name} has low {parts['low']:g}, which is not below high {parts['high']:g}"
        )
    if parts["min"] > parts["max"]:
        raise ValueError(f"{name} has min {parts['min']:g} above max {parts['max']:g}")
    return TensorRange(**parts)


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is {value!r}, no number")
    with np.errstate(over="ignore"):
        number = np.float32(value) if abs(value) < _TOO_LARGE else np.float32(np.inf)
    if not np.isfinite(number):
        raise ValueError(f"{what} is {value!r}, no float32")
    return float(number)


def _count(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{what} is {value!r}, it must be a whole number above 0")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is {value!r}, no text")
    return value


def _shortest(value: float) -> float:
    """Return the number with the fewest digits that reads back as the same float32."""
    return float(str(np.float32(value) + np.float32(0)))  # the sum makes -0.0 plain 0.0


def _damaged(path: Path, error: Exception) -> FileError:
    missing = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    return FileError(
        f"{path} is no calibration that can be used: {missing}",
        fix="make it again: edgedeploy calibrate MODEL --data IMAGES",
    )
