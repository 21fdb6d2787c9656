"""OpenSSH as it is set up here: one connection to a board, and what its refusals mean.

The user's own configuration, keys and jump hosts are used; nothing is ever asked for.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

from edgedeploy.errors import (
    EdgeDeployError,
    FileError,
    MeasurementError,
    MissingDependencyError,
    UsageError,
)
from edgedeploy.profiling import worker_process

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "EDGEDEPLOY_SSH"
"""Environment variable: a command line in place of ``ssh``, e.g. ``ssh -F FILE -p 2222``."""
LOST = 255
"""Exit code of an ssh that did not reach the board, or lost it."""

_OPTIONS = (
    "BatchMode=yes",  # a password prompt would wait for ever where nobody looks
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ControlPersist=no",
    # what a configuration for working on the board may hold, and a program must not have
    "RemoteCommand=none",
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
)
_SHARING = ("ControlMaster=no", "LogLevel=ERROR")
_NAME = "edgedeploy-board"
_FULL = re.compile(r"no space left|disk quota exceeded|disk full", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ssh:
    """How to reach a board.

    Attributes:
        command: What starts ssh.
        host: As ssh takes it, e.g. ``"user@board"``, or a name of its configuration.
        control: Socket of the connection that all commands share.
        answer_s: Seconds within which the board must answer once it is reached.
        copy_s: Seconds within which it must have taken or given files.
    """

    command: tuple[str, ...]
    host: str
    control: Path
    answer_s: float = 60.0
    copy_s: float = 1800.0

    def argv(self, script: str, *arguments: str, master: bool = False) -> list[str]:
        """Return the command line that runs a script on the board.

        Args:
            script: For ``sh``, whatever the user's shell there is. It holds neither ' nor a line
                break, which not all of them pass on alike.
            arguments: Its ``$1``, ``$2`` and so on.
            master: Open the connection, for the others to use as long as this one runs.
        """
        options = [*_OPTIONS, f"ControlPath={self.control}"]
        # at ERROR it would not say that a line went silent, which only the master notices
        options += ["ControlMaster=yes", "LogLevel=INFO"] if master else _SHARING
        line = shlex.join(["sh", "-c", " ".join(script.split("\n")), _NAME, *arguments])
        more = [word for option in options for word in ("-o", option)]
        return [*self.command, *more, "-T", "-x", "--", self.host, f"exec {line}"]

    def run(
        self,
        script: str,
        *arguments: str,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> None:
        """Run a script on the board, from one file and to another.

        Raises:
            EdgeDeployError: The script failed, or the board was not reached.
        """
        with tempfile.TemporaryFile() as stderr:
            try:
                code = subprocess.run(
                    self.argv(script, *arguments),
                    stdin=stdin or subprocess.DEVNULL,
                    stdout=stdout or subprocess.DEVNULL,
                    stderr=stderr,
                    timeout=self.copy_s,
                    start_new_session=True,  # Ctrl-C reaches us alone
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired as error:
                raise MeasurementError(
                    f"{self.host} has not taken or sent its files within {self.copy_s:g} s",
                    fix=f"look whether its disk still answers: ssh {self.host} df -h /tmp",
                ) from error
            words = worker_process.tail(stderr)
        if code != 0:
            raise failed(self.host, code, words)


def program() -> tuple[str, ...]:
    """Return what starts ssh: `PROGRAM`, or ``ssh``.

    Raises:
        MissingDependencyError: It is not installed.
        UsageError: `PROGRAM` is no command line.
    """
    text = os.environ.get(PROGRAM, "ssh")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(
            f"{PROGRAM} is {text!r}, which is no command line: {error}",
            fix=f"set it as you would type it, e.g. {PROGRAM}='ssh -p 2222'",
        ) from error
    if not words or shutil.which(words[0]) is None:
        raise MissingDependencyError(
            f"{words[0] if words else text!r} is not a program that can be started here",
            fix=f"install OpenSSH (sudo apt-get install openssh-client), or correct {PROGRAM}",
        )
    return words


def check_host(host: str) -> str:
    """Return ``host``, if ssh takes it for a host and for nothing else.

    Raises:
        UsageError: It does not.
    """
    if not host or host.startswith("-") or any(c.isspace() or not c.isprintable() for c in host):
        raise UsageError(
            f"--host {host!r} is no host", fix="pass what you give to ssh, e.g. --host user@board"
        )
    return host


def failed(host: str, code: int, words: str) -> EdgeDeployError:
    """Return the error for an ssh that ended in ``code``, by its last words on stderr."""
    if code == LOST:
        return _not_reached(host, words)
    if _FULL.search(words):
        return FileError(
            f"the disk of {host} is full: {words}",
            fix=f"free space there, see: ssh {host} df -h /tmp",
        )
    return FileError(
        f"{host} did not take or give files (exit code {code}): {words or 'it does not say why'}",
        fix=f"look whether its disk can be written to: ssh {host} df -h /tmp",
    )


def _not_reached(host: str, words: str) -> EdgeDeployError:
    known = (refusal for refusal in _REFUSALS if re.search(refusal.said, words, re.IGNORECASE))
    refusal = next(known, _UNKNOWN)
    changed = re.search(r"Host key for (\S+) has changed", words)
    name = changed.group(1) if changed else host.rpartition("@")[2]  # as known_hosts has it
    return EdgeDeployError(
        f"{host} {refusal.means}; ssh says: {words or 'nothing'}",
        fix=refusal.fix.format(host=host, name=name),
    )


class _Refusal(NamedTuple):
    """What ssh says (a regular expression), what it means, and what to do."""

    said: str
    means: str
    fix: str


# The first that fits counts; the words are OpenSSH 9.2's.
_REFUSALS = (
    _Refusal(
        r"host key for \S+ has changed|identification has changed",
        "shows another host key than it did before",
        "if the board was installed anew, forget the old key: ssh-keygen -R '{name}', and compare "
        "the new one: ssh {host}; if it was not, do not connect: something may stand in between",
    ),
    _Refusal(
        r"host key verification failed|no \S+ host key is known",
        "has a host key that is not known here",
        "connect once by hand, compare the fingerprint with the board's, and accept it: ssh {host}",
    ),
    _Refusal(
        r"permission denied|too many authentication failures",
        "refuses the login without a password",
        "copy your key there: ssh-copy-id {host}; a key with a passphrase: ssh-add",
    ),
    _Refusal(
        r"could not resolve",
        "is a name that nobody knows here",
        "check the spelling, add it to ~/.ssh/config, or use the board's address",
    ),
    _Refusal(
        r"connection refused",
        "is there, but no SSH server listens",
        "start it on the board: sudo systemctl enable --now ssh",
    ),
    _Refusal(
        r"timed out|no route to host|network is unreachable",
        "does not answer",
        "look whether it is switched on and in this network: ping its address",
    ),
    _Refusal(
        r"bad configuration option|unsupported option",
        "was not called, for ssh does not take its options",
        "correct your ~/.ssh/config, or update OpenSSH to 7.6 or later",
    ),
)
_UNKNOWN = _Refusal("", "was not reached", "see where it stops: ssh -v {host} true")
