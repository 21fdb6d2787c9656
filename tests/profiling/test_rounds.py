from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import MeasurementError, UnsupportedError, UsageError
from edgedeploy.profiling import rounds
from edgedeploy.profiling.measuring import ProfileSpec
from tests.profiling.turned import Drifting

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.profiling.rounds import Turn


def test_the_sides_take_turns_and_so_does_who_goes_first(tmp_path: Path) -> None:
    machine = Drifting(tmp_path, turns=6)
    first, second = rounds.measure(ProfileSpec(), 3, machine, name="x")
    assert [turn.side for turn in machine.measured] == ["A", "B", "B", "A", "A", "B"]
    assert [turn.number for turn in machine.measured] == [1, 1, 2, 2, 3, 3]
    assert (first.model, second.model) == ("model A", "model B")
    assert first.document["ab"]["order"] == ["AB", "BA", "AB"]
    assert str(machine.measured[2]) == "round 2 of 3, B"


def test_the_two_records_name_their_run_their_side_and_each_other(tmp_path: Path) -> None:
    first, second = rounds.measure(ProfileSpec(), 2, Drifting(tmp_path, turns=4), name="run 7")
    one, two = first.document["ab"], second.document["ab"]
    assert (one["id"], one["side"], two["id"], two["side"]) == ("run 7", "A", "run 7", "B")
    assert one["against"] == {
        "model": "model B",
        **{key: second.document["artifact"][key] for key in ("backend", "precision", "sha256")},
    }
    assert first.document["scenario_options"] == ProfileSpec().options()


@pytest.mark.parametrize(
    ("wanted", "count", "seconds", "runs"),
    [
        ({"duration_s": 60.0}, 10, 6.0, 64),
        ({"duration_s": 3.0}, 10, 0.5, 64),
        ({"duration_s": 0.1}, 10, 0.1, 64),
        ({"percentile": "p99.9"}, 10, 1.0, 664),
    ],
)
def test_a_turn_has_its_share_of_time_and_calls_but_enough_for_a_verdict(
    wanted: dict[str, Any], count: int, seconds: float, runs: int
) -> None:
    part = rounds.spec_of_turn(ProfileSpec(**wanted), count)
    assert (part.duration_s, part.least_runs) == (seconds, runs)


@pytest.mark.parametrize(
    ("wanted", "count", "problem"),
    [
        ({}, 1, "--rounds is 1, it must be 2 to 1000"),
        ({}, 1001, "--rounds is 1001"),
        ({"layers": True}, 10, "--ab and --layers were both asked for"),
        ({"scenario": "multi"}, 10, "--ab measures the scenario single, multi was asked for"),
    ],
)
def test_what_cannot_be_measured_in_turns_is_refused_before_the_first(
    tmp_path: Path, wanted: dict[str, Any], count: int, problem: str
) -> None:
    machine = Drifting(tmp_path)
    with pytest.raises(UsageError, match=problem):
        rounds.measure(ProfileSpec(**wanted), count, machine, name="x")
    assert not machine.measured


def test_a_turn_that_fails_says_which_it_was_and_keeps_its_class_and_fix() -> None:
    def fails(turn: Turn, spec: ProfileSpec) -> ProfileRecord:
        raise UnsupportedError("no such device", fix="another")

    with pytest.raises(UnsupportedError, match="round 1 of 10, A: no such device") as caught:
        rounds.measure(ProfileSpec(), 10, fails, name="x")
    assert caught.value.fix == "another"


def test_an_engine_that_is_built_anew_between_the_rounds_is_refused(tmp_path: Path) -> None:
    machine = Drifting(tmp_path)

    def rebuilt(turn: Turn, spec: ProfileSpec) -> ProfileRecord:
        record = machine(turn, spec)
        if (turn.number, turn.side) != (2, "A"):
            return record
        other = {**record.document["artifact"], "sha256": "f" * 64}
        return replace(record, document={**record.document, "artifact": other})

    with pytest.raises(MeasurementError, match=r"round 2 of 10, A: its engine is f{12}, that of"):
        rounds.measure(ProfileSpec(), 10, rebuilt, name="x")


def test_no_further_round_is_measured_where_the_two_no_longer_mean_the_same(
    tmp_path: Path,
) -> None:
    machine = Drifting(tmp_path)
    first, second = rounds.measure(
        ProfileSpec(), 10, machine, name="x", agree=lambda *_: len(machine.measured) < 6
    )
    assert len(machine.measured) == 6
    assert len(first.document["rounds"]) == len(second.document["rounds"]) == 3
