"""What tells how much memory is held on the device that computes.

A gauge tells either what this process holds, or how much is in use in all: then only the change
since the process started says something of it, and other programs are in that change.
"""

import abc
from typing import Optional

OTHERS = "other programs are in it"
"""Stands in every rule that is not of this process alone."""


class Gauge(abc.ABC):
    """Something that tells memory.

    Attributes:
        name: For reasons.
        rule: What its numbers are; of a level: what their change is.
        is_own: Whether it tells what this process holds; else it tells a level.
        reason: Why the last reading gave nothing.
    """

    name = ""
    rule = ""
    is_own = False
    reason: Optional[str] = None

    @abc.abstractmethod
    def read(self) -> Optional[int]:
        """Return bytes now, or None, and then `reason` says why.

        One that `is_own` returns 0 where this process is in no list.
        """
