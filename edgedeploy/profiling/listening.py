"""Listening to a process that may say nothing for ever."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import IO, TYPE_CHECKING

from edgedeploy.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterator


def lines(stream: IO[bytes], timeout_s: float) -> Iterator[bytes]:
    """Yield what a worker prints, line by line, until it ends; reading starts at once.

    Raises:
        MeasurementError: It has said nothing for ``timeout_s``.
    """
    said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(stream, said), daemon=True).start()
    return _Lines(said, timeout_s)


class _Lines:
    """No generator, for that could not go on after Ctrl-C."""

    def __init__(self, said: queue.SimpleQueue[bytes | None], timeout_s: float) -> None:
        self._said = said
        self._timeout_s = timeout_s

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> bytes:
        try:
            line = self._said.get(timeout=self._timeout_s)
        except queue.Empty:
            raise MeasurementError(
                f"the worker has said nothing for {self._timeout_s:g} s",
                fix="give it more time, or look whether another process holds the device",
            ) from None
        if line is None:
            self._said.put(None)  # it stays ended
            raise StopIteration
        return line


def _read(stream: IO[bytes], said: queue.SimpleQueue[bytes | None]) -> None:
    with contextlib.suppress(ValueError):  # closed under us when the conversation ends early
        for line in stream:
            said.put(line)
    said.put(None)
