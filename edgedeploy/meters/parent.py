"""A child process that does not outlive its parent, not even one that was killed.

Source: prctl(2), PR_SET_PDEATHSIG. Linux forgets it for programs with another user's rights, and
counts the parent's thread, not the process: start the child from the main thread.
"""

import ctypes
import signal
from typing import Callable, Optional

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
