"""A sweep over artifacts and a board's power modes: what is measured next, and in which mode."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import EdgeDeployError
from edgedeploy.pipeline.places import Failure
from edgedeploy.profiling import power_modes as profiling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgedeploy.meters.power_modes import PowerMode
    from edgedeploy.pipeline.resuming import Measured
    from edgedeploy.profiling.power_modes import Change, Guard
    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.profiling.remote import Board


@dataclass(frozen=True, slots=True)
class Step:
    """One artifact, in one power mode where modes were asked for.

    Attributes:
        number: Of the sweep's steps, from 1.
        artifact: Its folder.
        measured: Its profile, if an earlier sweep left one.
        stamp: Puts the mode into its new profile.
        note: What a line about it says of the mode, e.g. ``" (15W)"``.
    """

    number: int
    artifact: Path
    measured: Measured | None
    stamp: Callable[[ProfileRecord], ProfileRecord]
    note: str = ""


class PowerModes:
    """The power modes of a sweep.

    Args:
        guard: Sets them; None: the mode stays as it is.
        modes: Those asked for.
    """

    def __init__(self, guard: Guard | None, modes: Sequence[PowerMode]) -> None:
        self._guard = guard
        self._modes = modes
        self._left: dict[PowerMode, EdgeDeployError] = {}

    def __len__(self) -> int:
        """How often each artifact is measured."""
        return max(1, len(self._modes))

    def steps(
        self,
        artifacts: Sequence[Path],
        seek: Callable[..., Mapping[Path, Measured]] | None,
        skip: Callable[[Failure], None],
    ) -> Iterator[Step]:
        """Yield what is to be measured; the board is in its mode meanwhile.

        Args:
            artifacts: To be measured in every mode.
            seek: Returns what is measured already in the mode of the name ``power_mode``; None:
                nothing is looked for.
            skip: Is told of a mode that cannot be set; the others go on.

        Raises:
            EdgeDeployError: The board is lost.
        """
        if self._guard is None:
            done = {} if seek is None else seek(power_mode=None)
            for number, artifact in enumerate(artifacts, start=1):
                yield Step(number, artifact, done.get(artifact), lambda record: record)
            return
        for place, mode in enumerate(self._modes):
            try:
                change = self._guard.set(mode)
            except EdgeDeployError as error:
                if not self._guard.reachable:
                    raise
                self._left[mode] = error
                skip(Failure(mode.name, error))
                continue
            done = {} if seek is None else seek(power_mode=mode.name)
            stamp = partial(self._stamp, self._guard, change)
            for number, artifact in enumerate(artifacts, start=1 + place * len(artifacts)):
                yield Step(number, artifact, done.get(artifact), stamp, f" ({mode.name})")

    def end(self) -> None:
        """Set the mode that the board was in; a second call does nothing.

        Raises:
            EdgeDeployError: It could not be set; the fix is the command to type.
        """
        if self._guard is not None:
            self._guard.end()

    def told(self) -> dict[str, Any]:
        """Return what JSON says of them; empty if none was asked for."""
        if self._guard is None:
            return {}
        return {
            "power_modes": [
                {
                    "id": mode.number,
                    "name": mode.name,
                    "measured": mode not in self._left,
                    "reason": self._left[mode].problem if mode in self._left else None,
                    "fix": self._left[mode].fix if mode in self._left else None,
                }
                for mode in self._modes
            ]
        }

    @staticmethod
    def _stamp(guard: Guard, change: Change, record: ProfileRecord) -> ProfileRecord:
        guard.require(change.mode)
        return profiling.stamp(record, change)


@contextlib.contextmanager
def power_modes(asked: Sequence[str], board: Board | None) -> Iterator[PowerModes]:
    """Give the power modes that were asked for; at the end the first one is set again.

    Args:
        asked: Names, numbers or ``"all"``; empty: the mode stays as it is.
        board: Whose; None: this machine's.

    Raises:
        UnsupportedError: There are none, or this user may not set them.
        UsageError: There is none of that name.
        EdgeDeployError: At the end: the mode that the board was in could not be set again.
    """
    if not asked:
        yield PowerModes(None, ())
        return
    with profiling.Guard(board) as guard:
        yield PowerModes(guard, profiling.choose(asked, guard.modes))
