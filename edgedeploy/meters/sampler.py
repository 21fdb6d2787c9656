"""The near side of the sampler's process: start it, ask for what it has, end it.

Between the two the measuring process does nothing for it, not even reading a pipe.
"""

import json
import os
import select
import subprocess
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from . import parent
from .counters import monotonic_ns
from .recorder import Order

_PATIENCE_S = 15.0  # a cold start of Python from an SD card
_GOODBYE_S = 2.0


class Recording(NamedTuple):
    """What was recorded.

    Attributes:
        t_ns: When, on the clock of `counters.monotonic_ns`; ascending.
        rails_mw: Milliwatts by rail, one for each time; None where that rail was not told.
        steps_mw: The resolution of rails, as far as the sensor tells it.
        ended: Why the sensor stopped before it was asked to; None if it did not.
    """

    t_ns: List[int]
    rails_mw: Dict[str, List[Optional[int]]]
    steps_mw: Dict[str, float]
    ended: Optional[str]


class Sampler:
    """A process that samples one sensor.

    It ends with this process, however that ends: by the end of its stdin, and on Linux also by a
    signal when its parent dies. It stays in this process group, so what ends the group ends it.

    Args:
        order: What to record.
        patience_s: To wait for an answer, beyond the time that the sensor may take.
    """

    def __init__(self, order: Order, patience_s: float = _PATIENCE_S) -> None:
        self._order = order
        self._patience_s = patience_s
        self._process: "Optional[subprocess.Popen[bytes]]" = None
        self._buffer = b""

    def start(self) -> Optional[str]:
        """Start it and wait for the first power; return None, or why there is none."""
        command, environment = parent.program("recorder")
        try:
            self._process = subprocess.Popen(
                [*command, json.dumps(self._order._asdict())],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
            )
        except OSError as error:
            return f"the sampler's process cannot be started: {error.strerror}"
        answer, reason = self._hear(self._order.start_s + self._patience_s)
        return reason if answer is None else answer["reason"]

    def stop(self) -> Tuple[Optional[Recording], Optional[str]]:
        """Take what it has until now and one sample more, and end it.

        Returns:
            The recording and None, or None and why there is none.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"stop\n")
        except BrokenPipeError:
            return None, self._death()
        answer, reason = self._hear(self._order.gap_s + self._patience_s)
        self.close()
        return (None, reason) if answer is None else (Recording(**answer), None)

    def close(self) -> None:
        """End it. May be called at any time."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()
        try:
            process.wait(timeout=_GOODBYE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _hear(self, patience_s: float) -> Tuple[Optional[Dict[str, Any]], Optional[str]]:
        """Return its next line, or None and why there is none."""
        assert self._process is not None
        assert self._process.stdout is not None
        file = self._process.stdout.fileno()
        until_ns = monotonic_ns() + int(patience_s * 1e9)
        while b"\n" not in self._buffer:
            left_s = (until_ns - monotonic_ns()) / 1e9
            if left_s <= 0 or not select.select([file], [], [], left_s)[0]:
                return None, f"the sampler's process has not answered for {patience_s:g} s"
            data = os.read(file, 1 << 20)
            if not data:
                return None, self._death()
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line.decode("utf-8"))), None

    def _death(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(timeout=_GOODBYE_S)
        except subprocess.TimeoutExpired:
            return "the sampler's process closed its output"
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"the sampler's process {how}"
