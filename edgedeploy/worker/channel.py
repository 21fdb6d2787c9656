"""The worker's two ends: one job on stdin, JSON lines on stdout and nothing else there."""

import json
import os
import sys
import threading
from typing import IO, Any, Dict

from ..runtime.errors import EdgeDeployError


class Channel:
    """Where a job's events go.

    Args:
        out: Text file that the host reads line by line.
    """

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def phase(self, name: str) -> None:
        """Say what begins now."""
        self._send({"event": "phase", "phase": name})

    def progress(self, runs: int, seconds: float) -> None:
        """Say how far the timed calls are."""
        self._send({"event": "progress", "runs": runs, "seconds": seconds})

    def tell(self, event: str, **facts: Any) -> None:
        """Tell something that only one kind of job does."""
        self._send(dict(facts, event=event))

    def result(self, result: Dict[str, Any]) -> None:
        """Hand over what the job asked for; the last event."""
        self._send({"event": "result", "result": result})

    def error(self, error: EdgeDeployError) -> None:
        """Say why there is no result; the last event."""
        self._send(
            {
                "event": "error",
                "problem": error.problem,
                "fix": error.fix,
                "exit_code": error.exit_code,
                "kind": type(error).__name__,
            }
        )

    def _send(self, event: Dict[str, Any]) -> None:
        self._out.write(json.dumps(event) + "\n")
        self._out.flush()


def take_stdout() -> IO[str]:
    """Return the real stdout and send whatever else is printed there to stderr.

    Vendor libraries print from C++ to file descriptor 1, which would corrupt the JSON lines.
    """
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(real, "w", encoding="utf-8")


def exit_with_parent(stdin: int = 0) -> None:
    """End this process as soon as its stdin ends: the host, or the line to it, is gone.

    A thread that waits in ``read`` costs no time on the CPU, and works through SSH as well. It
    reads the bare file descriptor, for `sys.stdin` must not be held when Python shuts down.
    """

    def wait() -> None:
        while os.read(stdin, 4096):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
