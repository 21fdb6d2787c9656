"""A line on stderr that says what is being done, and gives way to what is printed."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgedeploy.types import Steps

_T = TypeVar("_T")
_BETWEEN_NS = 100_000_000  # drawn ten times a second at most: a builder tells thousands of steps
_ERASE = "\r\x1b[K"


class StatusLine:
    """One line, where ``stream`` is a terminal; nothing elsewhere.

    Args:
        stream: Where it is written.
        clock_ns: Monotonic, in nanoseconds.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock_ns = clock_ns
        self._shown = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn_ns: int | None = None

    def told(self, subject: str) -> Steps:
        """Return what shows how far ``subject`` is."""

        def steps(what: str, done: int, total: int) -> None:
            now_ns = self._clock_ns()
            recent = self._drawn_ns is not None and now_ns - self._drawn_ns < _BETWEEN_NS
            if not self._shown or recent:
                return
            self._drawn_ns = now_ns
            text = f"{subject}: {what} {done}/{total}" if total else f"{subject}: {what}"
            self._stream.write(_ERASE + text[: shutil.get_terminal_size().columns - 1])
            self._stream.flush()

        return steps

    def clear(self) -> None:
        """Remove the line, if there is one."""
        if self._drawn_ns is not None:
            self._stream.write(_ERASE)
            self._stream.flush()
            self._drawn_ns = None

    def cleared(self, results: Iterator[_T]) -> Iterator[_T]:
        """Yield each result with the line removed, also when there are no more, or an error."""
        try:
            for result in results:
                self.clear()
                yield result
        finally:
            self.clear()
