"""``profile --ab``: what it measures with, and what it prints."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from edgedeploy.cli.output import phases, print_json
from edgedeploy.cli.wrapping import print_lines
from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import typer

    from edgedeploy.pipeline import InTurns
    from edgedeploy.profiling.measuring import ProfileSpec
    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.profiling.rounds import Turn


def check(
    *, is_asked: bool, count: int | None, resume: bool, power_modes: Sequence[str] = ()
) -> None:
    """Refuse flags that do not go together.

    Raises:
        UsageError: There are rounds of nothing, or turns that would go on with others.
    """
    if count is not None and not is_asked:
        raise UsageError(
            f"--rounds is {count}, and nothing is measured in turns",
            fix="pass --ab and two artifacts, or leave --rounds out",
        )
    if is_asked and resume:
        raise UsageError(
            "--ab and --resume were both asked for, and turns are not gone on with later",
            fix="leave --resume out",
        )
    if is_asked and power_modes:
        raise UsageError(
            "--ab and --power-mode were both asked for, and turns are taken in one power mode",
            fix="leave --power-mode out: sudo nvpmodel -m sets the one to measure in",
        )


def profile(
    context: typer.Context,
    artifacts: Sequence[Path],
    spec: ProfileSpec,
    count: int | None,
    *,
    host: str | None,
    out: Path,
    as_json: bool,
) -> tuple[ProfileRecord, ProfileRecord]:
    """Measure two artifacts in turns, print how they compare, and return both profiles.

    Raises:
        EdgeDeployError: As `pipeline.profile_in_turns`.
        MeasurementError: Also if the two profiles, which are kept, do not measure the same.
    """
    from edgedeploy import pipeline
    from edgedeploy.profiling import rounds

    number = rounds.ROUNDS if count is None else count
    rounds.check(spec, number)
    two = pipeline.find_two(artifacts, board=None if host is None else spec.device)
    board = context.with_resource(pipeline.reach(host, spec.python))
    with _told(two, as_json=as_json) as moved:
        found = pipeline.profile_in_turns(two, spec, number, out=out, board=board, progress=moved)
    _print(found, as_json=as_json)
    return found.records


@contextlib.contextmanager
def _told(
    two: tuple[Path, Path], *, as_json: bool
) -> Iterator[Callable[[Turn, str, float, float], None]]:
    """Show each turn on stderr: in the status line of a terminal, else on a line of its own."""
    names = dict(zip("AB", two, strict=True))
    last: Turn | None = None
    with phases("in turns") as moved:

        def told(turn: Turn, phase: str, done_s: float, total_s: float) -> None:
            nonlocal last
            moved(f"{turn} ({names[turn.side]}): {phase}", done_s, total_s)
            if turn != last and not as_json and not sys.stderr.isatty():
                print(f"{turn}: {names[turn.side]}", file=sys.stderr)
            last = turn

        yield told


def _print(found: InTurns, *, as_json: bool) -> None:
    """Say where the profiles are, and how they compare.

    Raises:
        MeasurementError: They do not measure the same.
    """
    from edgedeploy.comparing import showing
    from edgedeploy.reporting import document

    for path in found.paths:
        print(f"written: {path}", file=sys.stderr)
    if found.results.refusals:
        raise found.results.refusals[0].error
    if as_json:
        compared = showing.document(found.results, exit_code=0)
        print_json({**document.document(found.records), **compared})
        return
    print_lines(showing.lines(found.results))
