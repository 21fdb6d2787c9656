"""A real sshd of this user's own, on a port of its own, with keys of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Server:
    """One that runs.

    Attributes:
        folder: Its keys, its log, and ``config``, a client's configuration that knows it as
            ``board``.
        port: On 127.0.0.1.
        process: It.
        tmp: The folder that its sessions have as TMPDIR.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    tmp: Path

    @property
    def command(self) -> str:
        """What reaches it, in place of ``ssh``."""
        return f"ssh -F {self.folder / 'config'}"

    def left(self) -> list[str]:
        """What is in its sessions' temporary folder."""
        return sorted(path.name for path in self.tmp.iterdir())

    def wait_until_clean(self) -> bool:
        deadline = time.monotonic() + _PATIENCE_S
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.left()

    def sessions(self) -> list[int]:
        """The processes that hold a connection."""
        return _children(self.process.pid)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Start one and stop it; skips the test where there is no sshd."""
    program = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if program is None or shutil.which("ssh") is None:
        pytest.skip("no sshd here: install Debian's openssh-server and openssh-client")
    if _locked():
        pytest.skip("sshd lets nobody in whose account is locked: give root a password or '*'")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where root's sshd locks itself up
    folder.chmod(0o700)
    for name in ("host", "user", "stranger"):
        _key(folder / name)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    tmp = folder / "tmp"
    tmp.mkdir()
    port = _free_port()
    (folder / "sshd_config").write_text(_server_config(folder, port))
    (folder / "config").write_text(_client_config(folder, port))
    know(folder, port, "host")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log
        )
    try:
        _wait_until_open(port, folder / "log", process)
        yield Server(folder, port, process, tmp)
    finally:
        for session in _children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(session, 9)
        process.kill()
        process.wait()


def know(folder: Path, port: int, key: str | None) -> None:
    """Let the client know the server by one of the keys in ``folder``, or not at all."""
    public = "" if key is None else (folder / f"{key}.pub").read_text(encoding="ascii")
    known = f"[127.0.0.1]:{port} {public}" if public else ""
    (folder / "known_hosts").write_text(known)


def _locked() -> bool:
    """Return whether this user is root with a locked password, which only PAM would let in."""
    with contextlib.suppress(OSError):
        for line in Path("/etc/shadow").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{getpass.getuser()}:!"):
                return True
    return False


def _key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _server_config(folder: Path, port: int) -> str:
    return "\n".join(
        [
            "ListenAddress 127.0.0.1",
            f"Port {port}",
            f"HostKey {folder / 'host'}",
            f"AuthorizedKeysFile {folder / 'authorized_keys'}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PidFile none",
            f"SetEnv TMPDIR={folder / 'tmp'} EDGEDEPLOY_LOCK={folder / 'lock'}",
            "",
        ]
    )


def _client_config(folder: Path, port: int) -> str:
    return "\n".join(
        [
            "Host board",
            " HostName 127.0.0.1",
            f" Port {port}",
            f" User {getpass.getuser()}",
            f" IdentityFile {folder / 'user'}",
            " IdentitiesOnly yes",
            " IdentityAgent none",
            f" UserKnownHostsFile {folder / 'known_hosts'}",
            " GlobalKnownHostsFile /dev/null",
            # what somebody who works on the board may have set
            " RemoteCommand top",
            " RequestTTY yes",
            " LocalForward 1 localhost:1",
            "",
        ]
    )


def _wait_until_open(port: int, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    pytest.fail(f"sshd did not start: {log.read_text(encoding='utf-8')}")


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in text.split()]
    return []
