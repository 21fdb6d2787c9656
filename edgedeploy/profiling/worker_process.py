"""A worker as a child process: one job in, its result out, whatever happens in between."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import edgedeploy
from edgedeploy.errors import (
    BuildError,
    EdgeDeployError,
    FileError,
    MeasurementError,
    MissingDependencyError,
    UnsupportedError,
    UsageError,
    WrongBoardError,
)
from edgedeploy.profiling import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    OnEvent = Callable[[Mapping[str, Any]], None]
    Died = Callable[[int, str, str], EdgeDeployError]

TRAVELLING = ("runtime", "meters", "worker")
"""What a board gets, with the package's ``__init__.py``."""

_ERRORS: dict[int, type[EdgeDeployError]] = {
    error.exit_code: error
    for error in (
        UsageError,
        MissingDependencyError,
        UnsupportedError,
        BuildError,
        FileError,
        MeasurementError,
    )
}
_KINDS: dict[str, type[EdgeDeployError]] = {"WrongBoardError": WrongBoardError}
"""Those that are told from others of their exit code."""
_EVENTS = {
    "phase": ("phase",),
    "progress": ("runs", "seconds"),
    "result": ("result",),
    "error": ("problem", "fix", "exit_code"),
    "modes": ("modes", "first", "locked"),
    "mode": ("mode",),
    "set": ("before", "settled"),
    "refused": ("problem", "fix", "exit_code"),
}
START = "start"
_GOODBYE_S = 5.0
_TAIL_LINES = 3
_TAIL_BYTES = 4096


def run(
    job: Mapping[str, Any],
    *,
    python: Path | None = None,
    timeout_s: float = 300.0,
    on_event: OnEvent = lambda _: None,
) -> dict[str, Any]:
    """Let a fresh worker process on this machine do one job.

    Args:
        job: See `edgedeploy.worker.jobs`.
        python: Another interpreter, Python 3.6 or newer with NumPy and the vendor's library. It
            gets a copy of what it needs in a temporary folder; nothing is installed. None: the
            interpreter that runs now.
        timeout_s: Seconds without a word from the worker after which it counts as stuck. It speaks
            when a phase begins, and once a second while it takes samples.
        on_event: Gets the ``phase`` and ``progress`` events.

    Raises:
        EdgeDeployError: What the worker says is wrong, in the class of its exit code.
        MeasurementError: The worker died, got stuck, or said something else than JSON.
        UsageError: ``python`` cannot be started.
    """
    with _command(python) as (argv, environment):
        return converse(argv, job, environment=environment, timeout_s=timeout_s, on_event=on_event)


def converse(
    argv: Sequence[str],
    job: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 300.0,
    on_event: OnEvent = lambda _: None,
    begin: bytes | None = None,
    died: Died | None = None,
) -> dict[str, Any]:
    """Start ``argv``, which is a worker or leads to one; it never outlives this call.

    Args:
        argv: The command line.
        job: As `run`.
        environment: Of the process; None: this process's own.
        timeout_s: As `run`.
        on_event: As `run`.
        begin: The line after which the worker speaks; what a login shell prints before is passed
            over. None: the first line is the worker's.
        died: Makes the error of a worker that ended without a result from its exit code, the phase
            it was in, and its last words; None: `ended`.

    Raises:
        EdgeDeployError: As `run`.
    """
    phase = START
    with tempfile.TemporaryFile() as stderr, started(argv, environment, stderr) as process:
        for event in _events(process, job, timeout_s, begin):
            if event["event"] == "result":
                _let_go(process)
                return dict(event["result"])
            if event["event"] == "error":
                raise translated(event)
            phase = event.get("phase", phase)
            on_event(event)
        raise (died or ended)(process.wait(), phase, tail(stderr))


@contextlib.contextmanager
def _command(python: Path | None) -> Iterator[tuple[list[str], dict[str, str]]]:
    environment = dict(os.environ)
    if python is None:
        yield [sys.executable, "-m", "edgedeploy.worker"], environment
        return
    path = shutil.which(python)
    if path is None:
        raise UsageError(
            f"--python {python} is not a program that can be started",
            fix="pass the path of a Python interpreter, e.g. /usr/bin/python3",
        )
    with tempfile.TemporaryDirectory(prefix="edgedeploy-worker-") as folder:
        copy_to(Path(folder))
        environment.pop("PYTHONHOME", None)
        environment["PYTHONPATH"] = folder
        yield [os.path.abspath(path), "-m", "edgedeploy.worker"], environment  # noqa: PTH100 -- resolve() would leave a virtual environment


def copy_to(folder: Path) -> None:
    """Copy what a worker needs to ``folder/edgedeploy``."""
    package = Path(edgedeploy.__file__).parent
    target = folder / "edgedeploy"
    target.mkdir()
    shutil.copy(package / "__init__.py", target)
    for name in TRAVELLING:
        shutil.copytree(package / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))


@contextlib.contextmanager
def started(
    argv: Sequence[str], environment: Mapping[str, str] | None, stderr: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that is talked to over its stdin and stdout; it ends with the block.

    Raises:
        UsageError: It cannot be started.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end the whole group
        )
    except OSError as error:
        raise UsageError(
            f"{argv[0]} cannot be started: {error.strerror}", fix="name another Python"
        ) from error
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _events(
    process: subprocess.Popen[bytes], job: Mapping[str, Any], timeout_s: float, begin: bytes | None
) -> Iterator[dict[str, Any]]:
    """Hand over the job and yield what the worker says until it says no more.

    Raises:
        MeasurementError: It has said nothing for too long, or something that is no event.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    said = listening.lines(process.stdout, timeout_s)
    with contextlib.suppress(BrokenPipeError):  # it died at once: its stderr says why
        process.stdin.write(json.dumps({**job, "watch_stdin": True}).encode() + b"\n")
        process.stdin.flush()
    if begin is not None:
        said = itertools.islice(
            itertools.dropwhile(lambda line: line.rstrip() != begin, said), 1, None
        )
    yield from map(read_event, said)


def read_event(line: bytes) -> dict[str, Any]:
    """Read one line that a worker printed.

    Raises:
        MeasurementError: It is not one of the protocol.
    """
    try:
        event = json.loads(line)
        missing = [key for key in _EVENTS[event["event"]] if key not in event]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MeasurementError(
            f"the worker printed {line[:60]!r}, which is not one of its JSON lines",
            fix="look at what its Python prints on start, e.g. a sitecustomize module",
        ) from error
    if missing:
        raise MeasurementError(
            f"the worker's event {event['event']!r} lacks {', '.join(missing)}",
            fix="use the same version of edgedeploy on both sides",
        )
    return dict(event)


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Give the worker time to put its device away; the result is safe already."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_GOODBYE_S)


def translated(event: Mapping[str, Any]) -> EdgeDeployError:
    """Return the error that a worker tells of, in the class of its exit code or its own."""
    of_code = _ERRORS.get(int(event["exit_code"]), EdgeDeployError)
    kind = _KINDS.get(str(event.get("kind")), of_code)
    return kind(str(event["problem"]), fix=str(event["fix"]))


def ended(code: int, phase: str, words: str) -> MeasurementError:
    """Return the error for a worker that ended without a result.

    Args:
        code: Its exit code, or minus the signal that ended it.
        phase: The last that it spoke of; `START`: none.
        words: Its last on stderr.
    """
    if code >= 0:
        how = f"ended with exit code {code}"
        fix = "build the artifact again; if it still ends like this, report it with that line"
    else:
        how = f"was ended by signal {-code} ({signal.strsignal(-code)})"
        fix = "build the artifact again, and update the vendor's library"
    if phase == START:
        fix = "the worker needs Python 3.6 or newer, with NumPy and the vendor's library"
    if code == -signal.SIGKILL:
        fix = "free memory, or take a smaller model: the kernel ends what needs too much"
    return MeasurementError(
        f"the worker {how} in phase {phase!r}" + (f": {words}" if words else ""), fix=fix
    )


def tail(stderr: IO[bytes]) -> str:
    """Return the last lines of stderr; of a Python traceback the last line alone, which says it."""
    stderr.seek(0, os.SEEK_END)
    stderr.seek(max(stderr.tell() - _TAIL_BYTES, 0))
    text = stderr.read().decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = lines[-1:] if "Traceback (most recent call last)" in text else lines[-_TAIL_LINES:]
    return " | ".join(kept)
