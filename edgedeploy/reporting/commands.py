"""The command that measures a record again: as it was stored, else from the options in it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgedeploy.profiling.records import ProfileRecord

# Options of a scenario by their keys in a record, and how `edgedeploy profile` calls them.
_FLAGS = {
    "duration_s": "--duration",
    "percentile": "--percentile",
    "streams": "--streams",
    "rate": "--rate",
    "fps": "--fps",
    "batches": "--batches",
}


def of(records: Iterable[ProfileRecord]) -> list[str]:
    """Return the command of each record that tells it, for a POSIX shell, each once."""
    found = (_command(record) for record in records)
    return list(dict.fromkeys(command for command in found if command))


def _command(record: ProfileRecord) -> str | None:
    for holder in (record.document, record.document.get(record.source or "") or {}):
        stored = holder.get("command")
        if isinstance(stored, list) and stored:
            return shlex.join(map(str, stored))
        if isinstance(stored, str) and stored:
            return stored
    options = record.document.get("scenario_options") or {}
    if record.source is not None or "duration_s" not in options:
        return None
    return shlex.join(_words(record))


def _words(record: ProfileRecord) -> Iterator[str]:
    document, key = record.document, record.key
    yield from ("edgedeploy", "profile", *_artifacts(record))
    if key.device != "local":
        yield from ("--device", key.device)
    yield from ("--scenario", str(document["scenario"]))
    for name, flag in _FLAGS.items():
        value = document["scenario_options"].get(name)
        if value is not None:
            yield from (flag, _written(value))
    if document.get("power_mode_change") and record.power_mode is not None:
        yield from ("--power-mode", record.power_mode)
    if key.threads is not None:
        yield from ("--threads", str(key.threads))
    if key.side is not None and key.side[0] == key.side[1]:
        yield from ("--resolution", str(key.side[0]))


def _artifacts(record: ProfileRecord) -> list[str]:
    """Return where the artifact lies by default; of two that were measured in turns, both."""
    key, ab = record.key, record.document.get("ab") or {}
    own = f"build/{key.model}/{key.backend}-{key.precision}"
    told = [ab.get("against", {}).get(name) for name in ("model", "backend", "precision")]
    if None in told or "rounds" not in record.document:
        return [own]
    other = "build/{}/{}-{}".format(*told)
    both = [own, other] if ab["side"] == "A" else [other, own]
    return ["--ab", *both, "--rounds", str(len(record.document["rounds"]))]


def _written(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
