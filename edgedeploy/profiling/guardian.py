"""Talking to a guardian of the power mode: the process of `edgedeploy.worker.power_modes`."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from edgedeploy.profiling import board_scripts, listening, worker_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgedeploy.errors import EdgeDeployError
    from edgedeploy.profiling.remote import Board

_PATIENCE_S = 240.0
"""Longer than it may take: three calls of nvpmodel, and the clocks."""
_GOODBYE_S = 5.0
_PHASE = "power mode"


class Guardian:
    """A guardian process. It is never ended from here: it ends when the line to it does.

    Args:
        board: Where; None: this machine.
        restore: Number of the mode to set at once; None: it waits to be told.
        patience_s: Seconds within which it must answer.
    """

    def __init__(
        self, board: Board | None, restore: int | None = None, patience_s: float = _PATIENCE_S
    ) -> None:
        here = [sys.executable, "-m", "edgedeploy.worker"]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 -- open as long as the process is
        self._host = None if board is None else board.host
        self._process = subprocess.Popen(
            here if board is None else board.guardian_argv(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # Ctrl-C reaches us alone
        )
        assert self._process.stdout is not None
        self._said: Iterator[bytes] = listening.lines(self._process.stdout, patience_s)
        if board is not None:
            self._said = itertools.dropwhile(
                lambda line: line.rstrip() != board_scripts.BEGIN, self._said
            )
        self._send({"job": "power_mode", "restore": restore})

    def ask(self, order: Mapping[str, Any], answer: str) -> dict[str, Any]:
        """Send an order and return its answer.

        Raises:
            EdgeDeployError: It was refused, or the guardian is gone.
        """
        self._send(order)
        return self.hear(answer)

    def hear(self, wanted: str) -> dict[str, Any]:
        """Wait for an event and return it.

        Raises:
            EdgeDeployError: An order was refused, or the guardian is gone.
        """
        for event in self._events():
            if event["event"] == "refused":
                raise self._named(worker_process.translated(event))
            if event["event"] == wanted:
                return event
        raise self._died()

    def end(self) -> dict[str, Any]:
        """Close the line, so that it sets the first mode again, and return what it says then.

        Raises:
            EdgeDeployError: It has not set it, is gone, or says nothing.
        """
        self._close_stdin()
        try:
            # what is left of an order that was interrupted is passed over
            for event in self._events():
                if event["event"] == "result":
                    return dict(event["result"])
            raise self._died()
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Close the line and give the process time to end; it is not killed."""
        self._close_stdin()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_GOODBYE_S)
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._stderr.close()

    def _events(self) -> Iterator[dict[str, Any]]:
        """Yield what it says until it says no more.

        Raises:
            EdgeDeployError: It says why it ends, or nothing for too long.
        """
        for line in self._said:
            if line.rstrip() == board_scripts.BEGIN:
                continue
            event = worker_process.read_event(line)
            if event["event"] == "error":
                raise self._named(worker_process.translated(event))
            yield event

    def _died(self) -> EdgeDeployError:
        code = self._process.wait()
        return self._named(worker_process.ended(code, _PHASE, worker_process.tail(self._stderr)))

    def _named(self, error: EdgeDeployError) -> EdgeDeployError:
        if self._host is None:
            return error
        return type(error)(f"on {self._host}: {error.problem}", fix=error.fix)

    def _send(self, line: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: its stderr says why
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()

    def _close_stdin(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
