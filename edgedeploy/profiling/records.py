"""Profiles as files: what a run measured, under which conditions, and whether to believe it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import FileError, MeasurementError
from edgedeploy.files import write_atomically
from edgedeploy.profiling.verdict import LEVELS
from edgedeploy.worker import samples as encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgedeploy.types import Array

SCHEMA = "edgedeploy.profile/1"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    """One profile. Everything is in `document`; the properties name what tables and charts need.

    Attributes:
        document: The JSON document, in the form that docs/measuring.md describes.
    """

    document: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Model, backend, precision and device: of two records with one key the later counts.

        What another program measured never counts against what edgedeploy did: see `source`.
        """
        artifact, device = self.document["artifact"], self.document["device"]
        return (self.model, artifact["backend"], artifact["precision"], device["name"])

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.document["model"])

    @property
    def created(self) -> str:
        """When it was measured, UTC, in a form that sorts: ``2026-11-22T07:30:00Z``."""
        return str(self.document["created"])

    @property
    def level(self) -> str:
        """``"measured"``, ``"suspect"`` or ``"invalid"``."""
        return str(self.document["verdict"]["level"])

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not ``"measured"``."""
        return tuple(self.document["verdict"]["reasons"])

    @property
    def source(self) -> str | None:
        """The program that measured, e.g. ``"trtexec"``; None: edgedeploy itself."""
        found = self.document.get("source")
        return None if found is None else str(found)

    def samples_ns(self) -> Array:
        """Return every sample in call order, ``(n,)`` int64.

        Raises:
            MeasurementError: Another program measured, and none were kept.
        """
        text = self.document["samples_ns"]
        if text is None:
            raise MeasurementError(
                f"{self.source} measured {self.model}, and none of its samples were kept",
                fix="measure with edgedeploy profile, or import its times too",
            )
        return np.array(encoding.decode(text), dtype=np.int64)


def parse(document: object, *, name: str) -> ProfileRecord:
    """Check a document and make a record of it; keys that are not known are kept.

    Args:
        document: From JSON.
        name: What an error calls it, usually its path.

    Raises:
        FileError: It is of another schema, lacks a value, or a value is not what it must be.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA or not isinstance(document, dict):
        raise FileError(
            f"{name} has schema {schema!r}, this version reads {SCHEMA!r}",
            fix="pass profiles that edgedeploy profile wrote, or update edgedeploy",
        )
    for path, is_good in _FIELDS.items():
        value: object = document
        for key in path.split("."):
            value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is None and path in _OURS_ALONE and "source" in document:
            continue
        if not is_good(value):
            state = "is missing" if value is _ABSENT else f"is {str(value)[:60]!r}"
            raise FileError(f"{name} is damaged: {path} {state}", fix="measure it again")
    record = ProfileRecord(document)
    if document["samples_ns"] is None:
        return record
    try:
        count = len(encoding.decode(document["samples_ns"]))
    except ValueError as error:
        raise FileError(f"{name} is damaged: {error}", fix="measure it again") from error
    if count != document["latency_ms"]["count"]:
        raise FileError(
            f"{name} is damaged: it holds {count} samples and counts "
            f"{document['latency_ms']['count']}",
            fix="measure it again",
        )
    return record


def read(path: Path) -> ProfileRecord:
    """Read one profile.

    Raises:
        FileError: It cannot be read, or is no profile of this version.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}", fix="pass a profile or its folder"
        ) from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is no JSON: {error}", fix="measure it again") from error
    return parse(document, name=str(path))


def write(record: ProfileRecord, folder: Path) -> Path:
    """Write ``folder/<time>-<model>-<backend>-<precision>.json`` and return its path.

    A second profile of the same second gets ``-2`` behind its name: none is ever replaced.

    Raises:
        FileError: The folder cannot be written to, or the disk is full.
    """
    model, backend, precision, _ = record.key
    when = record.created.replace("-", "").replace(":", "")
    stem = f"{when}-{_file_part(model)}-{_file_part(backend)}-{_file_part(precision)}"
    path = folder / f"{stem}.json"
    number = 2
    while path.exists():
        path = folder / f"{stem}-{number}.json"
        number += 1
    text = json.dumps(record.document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode())
    return path


def timestamp(seconds: float) -> str:
    """Return seconds since 1970 in the form of ``created``.

    Example:
        >>> timestamp(0)
        '1970-01-01T00:00:00Z'
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _file_part(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "_"


_ABSENT = object()


def _is_text(value: object) -> bool:
    # what is not printable could steer the terminal that shows it
    return isinstance(value, str) and value.isprintable()


def _is_number(value: object) -> bool:
    # the bounds also refuse NaN, infinity and integers that no float can hold
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e18 < value < 1e18


def _is_amount(value: object) -> bool:
    return _is_number(value) and value >= 0  # type: ignore[operator]  # it is a number


def _is_positive_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(_is_text(item) for item in value)


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_positive_count, value))


def _is_variant(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_amount(value.get(key)) for key in ("alpha", "resolution", "rho")
    )


def _is_accuracy(value: object) -> bool:
    return isinstance(value, dict) and all(
        value.get(key) is None or _is_share(value[key]) for key in ("top1", "top5", "agreement")
    )


def _is_share(value: object) -> bool:
    return _is_amount(value) and value <= 1  # type: ignore[operator]  # it is a number


def _or_none(is_good: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_good(value)


_FIELDS: dict[str, Callable[[object], bool]] = {
    "created": lambda value: isinstance(value, str) and bool(_TIME.fullmatch(value)),
    "model": _is_text,
    "variant": _or_none(_is_variant),
    "artifact.backend": _is_text,
    "artifact.precision": _is_text,
    "artifact.sha256": _is_text,
    "artifact.size_bytes": _is_amount,
    "device.name": _is_text,
    "device.model": _or_none(_is_text),
    "environment": _is_mapping,
    "scenario": _is_text,
    "inside": _is_texts,
    "input_shape": lambda value: value is _ABSENT or _is_shape(value),
    **{f"latency_ms.{key}": _is_amount for key in ("p50", "mean", "std", "min", "max")},
    **{f"latency_ms.{key}": _or_none(_is_amount) for key in ("p90", "p95", "p99", "p99_9")},
    "latency_ms.count": _is_positive_count,
    "throughput_ips": _or_none(_is_amount),
    "cold_start_ms.load": _is_amount,
    "cold_start_ms.first_inference": _is_amount,
    "memory_mb.peak_rss": _or_none(_is_amount),
    "memory_mb.engine": _is_amount,
    "memory_mb.device": _or_none(_is_amount),
    "power": _or_none(_is_mapping),
    "power_reason": _or_none(_is_text),
    "energy_mj_per_inference": _or_none(_is_number),
    "accuracy": _or_none(_is_accuracy),
    "verdict.level": lambda value: value in LEVELS,
    "verdict.reasons": _is_texts,
    "samples_ns": lambda value: isinstance(value, str),
    "source": lambda value: value is _ABSENT or _is_text(value),
}
# What other programs do not tell: null in what they measured, never in what edgedeploy did.
_OURS_ALONE = (
    "artifact.size_bytes",
    "latency_ms.std",
    "cold_start_ms.load",
    "cold_start_ms.first_inference",
    "memory_mb.engine",
    "samples_ns",
)
