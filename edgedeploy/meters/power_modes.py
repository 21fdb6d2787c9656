"""A Jetson's power modes: which there are, which it is in, and setting one.

``nvpmodel`` is called as root, or by ``sudo`` where that needs no password. It is never let restart
the board: its question is answered with no. What it prints and asks is that of L4T 32 to 39.
Source: NVIDIA's Jetson Linux guides, "Supported Modes and Power Efficiency"; its answers on boards
of users; sudo(8) for ``-k`` in front of a command.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections import OrderedDict
from typing import IO, List, NamedTuple, Optional, Sequence, Tuple

from ..runtime.errors import EdgeDeployError, UnsupportedError
from .sysfs import join, read_text

PROGRAM = "nvpmodel"

_FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin")
"""Where it is besides ``$PATH``: a login that is not root's often has no ``sbin`` there."""
_CONFIG = "etc/nvpmodel.conf"
_LISTED = re.compile(
    r"(?:^[ \t]*<[ \t]*POWER_MODEL|POWER_MODEL:)[ \t]+ID=(\d{1,4})[ \t]+"
    r"NAME=([!-~]{1,40}?)[ \t]*>?$",
    re.ASCII | re.MULTILINE,
)
_CURRENT = re.compile(r"NV Power Mode:[ \t]*([!-~]{1,40})", re.ASCII)
_NUMBER = re.compile(r"^[ \t]*(\d{1,4})[ \t]*$", re.ASCII | re.MULTILINE)
_WANTS_RESTART = re.compile(r"reboot", re.IGNORECASE)
_SUDO_REFUSES = re.compile(r"^sudo:|password|sudoers|may not run|not allowed", re.IGNORECASE)
_ANSWER = b"no\n"
_PATIENCE_S = 60.0
_MOST_SAID = 1 << 16
_SHOWN = 200
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


class PowerMode(NamedTuple):
    """One of a board's modes.

    Attributes:
        number: What ``nvpmodel -m`` takes; the same number is another mode on another board.
        name: E.g. ``"MAXN"``.
    """

    number: int
    name: str


class NeedsRestartError(UnsupportedError):
    """The board would have to restart for this mode, and has not."""


def read_list(root: str = "/") -> List[PowerMode]:
    """Return the modes that ``nvpmodel.conf`` lists, in its order; none if it cannot be read.

    Args:
        root: Where the file system starts.
    """
    return _listed(read_text(join(root, _CONFIG)) or "")


def find(root: str = "/", path: Optional[str] = None) -> Optional[str]:
    """Return the path of the ``nvpmodel`` program; None if it is not here.

    Args:
        root: Where the file system starts.
        path: Folders to search first, separated as in ``$PATH``, which is the default.
    """
    return _find(PROGRAM, root, path)


class Nvpmodel:
    """The program, with the rights that it needs.

    Args:
        root: Where the file system starts.
        path: As for `find`; of ``sudo`` too.
        user: Number of the user who calls; None: who this process is.
        patience_s: Seconds that one call of the program may take.

    Raises:
        UnsupportedError: It is not here, or this user may not call it as root.
    """

    def __init__(
        self,
        root: str = "/",
        path: Optional[str] = None,
        user: Optional[int] = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        program = find(root, path)
        if program is None:
            raise UnsupportedError(
                "this machine has no nvpmodel, which sets the power mode of a Jetson",
                fix="leave --power-mode out, or measure on a Jetson: --host root@board",
            )
        self.program = program
        self._patience_s = patience_s
        self._before = []  # type: List[str]
        if (os.geteuid() if user is None else user) != 0:
            sudo = _find("sudo", root, path)
            if sudo is None:
                raise self._no_right("there is no sudo")
            # -k: a password that was typed a while ago does not count, for it would be asked for
            # again when the mode is to be put back
            self._before = [sudo, "-n", "-k", "--"]
        self.modes = read_list(root) or _listed(self._call("-p", "--verbose")[1])
        if not self.modes:
            raise UnsupportedError(
                f"{join(root, _CONFIG)} lists no power mode, and {program} -p --verbose neither",
                fix="leave --power-mode out, or reinstall the package nvidia-l4t-nvpmodel",
            )

    def query(self) -> PowerMode:
        """Return the mode that the board is in.

        Raises:
            EdgeDeployError: The program does not say.
        """
        code, said = self._call("-q")
        found = _CURRENT.search(said)
        number = None if found is None else _NUMBER.search(said, found.end())
        if found is not None and number is not None:
            return PowerMode(int(number.group(1)), found.group(1))
        named = [] if found is None else [one for one in self.modes if one.name == found.group(1)]
        if len(named) == 1:
            return named[0]
        raise EdgeDeployError(
            f"{self.program} -q does not say the power mode (exit code {code}): {_shown(said)}",
            fix="see what it says: sudo nvpmodel -q",
        )

    def set(self, mode: PowerMode) -> None:
        """Set a mode, and make sure that it is set; the board never restarts.

        Raises:
            NeedsRestartError: It takes a restart; the board is in the mode that it was in.
            EdgeDeployError: The program refused; parts of the mode may be set all the same.
        """
        code, said = self._call("-m", str(mode.number))
        now = self.query()
        wants_restart = _WANTS_RESTART.search(said)
        # some releases ask for a restart even for the mode that the board is in
        if now.number == mode.number and (code == 0 or wants_restart):
            return
        if wants_restart:
            raise NeedsRestartError(
                f"power mode {mode.name} takes a restart of the board, which is yours to do",
                fix="set it, let the board restart, and measure without --power-mode: "
                f"sudo nvpmodel -m {mode.number}",
            )
        raise EdgeDeployError(
            f"nvpmodel did not set power mode {mode.name} (exit code {code}), the board is in "
            f"{now.name}: {_shown(said)}",
            fix=f"see why: sudo nvpmodel -m {mode.number}",
        )

    def _call(self, *arguments: str) -> Tuple[int, str]:
        """Return the exit code and what was printed, errors included.

        Raises:
            UnsupportedError: sudo refuses.
            EdgeDeployError: It cannot be started, or does not end.
        """
        argv = [*self._before, self.program, *arguments]
        with tempfile.TemporaryFile() as out:
            code = _run(argv, out, self._patience_s)
            out.seek(0)
            said = out.read(_MOST_SAID).decode("utf-8", "replace")
        if code != 0 and self._before and _SUDO_REFUSES.search(said):
            raise self._no_right(_shown(said))
        return code, said

    def _no_right(self, why: str) -> UnsupportedError:
        return UnsupportedError(
            "a power mode is set by root, and this user is not: " + why,
            fix="measure as root (sudo -E $(command -v edgedeploy) profile …, or --host "
            "root@board), or let this user call nvpmodel without a password: "
            'echo "$USER ALL=(root) NOPASSWD: '
            + self.program
            + '" | sudo tee /etc/sudoers.d/nvpmodel',
        )


def _listed(text: str) -> List[PowerMode]:
    """Return the modes of a text in its order, each once: a file may list one twice."""
    found = [PowerMode(int(number), name) for number, name in _LISTED.findall(text)]
    return list(OrderedDict.fromkeys(found))


def _find(name: str, root: str, path: Optional[str]) -> Optional[str]:
    folders = (os.environ.get("PATH", "") if path is None else path).split(os.pathsep)
    for folder in [*filter(None, folders), *_FOLDERS]:
        program = join(root, folder, name)
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    return None


def _run(argv: Sequence[str], out: IO[bytes], patience_s: float) -> int:
    """Run a program in a session of its own: what ends us must not end it half-way."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, LC_ALL="C"),
            start_new_session=True,
        )
    except OSError as error:
        raise EdgeDeployError(
            f"{argv[0]} cannot be started: {error.strerror}",
            fix="see: sudo nvpmodel -q",
        ) from error
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it asks nothing
        process.stdin.write(_ANSWER)
        process.stdin.flush()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        return process.wait(timeout=patience_s)
    except subprocess.TimeoutExpired as error:
        with contextlib.suppress(PermissionError):  # root's, through sudo
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise EdgeDeployError(
            f"{' '.join(argv)} has not ended within {patience_s:g} s",
            fix="restart the board if nvpmodel hangs: sudo nvpmodel -q",
        ) from error


def _shown(said: str) -> str:
    text = _UNPRINTABLE.sub(" ", said).strip()
    return text[-_SHOWN:] or "it says nothing"
