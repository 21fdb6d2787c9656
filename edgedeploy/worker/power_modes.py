"""The power mode job: a guardian that sets modes when it is told to, and always goes back.

It lives as long as its stdin is open, which the host, or the line to it, holds. It shares no
process and no signal with what measures: whatever becomes of that, the guardian hears that its
stdin has ended, or a signal, finishes the change that it is at, and sets the first mode again.
"""

import contextlib
import json
import os
import select
import signal
from typing import Any, Callable, Dict, List, Optional

from ..meters import clocks
from ..meters.power_modes import NeedsRestartError, Nvpmodel, PowerMode
from ..meters.sysfs import join, read_text
from ..runtime.errors import EdgeDeployError, UsageError
from .channel import Channel
from .jobs import PowerModeJob

_TRIES = 2
_LOOK_S = 0.1
_LOOKS_ALIKE = 5
_MOST_LOOKS = 100
_ABOVE = 1.05
"""How far a clock may read above its limit: it is measured, the limit is set."""
_ONLINE = "sys/devices/system/cpu/online"
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class NotRestoredError(EdgeDeployError):
    """The board is not in the mode that it was in."""


class Switch:
    """Changes the mode, and knows the way back.

    Args:
        program: Sets modes.
        first: The mode to go back to, which may be any other by now; None: the present one.
    """

    def __init__(self, program: Nvpmodel, first: Optional[PowerMode] = None) -> None:
        self.modes = program.modes
        self._program = program
        self._away = first is not None
        self.first = program.query() if first is None else first

    def query(self) -> PowerMode:
        """Return the mode that the board is in."""
        return self._program.query()

    def to(self, mode: PowerMode) -> Optional[PowerMode]:
        """Set a mode; return the one before, or None where the board was in this one already.

        Raises:
            NeedsRestartError: It takes a restart; nothing has changed.
            NotRestoredError: It was refused, and so was the first mode.
            EdgeDeployError: It was refused, and the first mode is set again.
        """
        before = self.query()
        if before.number == mode.number:
            return None
        was_away, self._away = self._away, True
        try:
            self._program.set(mode)
        except NeedsRestartError:
            self._away = was_away
            raise
        except EdgeDeployError:
            self.restore()
            raise
        self._away = mode.number != self.first.number
        return before

    def restore(self) -> None:
        """Go back to the first mode, if it was left.

        Raises:
            NotRestoredError: The board is not in it; the fix is the command to type.
        """
        why = ""
        for _ in range(_TRIES):
            if not self._away:
                return
            try:
                self._program.set(self.first)
                self._away = False
            except EdgeDeployError as error:
                why = error.problem
        if self._away:
            raise NotRestoredError(
                f"the power mode could not be put back to {self.first.name}: {why}",
                fix=f"type: sudo nvpmodel -m {self.first.number} (and let the board restart if it "
                "wants to)",
            )


def guard(
    job: PowerModeJob,
    channel: Channel,
    program: Callable[[], Nvpmodel] = Nvpmodel,
    stdin: int = 0,
    root: str = "/",
) -> Dict[str, Any]:
    """Set modes until stdin ends or a signal comes, then set the first one again.

    The host hears `modes` first, and then one answer to each line of its own: `set` or `refused`
    to ``{"set": NUMBER}``, `mode` to ``{"query": true}``.

    Args:
        job: Whether to listen at all.
        channel: Where the answers go.
        program: Finds nvpmodel.
        stdin: File descriptor of the host's lines.
        root: Where the file system starts.

    Returns:
        The mode that was restored, as JSON values, and whether the clocks are locked in it.

    Raises:
        UnsupportedError: There are no power modes here, or this user may not set them.
        NotRestoredError: The first mode could not be set again.
    """
    with _Ears(stdin) as ears:
        found = program()
        first = None if job.restore is None else _numbered(found.modes, job.restore)
        switch = Switch(found, first)
        try:
            if job.restore is None:
                _serve(switch, channel, ears, root)
        finally:
            switch.restore()
    return {"mode": list(switch.first), "locked": _locked(root)}


def _serve(switch: Switch, channel: Channel, ears: "_Ears", root: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the host is gone: go back
        channel.tell(
            "modes",
            modes=[list(mode) for mode in switch.modes],
            first=list(switch.first),
            locked=_locked(root),
        )
        while True:
            line = ears.line()
            if line is None:
                return
            order = json.loads(line.decode("utf-8"))
            if "set" not in order:
                channel.tell("mode", mode=list(switch.query()))
                continue
            try:
                before = switch.to(_numbered(switch.modes, order["set"]))
            except NotRestoredError:
                raise
            except EdgeDeployError as error:
                channel.tell(
                    "refused", problem=error.problem, fix=error.fix, exit_code=error.exit_code
                )
                continue
            channel.tell(
                "set",
                before=None if before is None else list(before),
                settled=before is None or settle(root, ears.ended),
            )


def settle(root: str, ended: Callable[[float], bool]) -> bool:
    """Wait until no CPU comes or goes, no limit moves, and no clock is above its own.

    Args:
        root: Where the file system starts.
        ended: Waits for some seconds; whether to wait no more.

    Returns:
        Whether that was so for half a second, within ten.
    """
    alike, last = 0, None  # type: int, Any
    for _ in range(_MOST_LOOKS):
        found = [*clocks.cpus(root).values()]
        gpu = clocks.gpu(root)
        found += [] if gpu is None else [gpu[1]]
        now = (
            read_text(join(root, _ONLINE)),
            [(clock.min_mhz, clock.max_mhz) for clock in found],
        )
        alike = alike + 1 if now == last and not any(map(_is_above, found)) else 0
        if alike >= _LOOKS_ALIKE:
            return True
        last = now
        if ended(_LOOK_S):
            return False
    return False


def _is_above(clock: clocks.Clock) -> bool:
    if clock.current_mhz is None or clock.max_mhz is None:
        return False
    return clock.current_mhz > _ABOVE * clock.max_mhz


def _locked(root: str) -> Optional[bool]:
    """Return whether all clocks are locked, as by jetson_clocks, which a change of mode undoes."""
    gpu = clocks.gpu(root)
    found = [*clocks.cpus(root).values()] + ([] if gpu is None else [gpu[1]])
    return clocks.all_locked(found)


def _numbered(modes: List[PowerMode], number: int) -> PowerMode:
    for mode in modes:
        if mode.number == number:
            return mode
    raise UsageError(
        f"there is no power mode {number}",
        fix="use one of: " + ", ".join(f"{mode.name} ({mode.number})" for mode in modes),
    )


class _Ears:
    """What the host says, or that it is gone: its lines, the end of stdin, signals.

    A signal only wakes the one who listens, so it never ends a change half-way.
    """

    def __init__(self, stdin: int) -> None:
        self._stdin = stdin
        self._said = b""
        self._gone = False
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._woken, False)
        self._before = {}  # type: Dict[int, Any]
        self._before_fd = -1

    def __enter__(self) -> "_Ears":
        self._before_fd = signal.set_wakeup_fd(self._woken)
        self._before = {number: signal.signal(number, _only_wake) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before_fd)
        os.close(self._wake)
        os.close(self._woken)

    def line(self) -> Optional[bytes]:
        """Wait for the host's next line; None when there will be none."""
        while b"\n" not in self._said:
            if self._hear(None):
                return None
        line, _, self._said = self._said.partition(b"\n")
        return line

    def ended(self, seconds: float) -> bool:
        """Wait for some seconds; return whether the host is gone or a signal has come."""
        return self._hear(seconds)

    def _hear(self, seconds: Optional[float]) -> bool:
        if not self._gone:
            ready = select.select([self._stdin, self._wake], [], [], seconds)[0]
            self._gone = self._wake in ready
            if self._stdin in ready:
                heard = os.read(self._stdin, 4096)
                self._said += heard
                self._gone = self._gone or not heard
        return self._gone


def _only_wake(number: int, frame: Any) -> None:
    """Do nothing: `signal.set_wakeup_fd` has told `_Ears`."""
    del number, frame
