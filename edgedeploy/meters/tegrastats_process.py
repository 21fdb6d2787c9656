"""``tegrastats`` as a process that is started, read as its lines come, and ended.

A line has the time of its arrival: its own stamp has whole seconds, and its interval is longer
than the one asked for. Its second column is an average since its start, so only the first counts.
"""

import os
import re
import subprocess
from typing import List, Optional, Tuple

from ..runtime.errors import FileError
from . import parent, tegrastats
from .counters import monotonic_ns
from .sampling import Reader, Sample

AS_ROOT = "run as root: sudo -E $(command -v edgedeploy) profile …"

_CHUNK = 65536
_LONGEST_LINE = 16384  # bytes; a real one has at most about 800
_MOST_OTHERS = 20  # lines without a record at the start
_SHOWN = 80
_GOODBYE_S = 0.5
_WANTS_ROOT = re.compile(r"\broot\b|sudo|permission|not permitted|denied", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\uffff]+")


def start(root: str, interval_ms: int) -> Tuple[Optional[Reader], Optional[str]]:
    """Start ``tegrastats``.

    Args:
        root: Where the file system starts.
        interval_ms: Between two lines; the real one is a little longer.

    Returns:
        Its reader and None, or None and why there is none.
    """
    program = tegrastats.find(root)
    if program is None:
        return None, tegrastats.ABSENT
    try:
        process = subprocess.Popen(
            [program, "--interval", str(interval_ms)],
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=parent.death_signal(),  # noqa: PLW1509 -- the process has one thread
        )
    except OSError as error:
        return None, f"{program} cannot be started: {error.strerror}"
    return _Process(process), None


class _Process(Reader):
    """A running ``tegrastats``."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        self._process = process
        self._stdout = process.stdout
        self._buffer = b""
        self._records = 0
        self._others = 0
        self._last_other = ""
        os.set_blocking(self._stdout.fileno(), False)

    def complaint(self) -> str:
        """Return what was printed instead of power, and what to do."""
        if self._records:
            return f"it prints no power rails, which may be for root only (fix: {AS_ROOT})"
        if not self._last_other:
            return "it has printed nothing"
        fix = f" (fix: {AS_ROOT})" if _WANTS_ROOT.search(self._last_other) else ""
        return f"it has printed no record, but {self._last_other!r}{fix}"

    def fileno(self) -> int:
        """Return its output."""
        return self._stdout.fileno()

    def read(self) -> List[Sample]:
        """Return the records of the lines that are complete."""
        t_ns = monotonic_ns()
        try:
            data = os.read(self._stdout.fileno(), _CHUNK)
        except BlockingIOError:
            return []
        if not data:
            self.ended = self._how_it_ended()
            lines, self._buffer = [self._buffer], b""
        else:
            lines = (self._buffer + data).split(b"\n")
            self._buffer = lines.pop()[-_LONGEST_LINE:]
        samples = [self._parse(t_ns, line[-_LONGEST_LINE:]) for line in lines]
        return [sample for sample in samples if sample is not None]

    def close(self) -> None:
        """End it, by force if it does not go."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=_GOODBYE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._stdout.close()

    def _parse(self, t_ns: int, line: bytes) -> Optional[Sample]:
        """Read one line; of several records without breaks in between the last one counts."""
        text = line.decode("utf-8", "replace")
        try:
            record = tegrastats.parse_line(text)
        except FileError:
            self._last_other = _UNPRINTABLE.sub(" ", text).strip()[:_SHOWN] or self._last_other
            self._others += 1
            if self._others >= _MOST_OTHERS and not self._records:
                self.ended = f"it was given up after {self._others} lines"
            return None
        self._records += 1
        return Sample(t_ns, record.rails_mw, record.ram_used_mb)

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(timeout=_GOODBYE_S)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"
