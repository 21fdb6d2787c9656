"""Holding a board: one profile at a time, and a folder there that goes with the connection."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import re
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from edgedeploy.errors import (
    EdgeDeployError,
    FileError,
    MeasurementError,
    MissingDependencyError,
    UnsupportedError,
)
from edgedeploy.profiling import board_scripts as scripts
from edgedeploy.profiling import listening, ssh, worker_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.profiling.ssh import Ssh

_OLDEST = (3, 6)
_GOODBYE_S = 10.0
_NOBODY = "0"


class Hold(NamedTuple):
    """A board that is ours.

    Attributes:
        folder: Our folder there.
        connection: The ssh that all other commands share; it ends when the board is lost.
        stderr: What that says.
    """

    folder: str
    connection: subprocess.Popen[bytes]
    stderr: IO[bytes]


class _Asked(NamedTuple):
    """What the board said when it was asked for, ``ready 3.6 /tmp/…`` or ``held 4242 …``."""

    state: str
    rest: str
    connection: subprocess.Popen[bytes]
    stderr: IO[bytes]


@contextlib.contextmanager
def hold(line: Ssh, python: str) -> Iterator[Hold]:
    """Open the connection and hold the board until the block ends; then nothing is left there.

    A holder of this machine and user whose process is gone, e.g. because the network was lost and
    the board has not noticed yet, is ended.

    Raises:
        EdgeDeployError: The board is not reached, lets nobody in, or is held by another.
        FileError: There is no room for a folder.
        MissingDependencyError: Python or a program is missing there.
        UnsupportedError: Python is too old there.
    """
    with contextlib.ExitStack() as stack:
        asked = stack.enter_context(_asked(line, python, _NOBODY))
        if asked.state == "held" and _is_gone(asked.rest):
            stack.close()
            asked = stack.enter_context(_asked(line, python, asked.rest.split()[0]))
        if asked.state != "ready":
            raise _not_ready(line.host, python, asked.state, asked.rest)
        yield Hold(_folder(line.host, python, asked.rest), asked.connection, asked.stderr)


@contextlib.contextmanager
def _asked(line: Ssh, python: str, ends: str) -> Iterator[_Asked]:
    argv = line.argv(scripts.HOLD, python, who(), scripts.VERSION, ends, master=True)
    with (
        tempfile.TemporaryFile() as stderr,
        worker_process.started(argv, None, stderr) as process,
    ):
        try:
            state, _, rest = _answer(process, line, stderr).partition(" ")
            yield _Asked(state, rest, process, stderr)
        finally:  # the board takes our folder away when its stdin ends
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_GOODBYE_S)


def _answer(process: subprocess.Popen[bytes], line: Ssh, stderr: IO[bytes]) -> str:
    assert process.stdout is not None
    try:
        for said in listening.lines(process.stdout, line.answer_s):
            if said.startswith(scripts.MARK):
                return said[len(scripts.MARK) :].decode("utf-8", errors="replace").strip()
    except MeasurementError as error:
        raise EdgeDeployError(
            f"{line.host} has not answered within {line.answer_s:g} s",
            fix=f"see what its shell waits for: ssh {line.host} true",
        ) from error
    code = process.wait()
    raise ssh.failed(line.host, code, worker_process.tail(stderr))


def _folder(host: str, python: str, ready: str) -> str:
    """Return our folder from ``"3.6 /tmp/…"``, if the worker runs under that Python."""
    found = re.fullmatch(r"(\d+)\.(\d+) (/.+)", ready)
    if found is None:
        raise _not_ready(host, python, "bad-python", f"it says {ready!r} when asked its version")
    major, minor, folder = found.groups()
    if (int(major), int(minor)) < _OLDEST:
        raise UnsupportedError(
            f"{host}: {python} is Python {major}.{minor}, the worker needs "
            f"{'.'.join(map(str, _OLDEST))} or newer",
            fix="name another: --python /usr/bin/python3",
        )
    return folder


def _not_ready(host: str, python: str, state: str, rest: str) -> EdgeDeployError:
    """Return the error for a board that cannot be held, by what it said."""
    if state == "held":
        pid, _, who = rest.partition(" ")
        return EdgeDeployError(
            f"{host} is being measured by {who}; two at once would disturb each other",
            fix=f"wait until that is done; if nobody is there any more: ssh {host} kill {pid}",
        )
    if state == "not-freed":
        return EdgeDeployError(
            f"{host} is marked as measured by {rest.partition(' ')[2]}, who is gone, and the mark "
            "cannot be removed",
            fix=f"remove it: ssh -t {host} sudo rm {scripts.LOCK}",
        )
    if state == "missing":
        return MissingDependencyError(
            f"{host} has no {rest}", fix=f"install it: ssh -t {host} sudo apt-get install {rest}"
        )
    if state == "no-python":
        return MissingDependencyError(
            f"{host} has no {python}",
            fix=f"install it: ssh -t {host} sudo apt-get install python3; or name another: "
            "--python /usr/bin/python3",
        )
    if state == "bad-python":
        return MissingDependencyError(
            f"{host}: {python} does not start: {rest}",
            fix="name another: --python /usr/bin/python3",
        )
    return FileError(
        f"{host} has no room for a folder: {rest}",
        fix=f"free space there, see: ssh {host} df -h /tmp",
    )


def who() -> str:
    """Say who asks for a board: user, machine, process and time."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{_user()} process {_process(os.getpid())} since {now:%Y-%m-%d %H:%M} UTC"


def _user() -> str:
    # getpass fails in a container whose user has no name
    return f"{os.environ.get('USER') or os.getuid()}@{socket.gethostname()}"


def _process(pid: int) -> str:
    """Return a process's number together with that of its namespace: containers count anew."""
    namespace = Path("/proc/self/ns/pid")
    return f"{pid}.{namespace.stat().st_ino if namespace.exists() else 0}"


def _is_gone(held: str) -> bool:
    """Return whether a dead process of ours held it: ``"4242 me@here process 17.40 since …"``."""
    found = re.match(r"\d+ (\S+) process (\d+)\S* ", held)
    if found is None or found.group(1) != _user():
        return False
    pid = int(found.group(2))
    if f" process {_process(pid)} " not in held:
        return False
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.ESRCH
    return False
