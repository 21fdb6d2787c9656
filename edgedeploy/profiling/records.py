"""Profiles as files: what a run measured, under which conditions, and whether to believe it."""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgedeploy.errors import FileError, MeasurementError
from edgedeploy.files import not_written, write_atomically
from edgedeploy.profiling.fields import ABSENT, FIELDS, OURS_ALONE, SETTINGS
from edgedeploy.worker import samples as encoding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.types import Array

SCHEMA = "edgedeploy.profile/1"


class Key(NamedTuple):
    """What a record is of: of two records with one key the later counts.

    Attributes:
        model: Name of the model.
        backend: Word of the backend.
        precision: What was asked.
        device: Name of the board, or ``"local"``.
        scenario: With what sets it apart, e.g. ``"server, 100/s"``: see `ProfileRecord.setting`.
        side: Height and width in pixels; None where nobody said.
        threads: CPU threads of the vendor's library; None where nobody said.
    """

    model: str
    backend: str
    precision: str
    device: str
    scenario: str
    side: tuple[int, int] | None
    threads: int | None


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    """One profile. Everything is in `document`; the properties name what tables and charts need.

    Attributes:
        document: The JSON document, in the form that docs/measuring.md describes.
    """

    document: Mapping[str, Any]

    @property
    def key(self) -> Key:
        """What the record is of.

        What another program measured never counts against what edgedeploy did: see `source`.
        """
        artifact, shape = self.document["artifact"], self.document.get("input_shape") or []
        return Key(
            model=self.model,
            backend=artifact["backend"],
            precision=artifact["precision"],
            device=self.document["device"]["name"],
            scenario=self.setting,
            side=(shape[2], shape[3]) if len(shape) == 4 else None,
            threads=self.document.get("threads"),
        )

    @property
    def setting(self) -> str:
        """The scenario with what sets it apart from others: ``"multi, 2 streams"``."""
        options = self.document.get("scenario_options") or {}
        known = [
            write(options[name])
            for name, write in SETTINGS.items()
            if options.get(name) is not None
        ]
        return ", ".join(filter(None, [str(self.document["scenario"]), *known]))

    @property
    def power_mode(self) -> str | None:
        """Name of the mode that the board was in; None where it has none, or nobody said."""
        found = self.document["device"].get("power_mode")
        # what is not printable could steer the terminal that shows it
        return found if isinstance(found, str) and found.isprintable() else None

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


def parse(document: object, *, name: str, fix: str = "measure it again") -> ProfileRecord:
    """Check a document and make a record of it; keys that are not known are kept.

    Args:
        document: From JSON.
        name: What an error calls it, usually its path.
        fix: What an error says to do where it is damaged.

    Raises:
        FileError: It is of another schema, lacks a value, or a value is not what it must be.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA or not isinstance(document, dict):
        raise FileError(
            f"{name} has schema {schema!r}, this version reads {SCHEMA!r}",
            fix="pass profiles that edgedeploy profile wrote, or update edgedeploy",
        )
    for path, is_good in FIELDS.items():
        value: object = document
        for key in path.split("."):
            value = value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
        if value is None and path in OURS_ALONE and "source" in document:
            continue
        if not is_good(value):
            state = "is missing" if value is ABSENT else f"is {str(value)[:60]!r}"
            raise FileError(f"{name} is damaged: {path} {state}", fix=fix)
    record = ProfileRecord(document)
    if document["samples_ns"] is None:
        return record
    try:
        count = len(encoding.decode(document["samples_ns"]))
    except ValueError as error:
        raise FileError(f"{name} is damaged: {error}", fix=fix) from error
    if count != document["latency_ms"]["count"]:
        raise FileError(
            f"{name} is damaged: it holds {count} samples and counts "
            f"{document['latency_ms']['count']}",
            fix=fix,
        )
    told = sum(one["count"] for one in document.get("rounds", []))
    if "rounds" in document and told != count:
        raise FileError(
            f"{name} is damaged: it holds {count} samples, its rounds count {told}",
            fix=fix,
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
        raise FileError(f"{path} is no JSON: {error}", fix=_if_damaged(path)) from error
    return parse(document, name=str(path), fix=_if_damaged(path))


def _if_damaged(path: Path) -> str:
    """Return what to do about a damaged profile: measuring again writes another file."""
    if path.suffix != ".json":
        return "pass a profile, a .json file that edgedeploy profile wrote, or a folder of them"
    return f"delete it: rm {shlex.quote(str(path))}; then measure again if it is missed"


def write(record: ProfileRecord, folder: Path) -> Path:
    """Write ``folder/<time>-<model>-<backend>-<precision>.json`` and return its path.

    A second profile of the same second gets ``-2`` behind its name: none is ever replaced.

    Raises:
        NotWrittenError: The folder cannot be written to, or the disk is full.
    """
    model, backend, precision, *_ = record.key
    when = record.created.replace("-", "").replace(":", "")
    stem = f"{when}-{_file_part(model)}-{_file_part(backend)}-{_file_part(precision)}"
    path = folder / f"{stem}.json"
    number = 2
    try:
        while path.exists():
            path = folder / f"{stem}-{number}.json"
            number += 1
    except OSError as error:  # the folder may not be looked into
        raise not_written(path, error) from error
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
