"""A program called ``nvpmodel`` whose board is a folder: as those of several JetPacks answer."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NANO = {0: "MAXN", 1: "5W"}
ORIN_NANO = {0: "15W", 1: "25W", 2: "MAXN_SUPER", 3: "7W"}

_SCRIPT = """#!/bin/sh
cd {board} || exit
has() {{ [ -e "$1" ] && read -r ids < "$1"; case " $ids " in *" $2 "*) ;; *) false ;; esac; }}
echo "$*" >> calls
read -r now < mode
case "$*" in
-q)
  if [ -e mute ]; then
    echo "NVPM ERROR: Error opening /var/lib/nvpmodel/status: 13" >&2
    exit 13
  fi
  {greeting}
  case $now in {names} esac
  echo "NV Power Mode: $name"
  echo "$now"
  ;;
"-p --verbose")
  echo "NVPM VERB: Config file: /etc/nvpmodel.conf"
  {listing}
  ;;
"-m "*)
  if ids= && has restarts "$2"; then
    echo "NVPM WARN: Golden image context is already created"
    echo "NVPM WARN: Reboot required for changing to this power mode: $2"
    echo "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:"
    read -r answer
    case $answer in [Yy]*) : > restarted ;; esac
    echo "NVPM ERROR: optMask is 1, no request for power mode"
    exit 234
  fi
  if ids= && has fails "$2"; then
    echo "NVPM ERROR: Error writing 2 to /sys/devices/gpu.0/fbp_pg_mask: 19"
    echo "NVPM ERROR: failed to set power mode!" >&2
    exit 255
  fi
  if [ -e slow ]; then : > changing; sleep 0.3; fi
  echo "$2" > new
  mv new mode
  ;;
esac
"""
_SUDO = """#!/bin/sh
if [ "$1 $2 $3" != "-n -k --" ]; then echo "$*"; exit 99; fi
if [ {refuses} = True ]; then echo "sudo: a password is required" >&2; exit 1; fi
shift 3
exec "$@"
"""
GREETINGS = {
    "L4T 32 of a Nano": 'echo "NVPM WARN: fan mode is not set!"',
    "L4T 32 of a Xavier": 'echo "NV Fan Mode:quiet"',
    "L4T 36": ":",
}


@dataclass(frozen=True)
class FakeModes:
    """A board with power modes.

    Attributes:
        bin: Folder of the program, for ``PATH``.
        board: Its state.
    """

    bin: Path
    board: Path

    @property
    def mode(self) -> int:
        """Number of the mode that it is in."""
        return int((self.board / "mode").read_text())

    @property
    def changes(self) -> list[int]:
        """Numbers that were to be set, in their order."""
        file = self.board / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith("-m")]

    def has(self, name: str, text: str = "") -> None:
        """Let it ask for ``restarts``, refuse (``fails``), be ``slow`` for modes, or ``mute``."""
        (self.board / name).write_text(text)

    def hears_no_more(self, name: str) -> None:
        """Undo `has`."""
        (self.board / name).unlink()


def install(
    folder: Path,
    modes: dict[int, str] = NANO,
    *,
    greeting: str = "L4T 36",
    mode: int = 0,
) -> FakeModes:
    """Make one in ``folder``.

    Args:
        folder: Made if it is not there.
        modes: By number.
        greeting: What ``-q`` prints first; see `GREETINGS`.
        mode: That it is in.
    """
    made = FakeModes(folder / "bin", folder / "board")
    made.bin.mkdir(parents=True)
    made.board.mkdir()
    made.has("mode", str(mode))
    _write(
        made.bin / "nvpmodel",
        _SCRIPT.format(
            board=shlex.quote(str(made.board)),
            names=" ".join(f"{number}) name={name} ;;" for number, name in modes.items()),
            listing="\n  ".join(
                f"echo 'NVPM VERB: POWER_MODEL: ID={number} NAME={name}'\n"
                "  echo 'NVPM VERB: PARAM CPU_ONLINE: ARG CORE_1: PATH /sys/cpu1: CONF_VAL: 1'"
                for number, name in modes.items()
            ),
            greeting=GREETINGS[greeting],
        ),
    )
    return made


def install_sudo(made: FakeModes, *, refuses: bool = False) -> None:
    """Put a ``sudo`` beside it, which needs no password, or refuses without one."""
    _write(made.bin / "sudo", _SUDO.format(refuses=refuses))


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
