"""What every command prints with: one JSON document, tables, progress bars, errors."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedeploy.cli.wrapping import print_lines
from edgedeploy.errors import EdgeDeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console

    from edgedeploy.pipeline import Failure

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and after SIGTERM, as a shell has them."""
_NEVER_WRAP = 10_000


class TerminatedError(BaseException):
    """SIGTERM came: like `KeyboardInterrupt`, it is no failure that anything may go on after."""


class EndedError(EdgeDeployError):
    """What ended a command, with what it had done by then.

    Args:
        error: Why it ended.
        done: The command's document so far.
    """

    def __init__(self, error: EdgeDeployError, done: Mapping[str, Any]) -> None:
        super().__init__(error.problem, fix=error.fix)
        self.exit_code = error.exit_code
        self.done = done


def wants_json(argv: Sequence[str]) -> bool:
    """Return whether the command line asks for JSON, even where it does not parse."""
    return "--json" in argv


def print_json(document: Any) -> None:
    """Print one document; NaN and infinity are refused, as JSON has neither."""
    print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False, default=str))


def print_error(error: EdgeDeployError, *, as_json: bool) -> int:
    """Print what went wrong and what to do, and return the exit code."""
    if as_json:
        done = error.done if isinstance(error, EndedError) else {}
        print_json({**done, "error": error_document(error)})
    else:
        print(f"edgedeploy: {error.problem}\n  fix: {error.fix}", file=sys.stderr)
    return error.exit_code


def print_failure(subject: str, error: EdgeDeployError) -> None:
    """Say on stderr what failed, why, and what to do; the rest goes on."""
    print(f"{subject} failed: {error.problem}\n  fix: {error.fix}", file=sys.stderr)


def print_skipped(failure: Failure) -> None:
    """Say on stderr what a sweep went on without."""
    subject, problem = failure.subject, failure.error.problem
    if problem.startswith((f"{subject} ", f"{subject}/")):
        problem = problem[len(subject) + 1 :]  # the path once is enough
    print(f"skipped {subject}: {problem}\n  fix: {failure.error.fix}", file=sys.stderr)


def skipped_documents(failures: Sequence[Failure], kind: str = "artifact") -> list[dict[str, Any]]:
    """Return the JSON form of what a command over several things went on without."""
    return [{kind: one.subject, **error_document(one.error)} for one in failures]


def interruption(code: int, go_on: str | None = None) -> EdgeDeployError:
    """Return what Ctrl-C or SIGTERM comes to in JSON; ``go_on``: the command that does the rest."""
    fix = "start the command again" if go_on is None else f"go on with: {go_on}"
    error = EdgeDeployError("interrupted; nothing half-written was left", fix=fix)
    error.exit_code = code
    return error


@contextlib.contextmanager
def whole(done: Callable[[], Mapping[str, Any]] | None) -> Iterator[None]:
    """Let the one document of a command hold what was done before an error or Ctrl-C ended it.

    Args:
        done: Returns the document so far, ``go_on`` in it being the command that does the rest;
            None: the command prints no JSON.

    Raises:
        EndedError: Instead of what came.
    """
    try:
        yield
    except (KeyboardInterrupt, TerminatedError, EdgeDeployError) as ended:
        if done is None:
            raise
        so_far = done()
        if isinstance(ended, EdgeDeployError):
            raise EndedError(ended, so_far) from ended
        code = TERMINATED if isinstance(ended, TerminatedError) else INTERRUPTED
        raise EndedError(interruption(code, so_far.get("go_on")), so_far) from ended


def error_document(error: EdgeDeployError) -> dict[str, Any]:
    """Return an error's JSON form."""
    return {"problem": error.problem, "fix": error.fix, "exit_code": error.exit_code}


def console() -> Console:
    """Return a console on stdout; off a terminal it is as wide as its tables need."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _NEVER_WRAP
    return Console(width=width, soft_wrap=False, highlight=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; on a narrow terminal columns drop out, last first, and names are never cut."""
    cells = [["–" if cell is None else str(cell) for cell in row] for row in rows]
    aligned = [_aligned(title, column) for title, *column in zip(columns, *cells, strict=True)]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    kept = len(aligned)
    while kept > 1 and sum(len(column[0]) + 2 for column in aligned[:kept]) - 2 > limit:
        kept -= 1
    for line in zip(*aligned[:kept], strict=True):
        print("  ".join(line).rstrip())
    if kept < len(columns):
        dropped = ", ".join(columns[kept:])
        print_lines([f"too narrow for: {dropped} (a wider terminal or --json has them)"])


def _aligned(title: str, column: Sequence[str]) -> list[str]:
    """Pad a column to one width, numbers to the right."""
    width = max(len(text) for text in (title, *column))
    number = all(text == "–" or text.lstrip("-")[:1].isdigit() for text in column) and bool(column)
    return [text.rjust(width) if number else text.ljust(width) for text in (title, *column)]


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, where it is a terminal, moved by calls of (done, total)."""
    if not _is_terminal():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)

        def moved(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield moved


@contextlib.contextmanager
def phases(label: str) -> Iterator[Callable[[str, float, float], None]]:
    """Show a line on stderr, where it is a terminal, changed by calls of (phase, seconds, of)."""
    if not _is_terminal():
        yield lambda phase, done_s, total_s: None
        return
    from rich.console import Console

    # one redraw a second: on a small machine more would disturb what is measured
    with Console(stderr=True).status(label, refresh_per_second=1) as status:
        yield lambda phase, done_s, total_s: status.update(
            f"{label}: {phase} {_share(done_s, total_s)}"
        )


def _share(done_s: float, total_s: float) -> str:
    """Return how many of all seconds are done.

    Example:
        >>> _share(3.4, 10), _share(0.02, 0.1)
        ('3/10 s', '0.02/0.10 s')
    """
    digits = 2 if total_s < 1 else 0
    return f"{done_s:.{digits}f}/{total_s:.{digits}f} s"


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
