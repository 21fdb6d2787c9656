from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy import pipeline
from edgedeploy.errors import MeasurementError, MissingDependencyError
from edgedeploy.pipeline.resuming import Place
from edgedeploy.profiling import records
from edgedeploy.profiling.measuring import ProfileSpec
from edgedeploy.profiling.rounds import Turn
from tests.artifacts import write_artifact
from tests.profiling.turned import Drifting

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return write_artifact(tmp_path / "one"), write_artifact(tmp_path / "two")


class Fake:
    """Measures as `measuring.profile` would, on a machine that drifts."""

    def __init__(self, folder: Path, two: tuple[Path, Path], **machine: Any) -> None:
        self.machine = Drifting(folder, **machine)
        self._two = two

    def __call__(
        self, artifact: Path, spec: ProfileSpec, *, progress: Any, **_: object
    ) -> ProfileRecord:
        """Return the record of the next turn."""
        side = "AB"[self._two.index(artifact)]
        progress("timing", 0.0, spec.duration_s)
        return self.machine(Turn(len(self.machine.measured) // 2 + 1, 10, side), spec)


def test_both_profiles_are_kept_and_compared_by_their_rounds(
    tmp_path: Path, two: tuple[Path, Path]
) -> None:
    told: list[str] = []
    found = pipeline.profile_in_turns(
        two,
        ProfileSpec(),
        6,
        out=tmp_path / "profiles",
        progress=lambda turn, phase, done_s, total_s: told.append(
            f"{turn}: {phase} of {total_s} s"
        ),
        measure=Fake(tmp_path, two, turns=12, drift=0.2, times_ms=(1.0, 1.1)),
    )
    assert told[:3] == [
        "round 1 of 6, A: timing of 1.6666666666666667 s",
        "round 1 of 6, B: timing of 1.6666666666666667 s",
        "round 2 of 6, B: timing of 1.6666666666666667 s",
    ]
    assert [records.read(path) for path in found.paths] == list(found.records)
    (comparison,) = found.results.comparisons
    assert comparison.rounds == 6
    assert comparison.changes[0].word == "slower"
    again = pipeline.compare(*found.paths, [])
    assert again.comparisons[0].changes == comparison.changes


def test_what_the_first_round_shows_to_be_incomparable_is_not_measured_on(
    tmp_path: Path, two: tuple[Path, Path]
) -> None:
    def modes(turn: Turn) -> dict[str, Any]:
        mode = "MAXN" if turn.side == "A" else "15W"
        return {"board": {"name": "local", "model": "x", "power_mode": mode}}

    measure = Fake(tmp_path, two, result=modes)
    found = pipeline.profile_in_turns(
        two, ProfileSpec(), out=tmp_path / "profiles", measure=measure
    )
    assert len(measure.machine.measured) == 2
    assert not found.results.comparisons
    (refusal,) = found.results.refusals
    assert "device.power_mode: MAXN against 15W" in refusal.error.problem
    assert all(path.is_file() for path in found.paths)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), MeasurementError("it died", fix="again")])
def test_a_run_that_ends_in_the_middle_leaves_no_record(
    tmp_path: Path, two: tuple[Path, Path], stop: BaseException
) -> None:
    machine = Fake(tmp_path, two)

    def measure(*given: Any, **more: Any) -> ProfileRecord:
        if len(machine.machine.measured) == 3:
            raise stop
        return machine(*given, **more)

    with pytest.raises(type(stop)):
        pipeline.profile_in_turns(two, ProfileSpec(), out=tmp_path / "profiles", measure=measure)
    assert not (tmp_path / "profiles").exists()


def test_a_library_that_is_missing_is_told_before_the_first_round(tmp_path: Path) -> None:
    two = write_artifact(tmp_path / "one"), write_artifact(tmp_path / "two", backend="openvino")
    asked: list[set[str]] = []

    def look(packages: set[str], spec: ProfileSpec, board: object) -> Place:
        asked.append(packages)
        libraries = {"onnxruntime": "onnxruntime 1.20", "openvino": None}
        return Place(board={}, python="3.11", cores=2, libraries=libraries)

    measure = Fake(tmp_path, two)
    with pytest.raises(MissingDependencyError, match="two needs the package 'openvino'") as said:
        pipeline.profile_in_turns(
            two, ProfileSpec(), out=tmp_path / "profiles", measure=measure, look=look
        )
    assert "pip install openvino" in said.value.fix
    assert asked == [{"onnxruntime", "openvino"}]
    assert not measure.machine.measured
