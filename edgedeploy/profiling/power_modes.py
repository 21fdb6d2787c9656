"""A board's power modes from the host: a guardian process there sets them, and goes back.

The guardian (`edgedeploy.worker.power_modes`) is no child that this process ends: it goes back by
itself when the pipe or the line to it closes, so also when this process is killed. Here it is made
sure that it has, and where it has not, a second one tries, and the error says what to type.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import EdgeDeployError, MeasurementError, UsageError
from edgedeploy.meters.power_modes import PowerMode
from edgedeploy.profiling.guardian import Guardian
from edgedeploy.profiling.verdict import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.profiling.remote import Board

ALL = "all"

_UNSETTLED = "the clocks had not settled 10 s after the power mode was set"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """A mode that the board is in now.

    Attributes:
        mode: It.
        before: The mode before; None: the board was in this one already.
        settled: Whether the clocks have followed.
    """

    mode: PowerMode
    before: PowerMode | None
    settled: bool


class Guard:
    """Sets the modes of this machine or a board until the block ends, then the first one again.

    Args:
        board: Where; None: this machine.

    Raises:
        UnsupportedError: There are no power modes, or this user may not set them.
        EdgeDeployError: At the end: the first mode could not be set again.
    """

    def __init__(self, board: Board | None) -> None:
        self._board = board
        self._guardian = Guardian(board)
        self._ended = False
        with contextlib.ExitStack() as stack:
            stack.callback(self._guardian.let_go)  # it has set nothing yet
            told = self._guardian.hear("modes")
            stack.pop_all()
        self.modes = tuple(PowerMode(*one) for one in told["modes"])
        self.first = PowerMode(*told["first"])
        self._locked = bool(told["locked"])
        self._unlocked = False

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def reachable(self) -> bool:
        """Whether the board still is; this machine always is."""
        return self._board is None or self._board.reachable

    def set(self, mode: PowerMode) -> Change:
        """Set a mode and wait until the clocks have followed.

        Raises:
            UnsupportedError: It takes a restart.
            EdgeDeployError: It was refused; the board is in the first mode.
        """
        told = self._guardian.ask({"set": mode.number}, "set")
        before = None if told["before"] is None else PowerMode(*told["before"])
        if before is not None and self._locked and not self._unlocked:
            _log.warning(
                "the clocks were locked, as by jetson_clocks, which a change of the power mode "
                "undoes: they vary from here on, and each profile says so"
            )
            self._unlocked = True
        return Change(mode, before, told["settled"])

    def require(self, mode: PowerMode) -> None:
        """Make sure that the board is still in a mode.

        Raises:
            MeasurementError: Something else has set another one.
        """
        now = PowerMode(*self._guardian.ask({"query": True}, "mode")["mode"])
        if now.number != mode.number:
            raise MeasurementError(
                f"the power mode is {now.name} after a profile that was to be taken in {mode.name}",
                fix="look what else sets power modes, e.g. the desktop's menu, and measure again",
            )

    def end(self) -> None:
        """Let the first mode be set again, and make sure that it is; a second call does nothing.

        Raises:
            EdgeDeployError: The board is not in the first mode, or nobody knows; the fix is what
                to type.
        """
        if self._ended:
            return
        self._ended = True
        earlier = sys.exc_info()[1]  # what ended the sweep, which an error here would hide
        try:
            told = self._guardian.end()
        except EdgeDeployError as error:
            told = self._again(error, earlier)
        if self._unlocked and not told["locked"]:
            _log.warning(
                "the power mode is %s again, the clocks are not locked any more: %s",
                self.first.name,
                self._command("jetson_clocks"),
            )

    def _again(self, error: EdgeDeployError, earlier: BaseException | None) -> dict[str, Any]:
        """Let a second guardian set the first mode.

        Raises:
            EdgeDeployError: That failed too.
        """
        type_this = self._command(f"nvpmodel -m {self.first.number}")
        before = f"; before that: {earlier.problem}" if isinstance(earlier, EdgeDeployError) else ""
        if self._board is not None and not self._board.reachable:
            raise EdgeDeployError(
                f"{self._board.host} was lost before it was known to be in power mode "
                f"{self.first.name} again, which it sets by itself{before}",
                fix=f"look: {self._command('nvpmodel -q')}; if it is not: {type_this}",
            ) from error
        try:
            return Guardian(self._board, restore=self.first.number).end()
        except EdgeDeployError as last:
            raise EdgeDeployError(
                f"the power mode is not {self.first.name} again, as it was before: "
                f"{last.problem}{before}",
                fix=f"type: {type_this} (and let the board restart if it wants to)",
            ) from last

    def _command(self, text: str) -> str:
        return f"sudo {text}" if self._board is None else f"ssh -t {self._board.host} sudo {text}"


def choose(asked: Sequence[str], modes: Sequence[PowerMode]) -> list[PowerMode]:
    """Return the modes that are meant, each once, in the order in which they were asked for.

    Args:
        asked: Names in any case, numbers, or ``"all"``, several with commas.
        modes: Those of the board.

    Raises:
        UsageError: There is no such mode.
    """
    words = [word.strip() for text in asked for word in text.split(",") if word.strip()]
    found: list[PowerMode] = []
    for word in words:
        named = [mode for mode in modes if word.lower() in (ALL, mode.name.lower())]
        numbered = [mode for mode in modes if word == str(mode.number)]
        if not named and not numbered:
            known = ", ".join(f"{mode.name} ({mode.number})" for mode in modes)
            raise UsageError(
                f"this board has no power mode {word!r}", fix=f"use one of: {known}, or {ALL}"
            )
        found += [mode for mode in named or numbered if mode not in found]
    if not found:
        raise UsageError("--power-mode is empty", fix=f"name a mode, or {ALL}")
    return found


def stamp(record: ProfileRecord, change: Change) -> ProfileRecord:
    """Return a record with the mode that it was taken in, as nvpmodel says it.

    One whose clocks had not settled is suspect.
    """
    document = dict(record.document)
    document["device"] = {**document["device"], "power_mode": change.mode.name}
    if change.before is not None:
        document["power_mode_change"] = {"from": change.before.name, "to": change.mode.name}
    if not change.settled:
        verdict = document["verdict"]
        document["verdict"] = {
            **verdict,
            "level": max(verdict["level"], "suspect", key=LEVELS.index),
            "reasons": [*verdict["reasons"], _UNSETTLED],
        }
    return replace(record, document=document)
