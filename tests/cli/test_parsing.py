"""What a command line that does not parse is told."""

from __future__ import annotations

import json

import pytest
import typer

from edgedeploy.cli import app, parsing


@pytest.mark.parametrize(
    ("argv", "problem", "fix"),
    [
        ("profile --threads 0", "--threads is '0', it must be at least 1", "pass at least 1; see"),
        ("profile --resolution 5000", "--resolution is '5000', it must be at most 4096", "pass at"),
        ("profile --rounds nan", "--rounds is 'nan', it must be a whole number", "pass a whole"),
        ("profile --streams 1.5", "--streams is '1.5', it must be a whole number", "pass a whole"),
        ("profile --duration ten", "--duration is 'ten', it must be a number", "pass a number"),
        (
            "select --prefer latencies",
            "--prefer is 'latencies', it must be one of accuracy, latency, energy, size",
            "did you mean --prefer latency?",
        ),
        ("build --x86 old", "--x86 is 'old', it must be one of any, vnni", "pass one of: any, vnn"),
        (
            "calibrate --data x --without y",
            "--without is 'y', it must be one of equalise, round, correct-bias",
            "pass one of: equalise",
        ),
        ("doctor --root /absent", "invalid value for '--root': dir", "see edgedeploy doctor --h"),
        ("calibrate", "missing option '--data'", "see edgedeploy calibrate --help"),
        ("profile --frobnicate", "no such option: --frobnicate", "see edgedeploy profile --help"),
    ],
)
def test_a_value_that_does_not_parse_is_named_with_what_is_wanted(
    argv: str, problem: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run([*argv.split(), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["problem"].startswith(problem)
    assert error["fix"].startswith(fix)


def test_a_message_that_says_the_value_itself_stays_as_it_is() -> None:
    error = typer.BadParameter("0 is not in the range x>=1.", param_hint="'--threads'")
    told = parsing.refusal(error, "profile ")
    assert told.problem == "invalid value for '--threads': 0 is not in the range x>=1"
    assert told.fix == "see edgedeploy profile --help"
