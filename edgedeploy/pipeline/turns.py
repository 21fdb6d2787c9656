"""Two artifacts measured in turns, kept as two profiles, and compared."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.comparing import meaning
from edgedeploy.errors import MeasurementError, MissingDependencyError, UsageError
from edgedeploy.files import require_writable
from edgedeploy.pipeline import resuming
from edgedeploy.pipeline.artifacts import find_artifacts
from edgedeploy.pipeline.deciding import compare
from edgedeploy.pipeline.places import SHIPPED_ACCURACY
from edgedeploy.profiling import measuring as profiling
from edgedeploy.profiling import records, rounds
from edgedeploy.runtime import manifest as manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgedeploy.comparing.results import Results
    from edgedeploy.pipeline.resuming import Place
    from edgedeploy.profiling.measuring import ProfileSpec
    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.profiling.remote import Board
    from edgedeploy.profiling.rounds import Turn

    Progress = Callable[[Turn, str, float, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class InTurns:
    """What came of one run.

    Attributes:
        paths: Where the profiles of A and of B are kept.
        records: The same.
        results: Their comparison, or why they are not compared; what ``compare`` says of the files.
    """

    paths: tuple[Path, Path]
    records: tuple[ProfileRecord, ProfileRecord]
    results: Results


def find_two(paths: Sequence[Path], *, board: str | None = None) -> tuple[Path, Path]:
    """Return the artifacts A and B; they may be the same one, which shows what noise alone does.

    Args:
        paths: As they were named.
        board: See `find_artifacts`.

    Raises:
        UsageError: They are not two, or one names several artifacts.
        FileError: One is none.
    """
    if len(paths) != 2:
        raise UsageError(
            f"--ab takes two artifacts, got {len(paths)}",
            fix="edgedeploy profile --ab build/MODEL/ort-fp32 build/MODEL/ort-int8",
        )
    sides = []
    for path in paths:
        found = find_artifacts([path], board=board)
        if len(found) != 1:
            raise UsageError(
                f"{path} holds {len(found)} artifacts, --ab takes one on each side",
                fix=f"name one of them, e.g. {found[0]}",
            )
        sides += found
    return sides[0], sides[1]


def profile_in_turns(
    artifacts: tuple[Path, Path],
    spec: ProfileSpec,
    count: int = rounds.ROUNDS,
    *,
    out: Path,
    board: Board | None = None,
    progress: Progress = lambda turn, phase, done_s, total_s: None,
    measure: Callable[..., ProfileRecord] = profiling.profile,
    look: Callable[..., Place] = resuming.look,
) -> InTurns:
    """Measure two artifacts in turns, keep a profile of each in ``out``, and compare them.

    Args:
        artifacts: A and B.
        spec: How, all rounds of one side together.
        count: Rounds.
        out: Folder of the profiles; nothing is written before the last round.
        board: Where; None: on this machine.
        progress: Gets the turn, its phase, seconds of samples taken in it, and seconds wanted.
        measure: As `profiling.profile`.
        look: As `resuming.look`.

    Raises:
        UsageError: It cannot be measured in turns.
        NotWrittenError: Nothing can be kept in ``out``, which is tried before the first round.
        MissingDependencyError: The library of one does not load, which is tried before the first
            round where the two need different ones.
        MeasurementError: The two cannot mean the same by their numbers, or a turn failed.
        EdgeDeployError: A turn failed; the message says which.
    """
    rounds.check(spec, count)
    _require_one_size(artifacts, spec)
    require_writable(out)
    _require_libraries(artifacts, spec, board, look)

    def one(turn: Turn, part: ProfileSpec) -> ProfileRecord:
        return measure(
            artifacts[rounds.SIDES.index(turn.side)],
            part,
            board=board,
            shipped_accuracy=SHIPPED_ACCURACY,
            progress=lambda phase, done_s, total_s: progress(turn, phase, done_s, total_s),
        )

    measured = rounds.measure(
        spec,
        count,
        one,
        name=uuid.uuid4().hex,
        agree=lambda first, second: not meaning.mismatches(first, second),
    )
    paths = (records.write(measured[0], out), records.write(measured[1], out))
    return InTurns(paths=paths, records=measured, results=compare(*paths, []))


def _require_libraries(
    artifacts: tuple[Path, Path],
    spec: ProfileSpec,
    board: Board | None,
    look: Callable[..., Place],
) -> None:
    """Refuse an artifact whose library is not there; where both need one, the first turn tells.

    Raises:
        MissingDependencyError: It does not load.
    """
    known = {folder: manifests.read(str(folder)) for folder in artifacts}
    # a board that is to build an engine knows by itself what with
    needed = {
        folder: resuming.package(about) for folder, about in known.items() if not about.waiting
    }
    if len(set(needed.values())) < len(artifacts):
        return
    there = look(set(needed.values()), spec, board).libraries
    for folder, package in needed.items():
        if there[package] is None:
            raise MissingDependencyError(
                f"{folder} needs the package {package!r}, which does not load where it is measured",
                fix=f"pip install {package}, with the Python that measures; if it is installed: "
                f"python -c 'import {package}' says why",
            )


def _require_one_size(artifacts: tuple[Path, Path], spec: ProfileSpec) -> None:
    """Refuse what could not be compared after all, before it is measured.

    Raises:
        MeasurementError: The artifacts take pictures of two sizes.
    """
    sides = [manifests.read(str(folder)).input.shape[2:] for folder in artifacts]
    one, two = (spec.side if None in side else side for side in sides)
    if one is not None and two is not None and one != two:
        first, second = ("x".join(map(str, side)) for side in (one, two))
        raise MeasurementError(
            f"{artifacts[0]} takes {first} pixels and {artifacts[1]} {second}: their times would "
            "not be compared",
            fix="build both for one size, or profile each by itself",
        )
