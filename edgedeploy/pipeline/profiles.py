"""Measuring artifacts, and reading and reporting what was measured."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgedeploy import artifact, devices
from edgedeploy.errors import FileError, UsageError
from edgedeploy.files import require_writable, write_atomically
from edgedeploy.pipeline.places import ARTIFACTS, PROFILES, SHIPPED_ACCURACY, Failure
from edgedeploy.profiling import accuracy, costs, records, remote
from edgedeploy.profiling import measuring as profiling
from edgedeploy.reporting import document, html, markdown, sheet, table
from edgedeploy.runtime import manifest as manifests
from edgedeploy.trtexec import log as trtexec_log
from edgedeploy.trtexec import records as trtexec_records
from edgedeploy.trtexec import times as trtexec_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgedeploy.profiling.measuring import ProfileSpec
    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.profiling.remote import Board

_log = logging.getLogger(__name__)


def profile(
    folder: Path,
    spec: ProfileSpec,
    *,
    out: Path,
    board: Board | None = None,
    stamp: Callable[[ProfileRecord], ProfileRecord] = lambda record: record,
    progress: Callable[[str, float, float], None] = lambda phase, done_s, total_s: None,
) -> tuple[Path, ProfileRecord]:
    """Measure one artifact in a process of its own, and keep the record in ``out``.

    Args:
        folder: The artifact.
        spec: How.
        out: Folder of the profiles.
        board: Where, see `reach`; None: on this machine.
        stamp: Puts in what only the sweep knows, or refuses to keep the record.
        progress: Gets the phase, seconds of samples taken, and seconds wanted.

    Raises:
        NotWrittenError: Nothing can be kept in ``out``, which is tried before anything starts.
        UnsupportedError: The artifact does not run on this machine, or it is not the board asked
            for.
        MeasurementError: The worker died or got stuck.
    """
    require_writable(out)
    record = profiling.profile(
        folder, spec, board=board, shipped_accuracy=SHIPPED_ACCURACY, progress=progress
    )
    record = stamp(record)
    return records.write(record, out), record


@contextlib.contextmanager
def reach(host: str | None, python: Path | None) -> Iterator[Board | None]:
    """Hold the board that ``host`` names for `profile`, over one connection; None: this machine.

    Raises:
        EdgeDeployError: It is not reached, or cannot be measured on; see `remote.connected`.
    """
    if host is None:
        yield None
        return
    with remote.connected(host, remote.PYTHON if python is None else str(python)) as board:
        yield board


def import_trtexec(
    folder: Path, log: Path, times: Path | None, *, device: str | None, out: Path
) -> tuple[Path, ProfileRecord]:
    """Keep what trtexec measured of an artifact as a profile in ``out``; the same one once only.

    Args:
        folder: The artifact.
        log: What trtexec printed.
        times: What it exported; None: nothing.
        device: Where it ran; None: the board that the artifact waits for.
        out: Folder of the profiles.

    Raises:
        ArtifactError: The log is not of this artifact.
        FileError: The log or the times are damaged, or not of one run.
        MeasurementError: trtexec failed.
        UsageError: Nobody says where it ran.
    """
    manifest = manifests.read(str(folder))
    name = device or manifest.runs_on.get("device")
    if name is None:
        raise UsageError(
            f"{folder} does not say where it was measured",
            fix="pass --device, a board's name or local; edgedeploy devices lists them",
        )
    run = trtexec_log.read(log)
    document = trtexec_records.document(
        run,
        None if times is None else trtexec_times.read(times),
        manifest,
        folder=folder,
        device=devices.find(str(name)),
        known=accuracy.find(folder, manifest, SHIPPED_ACCURACY),
    )
    finished_s = trtexec_records.finished_s(run)
    when_s = time.time() if finished_s is None else finished_s  # noqa: TID251 -- a date
    head = {"schema": records.SCHEMA, "created": records.timestamp(when_s)}
    record = records.parse({**head, **document}, name=str(log))
    record = costs.add(record, costs.read(folder, manifest.engine, document["input_shape"]))
    return _kept(record, out) or records.write(record, out), record


def _kept(record: ProfileRecord, out: Path) -> Path | None:
    """Return where the same record lies already; None if it does not."""
    when = record.created.replace("-", "").replace(":", "")
    for path in sorted(out.glob(f"{when}-*.json")):
        if records.read(path).document == record.document:
            return path
    return None


def read_profiles(
    paths: Sequence[Path], *, skip: Callable[[Failure], None] | None = None
) -> list[ProfileRecord]:
    """Read the profiles asked for; without any, all of ``./profiles``.

    An artifact that was evaluated after it was measured brings its accuracy along, if it is still
    in ``./build``.

    Args:
        paths: Profiles, and folders of them.
        skip: Called with each of a folder that is damaged; the rest goes on. None: raise instead.

    Raises:
        FileError: There is none, or one is damaged, and it was named itself or is not skipped, or
            all are.
    """
    found: list[Path] = []
    for path in paths or [PROFILES]:
        found += sorted(path.glob("*.json")) if path.is_dir() or not paths else [path]
    if not found:
        where = ", ".join(str(path) for path in paths or [PROFILES])
        raise FileError(f"there is no profile in {where}", fix="measure: edgedeploy profile")
    read, damaged = [], []
    for path in found:
        try:
            read.append(records.read(path))
        except FileError as error:
            if skip is None or path in paths:
                raise
            damaged.append(Failure(str(path), error))
            skip(damaged[-1])
    if damaged and not read:
        raise damaged[0].error
    accuracies = _accuracies()
    return [_with_accuracy(record, accuracies) for record in read]


def _accuracies() -> dict[str, dict[str, Any]]:
    """Return what is known now of the artifacts in ``./build``, by their SHA-256."""
    known = {}
    folders = artifact.find([ARTIFACTS]) if any(ARTIFACTS.glob("*/*/manifest.json")) else []
    for folder in folders:
        about = manifests.read(str(folder))
        found = accuracy.find(folder, about, SHIPPED_ACCURACY)
        if found is not None:
            known[about.sha256] = found
    return known


def _with_accuracy(
    record: ProfileRecord, accuracies: Mapping[str, dict[str, Any]]
) -> ProfileRecord:
    found = accuracies.get(record.document["artifact"]["sha256"])
    if found is None:
        return record
    return replace(record, document={**record.document, "accuracy": found})


def write_report(measured: Sequence[ProfileRecord], path: Path) -> None:
    """Write a report in the form that the file's name ends in; docs/report.md says what each holds.

    Raises:
        UsageError: The file name ends in none of ``.html``, ``.md``, ``.csv`` and ``.json``.
        FileError: It cannot be written.
        MissingDependencyError: HTML was asked for, and what draws it is not installed.
    """
    render = _REPORTS.get(path.suffix)
    if render is None:
        raise UsageError(
            f"a report is HTML, Markdown, CSV or JSON, and {path} does not end in {_ENDINGS}",
            fix="pass -o report.html",
        )
    write_atomically(path, render(measured).encode())


_REPORTS: dict[str, Callable[[Sequence[ProfileRecord]], str]] = {
    ".html": html.render,
    ".md": lambda measured: markdown.render(table.rows(measured)),
    ".csv": sheet.render,
    ".json": document.render,
}
_ENDINGS = ", ".join(_REPORTS)
