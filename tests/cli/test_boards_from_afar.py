"""``profile --host``, on a board that is a folder."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from edgedeploy import pipeline
from edgedeploy.cli import app
from tests import fake_board
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_board import FakeBoard

QUICK = ["--duration", "0.05", "--threads", "1", "--json"]


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    """One, with two artifacts in the working folder's ``build``."""
    made = fake_board.make(tmp_path, monkeypatch)
    for name in ("one", "two"):
        write_artifact(tmp_path / "build" / name / "ort-fp32", model=name)
    monkeypatch.chdir(tmp_path)
    return made


def test_all_artifacts_are_measured_on_the_board_and_kept_here(
    board: FakeBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["profile", "--host", "me@board", "--python", sys.executable, *QUICK]) == 0
    found = json.loads(capsys.readouterr().out)["profiles"]
    assert sorted(record["model"] for record in found) == ["one", "two"]
    assert len(list((tmp_path / "profiles").glob("*.json"))) == 2
    assert not board.left()
    assert not board.lock.is_symlink()


def test_another_board_than_asked_for_ends_the_command(
    board: FakeBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--host", "me@board", "--python", sys.executable, "--device", "jetson-nano"]
    assert app.run(["profile", *wanted, *QUICK]) == 4
    problem = json.loads(capsys.readouterr().out)["error"]["problem"]
    assert problem.startswith("on me@board: --device jetson-nano was asked for")
    assert not board.left()


def test_a_sweep_ends_when_the_board_is_lost(
    board: FakeBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = 'kill -9 "$(cat holder)"; echo "Connection reset" >&2; exit 255'
    stub = board.program("python3", f'[ "$1" != -c ] || {{ echo 3.6; exit; }}; {lost}')
    assert app.run(["profile", "--host", "me@board", "--python", str(stub), *QUICK]) == 7
    said = capsys.readouterr()
    assert "the connection broke in phase 'start'" in json.loads(said.out)["error"]["problem"]
    assert "skipped" not in said.err
    assert not (tmp_path / "profiles").exists()


def test_the_boards_python_is_python3_where_none_is_named(
    board: FakeBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["profile", "--host", "me@board", *QUICK]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["problem"] == "me@board has no python3"
    assert not board.left()


@pytest.mark.parametrize(
    ("reached", "kept"),
    [
        (None, []),
        ("auto", ["jetson-agx-orin", "jetson-nano"]),
        ("jetson-nano", ["jetson-nano"]),
        ("local", []),
    ],
)
def test_what_waits_for_the_board_that_is_reached_is_measured_too(
    reached: str | None, kept: list[str], board: FakeBoard, tmp_path: Path
) -> None:
    for name in ("jetson-nano", "jetson-agx-orin"):
        write_artifact(
            tmp_path / "build" / name / "stem" / "trt-fp16",
            backend="trt",
            engine="model.engine",
            content={"source.onnx": b"source"},
            runs_on={"device": name},
        )
    found = [folder.parts[-3:] for folder in pipeline.find_artifacts([], board=reached)]
    assert [parts[0] for parts in found if parts[1] == "stem"] == kept
    assert len(found) == 2 + len(kept)
    assert not board.left()


@pytest.mark.slow
def test_turns_are_measured_over_one_connection_to_the_board(
    board: FakeBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = ["build/one/ort-fp32", "build/two/ort-fp32"]
    there = ["--host", "me@board", "--python", sys.executable]
    assert app.run(["profile", "--ab", *two, "--rounds", "2", *there, *QUICK]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [record["model"] for record in found["profiles"]] == ["one", "two"]
    assert found["comparisons"][0]["rounds"] == 2
    assert len(list((tmp_path / "profiles").glob("*.json"))) == 2
    assert not board.left()
    assert not board.lock.is_symlink()
