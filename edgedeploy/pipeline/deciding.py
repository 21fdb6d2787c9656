"""Deciding from stored profiles: what changed, and which variant to take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgedeploy.comparing import gates, junit, pairing, results, showing
from edgedeploy.errors import FileError, UsageError
from edgedeploy.files import write_atomically
from edgedeploy.pipeline.places import PROFILES
from edgedeploy.pipeline.profiles import read_profiles
from edgedeploy.selecting import candidates, choosing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgedeploy.comparing.gates import Gate
    from edgedeploy.comparing.pairing import Pairs
    from edgedeploy.comparing.results import Results
    from edgedeploy.pipeline.places import Failure
    from edgedeploy.selecting.candidates import Wanted
    from edgedeploy.selecting.choosing import Choice
    from edgedeploy.selecting.constraints import Constraint


def compare(
    first: Path,
    second: Path,
    conditions: Sequence[Gate],
    *,
    skip: Callable[[Failure], None] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Results:
    """Compare two profiles, or what two folders have of the same things.

    Two files are compared whatever they are of; a folder is paired by model, backend, precision,
    device, scenario, resolution and threads, the newest profile of each.

    Args:
        first: A.
        second: B.
        conditions: The gates.
        skip: As for `read_profiles`.
        progress: Called with (pairs done, pairs in all).

    Raises:
        FileError: A profile is missing or damaged, or the two have nothing in common.
    """
    damaged: list[Failure] = []
    heard = _heard(skip, damaged)
    before, after = read_profiles([first], skip=heard), read_profiles([second], skip=heard)
    is_direct = first.is_file() and second.is_file()
    found = pairing.direct(before[0], after[0]) if is_direct else pairing.by_key(before, after)
    if not found.pairs:
        raise FileError(
            f"{first} and {second} have no variant in common: "
            f"{found.lonely[0].name} is {found.lonely[0].reason}",
            fix="pass two profiles, or folders with profiles of the same things",
        )
    told = _compared(found, conditions, (first, second), progress, lonely_counts=True)
    return _unjudged(told, conditions, damaged)


def compare_with_baseline(
    baseline: Path,
    measured: Sequence[Path],
    conditions: Sequence[Gate],
    *,
    skip: Callable[[Failure], None] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Results:
    """Compare profiles with the baseline of the same thing on the same machine.

    Args:
        baseline: A folder of profiles, of any number of machines.
        measured: Profiles or folders; none: ``./profiles``.
        conditions: The gates.
        skip: As for `read_profiles`.
        progress: Called with (pairs done, pairs in all).

    Raises:
        FileError: A profile is missing or damaged.
        UsageError: The baseline is no folder.
    """
    if not baseline.is_dir():
        raise UsageError(
            f"the baseline {baseline} is no folder",
            fix=f"mkdir -p {baseline} && cp profiles/*.json {baseline}",
        )
    damaged: list[Failure] = []
    heard = _heard(skip, damaged)
    before = read_profiles([baseline], skip=heard)
    found = pairing.with_baseline(before, read_profiles(measured, skip=heard))
    sides = (baseline, ", ".join(map(str, measured)) or PROFILES)
    told = _compared(found, conditions, sides, progress, lonely_counts=False)
    return _unjudged(told, conditions, damaged)


def write_comparison(found: Results, path: Path) -> None:
    """Write comparisons as Markdown.

    Raises:
        UsageError: The file name does not end in ``.md``.
        FileError: It cannot be written.
    """
    if path.suffix != ".md":
        raise UsageError(
            f"a comparison is written as Markdown, and {path} does not end in .md",
            fix="pass -o compare.md",
        )
    write_atomically(path, showing.markdown(found).encode())


def write_junit(found: Results, path: Path, *, unknown_fails: bool) -> None:
    """Write what became of the gates as JUnit XML.

    Raises:
        FileError: It cannot be written.
    """
    write_atomically(path, junit.render(found.outcomes, unknown_fails=unknown_fails))


def select(
    paths: Sequence[Path],
    wanted: Wanted,
    constraints: tuple[Constraint, ...],
    *,
    prefer: str = "accuracy",
    suspects: bool = False,
    skip: Callable[[Failure], None] | None = None,
) -> Choice:
    """Choose the best variant among what was measured.

    Args:
        paths: Profiles or folders; none: ``./profiles``.
        wanted: Which of them are looked at.
        constraints: Limits.
        prefer: A key of `choosing.PREFERENCES`.
        suspects: Whether a suspect measurement may be chosen.
        skip: As for `read_profiles`.

    Raises:
        FileError: There is no profile of that kind, or one is damaged.
        MeasurementError: The profiles do not measure the same.
        UsageError: They are of several devices, and none was named.
    """
    found = candidates.candidates(read_profiles(paths, skip=skip), wanted)
    return choosing.choose(found, constraints, prefer=prefer, suspects=suspects)


def _compared(
    found: Pairs,
    conditions: Sequence[Gate],
    sides: tuple[object, object],
    progress: Callable[[int, int], None],
    *,
    lonely_counts: bool,
) -> Results:
    labels = (_label(sides[0]), _label(sides[1]))
    return results.compare_all(
        found, conditions, labels=labels, lonely_counts=lonely_counts, progress=progress
    )


def _heard(
    skip: Callable[[Failure], None] | None, damaged: list[Failure]
) -> Callable[[Failure], None] | None:
    """Return what puts down a damaged profile and tells ``skip``; None if nobody skips."""
    if skip is None:
        return None

    def heard(failure: Failure) -> None:
        damaged.append(failure)
        skip(failure)

    return heard


def _unjudged(found: Results, conditions: Sequence[Gate], damaged: Sequence[Failure]) -> Results:
    """Add that no gate can be told for a damaged profile: it may be the newest of its kind."""
    more = [
        outcome
        for one in damaged
        for outcome in gates.unjudged(one.subject, conditions, one.error.problem)
    ]
    return replace(found, outcomes=(*found.outcomes, *more))


def _label(side: object) -> str:
    """Return what a side is called, with nothing that steers a terminal or is no Unicode."""
    text = str(side)
    return text if text.isprintable() else ascii(text)
