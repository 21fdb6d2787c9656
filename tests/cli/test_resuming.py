"""A sweep that is interrupted, and goes on."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgedeploy.cli import app, sweeps
from edgedeploy.errors import MeasurementError
from tests import fake_board
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("--duration", "0.02", "--threads", "1", "-o", "my profiles")
NAMES = ("one", "three", "two")


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three artifacts."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        write_artifact(tmp_path / "build" / name / "ort-fp32", model=name)
    return tmp_path


def interrupted(
    folder: Path, *argv: str, number: signal.Signals = signal.SIGINT
) -> subprocess.CompletedProcess[str]:
    """Run a sweep as a user does, and send it a signal when it first says something."""
    command = [sys.executable, "-m", "edgedeploy", "profile", *QUICK, *argv]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, out, first + err)


def test_a_sweep_that_was_interrupted_goes_on_with_the_rest(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = interrupted(three, "build", "--strict")
    assert done.returncode == 130
    assert "1/3 my profiles/" in done.stderr
    (told,) = [line for line in done.stderr.splitlines() if "go on with" in line]
    assert told == (
        "1 of 3 measured, they are kept; go on with: edgedeploy profile --duration 0.02 "
        "--threads 1 -o 'my profiles' build --strict --resume"
    )
    (first,) = (three / "my profiles").iterdir()  # nothing half-written beside it
    before = first.read_bytes()

    words = shlex.split(told.split("go on with: ")[1])
    assert app.run([*words[1:], "--json"]) in (0, 7)
    said = capsys.readouterr()
    found = json.loads(said.out)["profiles"]
    created = json.loads(before)["created"]
    assert [record["model"] for record in found] == list(NAMES)
    assert [record.get("resumed", False) for record in found] == [True, False, False]
    skipped = f"1/3 build/one/ort-fp32: measured at {created}, my profiles/{first.name}"
    assert said.err.splitlines()[0] == skipped
    assert len(list((three / "my profiles").iterdir())) == 3
    assert first.read_bytes() == before
    check_that_nothing_is_left_to_measure(three, first, capsys)


def check_that_nothing_is_left_to_measure(
    folder: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Go on once more: the table is whole, and --strict looks at what was skipped too."""
    verdict = {"level": "suspect", "reasons": ["somebody sneezed"]}
    first.write_text(json.dumps({**json.loads(first.read_text()), "verdict": verdict}))
    assert app.run(["profile", *QUICK, "--resume", "--strict"]) == 7
    said = capsys.readouterr()
    assert [line.split(": ")[0] for line in said.err.splitlines()[:3]] == [
        f"{number}/3 build/{name}/ort-fp32" for number, name in enumerate(NAMES, start=1)
    ]
    assert "--strict: one ort fp32 is suspect: somebody sneezed" in said.err
    assert all(name in said.out for name in NAMES)
    assert len(list((folder / "my profiles").iterdir())) == 3


@pytest.mark.parametrize(
    ("number", "code", "status"), [(signal.SIGINT, 130, 130), (signal.SIGTERM, 143, -15)]
)
def test_an_interrupted_sweep_still_ends_with_one_document(
    three: Path, number: signal.Signals, code: int, status: int
) -> None:
    (three / "build" / "three" / "ort-fp32" / "manifest.json").write_text("{")
    done = interrupted(three, "--json", number=number)  # when the second one has been skipped
    assert done.returncode == status
    document = json.loads(done.stdout)
    go_on = "edgedeploy profile --duration 0.02 --threads 1 -o 'my profiles' --json --resume"
    assert [record["model"] for record in document["profiles"]] == ["one"]
    (skipped,) = document["skipped"]
    assert (skipped["artifact"], skipped["exit_code"]) == ("build/three/ort-fp32", 6)
    assert "manifest.json" in skipped["problem"]
    assert document["go_on"] == go_on
    assert document["error"] == {
        "problem": "interrupted; nothing half-written was left",
        "fix": f"go on with: {go_on}",
        "exit_code": code,
    }


@pytest.mark.parametrize("device", ["auto", "local"])
def test_a_sweep_says_what_it_skipped_in_its_document(
    device: str, three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("three", "two"):
        (three / "build" / name / "ort-fp32" / "manifest.json").write_text("{")
    assert app.run(["profile", *QUICK, "--device", device, "--json"]) == 6
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert list(document) == ["profiles", "skipped"]
    assert [line for line in said.err.splitlines() if "fix" in line] == [
        f"  fix: {one['fix']}" for one in document["skipped"]
    ]
    assert len(document["profiles"]) == 1
    assert [one["artifact"] for one in document["skipped"]] == [
        "build/three/ort-fp32",
        "build/two/ort-fp32",
    ]
    (three / "build" / "one" / "ort-fp32" / "manifest.json").write_text("{")
    assert app.run(["profile", *QUICK, "--json"]) == 6
    document = json.loads(capsys.readouterr().out)
    assert (document["profiles"], len(document["skipped"])) == ([], 3)
    assert document["error"]["exit_code"] == 6


def test_a_board_says_itself_what_is_measured_there_already(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_board.make(three, monkeypatch)
    argv = ["profile", "build/one", *QUICK, "--host", "me@board", "--python", sys.executable]
    assert app.run([*argv]) == 0
    assert app.run([*argv, "--resume"]) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("1/1 build/one/ort-fp32: measured at ")
    assert len(list((three / "my profiles").iterdir())) == 1


@pytest.mark.parametrize(
    ("measured", "total", "error", "told"),
    [
        (2, 3, KeyboardInterrupt(), "2 of 3 measured"),
        (0, 3, KeyboardInterrupt(), "none of 3 measured yet"),
        (1, 3, MeasurementError("the line broke", fix="wait"), "1 of 3 measured"),
        (0, 3, MeasurementError("the line broke", fix="wait"), ""),
        (0, 1, KeyboardInterrupt(), ""),
    ],
)
def test_only_a_sweep_that_can_go_on_says_how(
    measured: int,
    total: int,
    error: BaseException,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(type(error)), sweeps.told_how_to_go_on([None] * measured, total):
        raise error
    said = capsys.readouterr().err
    assert told in said
    assert bool(said) == bool(told)


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["x", "profile", "--resume"], "edgedeploy profile --resume"),
        (["x", "profile", "--", "-b"], "edgedeploy profile --resume -- -b"),
        (["x", "-v", "profile", "it's"], """edgedeploy -v profile 'it'"'"'s' --resume"""),
    ],
)
def test_the_command_to_go_on_can_be_typed(argv: list[str], command: str) -> None:
    assert sweeps.again(argv) == command
