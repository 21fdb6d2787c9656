"""Reading /proc and /sys, whose files may be absent, forbidden, binary, huge or nonsense."""

import os
import re
from typing import List, NamedTuple, Optional

_LIMIT = 1 << 16  # bytes; a real file of these has at most a few kilobytes (cpuinfo: by core)
_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\x7e\u00a0-\uffff]")


class SensorState(NamedTuple):
    """Whether a sensor can be read here.

    Attributes:
        available: It can be read by this user, now.
        reason: Why not, as a person would say it; None if it is available.
        fix: What would make it available, or None where nothing would.
    """

    available: bool
    reason: Optional[str] = None
    fix: Optional[str] = None


def join(root: str, *parts: str) -> str:
    """Return a path below ``root``; absolute ``parts`` stay below it."""
    return os.path.join(root, *[part.lstrip("/") for part in parts])


def read_text(path: str, limit: int = _LIMIT, separator: str = "") -> Optional[str]:
    """Return a file's first ``limit`` bytes as text, stripped; None if it cannot be read.

    Bytes that are no UTF-8 and control characters are left out; ``separator`` replaces NUL, which
    ends each string of a device tree. A pipe or terminal in its place has no text.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            data = file.read(limit) or b""
    except (OSError, ValueError):  # ValueError: a path with a NUL in it
        return None
    text = data.decode("utf-8", "ignore").replace("\0", separator)
    return _UNPRINTABLE.sub("", text).strip()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_int(path: str) -> Optional[int]:
    """Return the integer that is all a file holds; None if it cannot be read or is none."""
    text = read_text(path)
    return int(text) if text is not None and _INTEGER.fullmatch(text) else None


def is_forbidden(path: str) -> bool:
    """Return whether a file is there and this user may not read it."""
    try:
        with open(path, "rb"):
            return False
    except PermissionError:
        return True
    except OSError:
        return False


def list_folder(path: str) -> List[str]:
    """Return the names in a folder, sorted; none if it cannot be read."""
    try:
        return sorted(os.listdir(path))
    except (OSError, ValueError):
        return []
