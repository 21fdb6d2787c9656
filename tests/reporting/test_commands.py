from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.reporting import commands
from tests.profiling import turned
from tests.reporting import reported
from tests.reporting.profiles import made

if TYPE_CHECKING:
    from pathlib import Path

VERDICT = {"level": "measured", "reasons": []}


def test_options_of_a_record_become_the_command_that_measures_it_again(tmp_path: Path) -> None:
    options = {"duration_s": 2.0, "percentile": "p99", "rate": 12.5, "seed": 0, "streams": None}
    record = made(
        tmp_path,
        model="a model",
        scenario="server",
        scenario_options=options,
        device__name="jetson-nano",
        input_shape=[1, 3, 96, 96],
    )
    (command,) = commands.of([record, record])
    assert command == (
        "edgedeploy profile 'build/a model/ort-fp32' --device jetson-nano --scenario server "
        "--duration 2 --percentile p99 --rate 12.5 --threads 2 --resolution 96"
    )


def test_a_power_mode_that_was_set_is_in_the_command(tmp_path: Path) -> None:
    mode = {"device__power_mode": "7W", "scenario_options": {"duration_s": 2.0}}
    as_it_was = made(tmp_path, **mode)
    changed = made(tmp_path, **mode, power_mode_change={"from": "25W", "to": "7W"})
    assert ["--power-mode 7W" in command for command in commands.of([as_it_was, changed])] == [
        False,
        True,
    ]


def test_batches_are_written_as_the_command_reads_them(tmp_path: Path) -> None:
    options = {"duration_s": 0.5, "batches": [1, 8]}
    (command,) = commands.of([made(tmp_path, scenario="offline", scenario_options=options)])
    assert "--scenario offline --duration 0.5 --batches 1,8 " in command


def test_two_that_were_measured_in_turns_have_one_command(tmp_path: Path) -> None:
    both = turned.in_turns(tmp_path, 2)
    (command,) = commands.of(both)
    assert command == (
        "edgedeploy profile --ab 'build/model A/ort-fp32' 'build/model B/ort-fp32' --rounds 2 "
        "--scenario single --duration 10 --percentile p90 --threads 2 --resolution 8"
    )
    bare = made(
        tmp_path,
        scenario_options={"duration_s": 2.0},
        ab={"id": "x", "side": "A", "verdict": VERDICT},
    )
    (alone,) = commands.of([bare])
    assert alone.startswith("edgedeploy profile build/small/ort-fp32 ")


def test_what_is_stored_comes_first_and_what_tells_nothing_is_left_out(tmp_path: Path) -> None:
    older = made(tmp_path, scenario_options={})
    stored = made(tmp_path, command=["edgedeploy", "profile", "my build"])
    assert commands.of([older, stored]) == ["edgedeploy profile 'my build'"]
    assert commands.of([reported.bare(tmp_path)]) == ["trtexec --loadEngine=model.engine"]
