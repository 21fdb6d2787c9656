"""A board that is a folder: a program in place of ssh runs there what it is told to."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.profiling import ssh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

_PROGRAMS = ("cat", "grep", "ln", "mktemp", "mv", "readlink", "rm", "sh", "sleep", "tar")
_SSH = """#!/bin/sh
for last; do :; done
echo "Welcome to this board"
PATH={bin} TMPDIR={tmp} EDGEDEPLOY_LOCK={lock} exec {shell} -c "$last"
"""


@dataclass(frozen=True)
class FakeBoard:
    """One.

    Attributes:
        bin: Its programs.
        tmp: Its temporary folder.
        lock: Its lock.
    """

    bin: Path
    tmp: Path
    lock: Path

    def left(self) -> list[str]:
        """What is in its temporary folder."""
        return sorted(path.name for path in self.tmp.iterdir())

    def program(self, name: str, script: str) -> Path:
        """Put a shell script among its programs."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path


def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    """Make one in ``folder`` that is reached whatever the host is called."""
    board = FakeBoard(folder / "bin", folder / "tmp", folder / "lock")
    board.bin.mkdir()
    board.tmp.mkdir()
    for name in _PROGRAMS:
        found = shutil.which(name)
        assert found is not None
        (board.bin / name).symlink_to(found)
    text = _SSH.format(bin=board.bin, tmp=board.tmp, lock=board.lock, shell=shutil.which("sh"))
    path = folder / "ssh"
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setenv(ssh.PROGRAM, str(path))
    return board


def wait_until(true: Callable[[], bool]) -> bool:
    """Return whether something becomes true within a while."""
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def dead_process() -> int:
    """Return the number of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid
