"""A child process that does not outlive its parent, not even one that was killed.

Source: prctl(2), PR_SET_PDEATHSIG. Linux forgets it for programs with another user's rights, and
counts the parent's thread, not the process: start the child from the main thread.
"""

import ctypes
import os
import signal
import sys
from typing import Callable, Dict, List, Optional, Tuple

_SET_DEATH_SIGNAL = 1


def death_signal() -> Optional[Callable[[], None]]:
    """Return what a child calls before all else to be killed with its parent; None: not Linux.

    The library is looked up here, for between fork and exec that is not safe.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        return None

    def set_signal() -> None:
        prctl(_SET_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)

    return set_signal


def die_with_parent() -> None:
    """Let this process go without a word when it is interrupted or its parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    mark = death_signal()
    if mark is not None:
        mark()


def program(module: str) -> Tuple[List[str], Dict[str, str]]:
    """Return the command that runs a module of this folder, and the environment it needs.

    Args:
        module: Its name, e.g. ``"recorder"``.
    """
    package, _, _ = __name__.rpartition(".")
    folder = os.path.abspath(__file__)
    for _ in __name__.split("."):
        folder = os.path.dirname(folder)
    paths = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH", "")]))
    return [sys.executable, "-m", f"{package}.{module}"], dict(os.environ, PYTHONPATH=paths)
