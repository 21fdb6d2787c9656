"""What a sweep says of where it stands, and how to go on with it."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from edgedeploy.cli.output import TerminatedError, print_skipped, skipped_documents
from edgedeploy.errors import EdgeDeployError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Sized
    from types import FrameType

    from edgedeploy.pipeline import Failure, Measured
    from edgedeploy.pipeline.power_modes import PowerModes
    from edgedeploy.profiling.measuring import ProfileSpec
    from edgedeploy.profiling.records import ProfileRecord

_RESUME = "--resume"
_SHORT_S = 5.0
"""A wait that needs no words."""


def print_measured(subject: str, found: Measured) -> None:
    """Say on stderr that something is measured already, when, and where that is."""
    print(f"{subject}: measured at {found.record.created}, {found.path}", file=sys.stderr)


def tell_length(spec: ProfileSpec) -> None:
    """Say on stderr that a percentile takes longer than the duration that was asked for."""
    if spec.pace is not None and spec.least_runs / spec.pace > max(spec.duration_s, _SHORT_S):
        what = "frames" if spec.scenario == "camera" else "queries"
        print(
            f"{spec.percentile} needs {spec.least_runs} {what}, at {spec.pace:g} a second: about "
            f"{spec.least_runs / spec.pace:.0f} s instead of {spec.duration_s:g} s",
            file=sys.stderr,
        )


def skip(failures: list[Failure], failure: Failure) -> None:
    """Keep what a sweep goes on without, and say so on stderr."""
    failures.append(failure)
    print_skipped(failure)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that it tells what is done.

    Only for what waits for other processes: a vendor's library would not be interrupted.

    Raises:
        TerminatedError: SIGTERM came.
    """
    if threading.current_thread() is not threading.main_thread():  # no other may have handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminated(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise TerminatedError


@contextlib.contextmanager
def told_how_to_go_on(measured: Sized, total: int) -> Iterator[None]:
    """Say on stderr how to go on with a sweep, if Ctrl-C or an error ends it.

    Args:
        measured: Grows with what is done.
        total: Things in the sweep; nothing is said of a single one.
    """
    try:
        yield
    except (KeyboardInterrupt, TerminatedError, EdgeDeployError) as ended:
        if total > 1 and len(measured):
            print(
                f"\n{len(measured)} of {total} measured, they are kept; go on with: "
                f"{again(sys.argv)}",
                file=sys.stderr,
            )
        elif total > 1 and not isinstance(ended, EdgeDeployError):
            print(f"\nnone of {total} measured yet", file=sys.stderr)
        raise


def document(
    records: Sequence[ProfileRecord], failures: Sequence[Failure], modes: PowerModes, total: int
) -> dict[str, Any]:
    """Return the JSON form of a sweep: its profiles, what it went on without, and the modes.

    While some of the ``total`` are left to be measured, ``go_on`` is the command that does that.
    """
    from edgedeploy.reporting import document as reporting

    told = modes.told()
    names = {mode["name"] for mode in told.get("power_modes", ())}
    skipped = skipped_documents([one for one in failures if one.subject not in names])
    found = {**reporting.document(records), "skipped": skipped, **told}
    if records and len(records) + len(failures) < total:
        found["go_on"] = again(sys.argv)
    return found


def again(argv: Sequence[str]) -> str:
    """Return the command that goes on with the sweep of ``argv``, quoted for a shell.

    Example:
        >>> again(["/usr/bin/edgedeploy", "profile", "my build", "--strict"])
        "edgedeploy profile 'my build' --strict --resume"
    """
    words = [word for word in argv[1:] if word != _RESUME]
    end = words.index("--") if "--" in words else len(words)
    return shlex.join(["edgedeploy", *words[:end], _RESUME, *words[end:]])
