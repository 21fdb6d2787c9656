"""`edgedeploy profile --ab` as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgedeploy import pipeline
from edgedeploy.cli import app, in_turns
from edgedeploy.errors import MeasurementError
from edgedeploy.profiling import records
from tests.artifacts import write_artifact
from tests.profiling import turned

QUICK = ["--duration", "0.05", "--threads", "1", "--rounds", "2"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two artifacts of one model."""
    monkeypatch.chdir(tmp_path)
    write_artifact(tmp_path / "build" / "small" / "ort-fp32")
    shutil.copytree("build/small/ort-fp32", "build/small/ort-same")
    return tmp_path


@pytest.mark.usefixtures("here")
def test_an_a_a_test_says_each_turn_and_what_compare_says_of_the_two_profiles(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = "build/small/ort-fp32"
    code = app.run(["profile", "--ab", folder, folder, *QUICK, "--strict"])
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[:4] == [
        f"round 1 of 2, A: {folder}",
        f"round 1 of 2, B: {folder}",
        f"round 2 of 2, B: {folder}",
        f"round 2 of 2, A: {folder}",
    ]
    paths = [line.removeprefix("written: ") for line in lines[4:6]]
    kept = [json.loads(Path(path).read_text()) for path in paths]
    assert [one["ab"]["side"] for one in kept] == ["A", "B"]
    for one in kept:
        assert len(one["rounds"]) == 2
        assert one["latency_ms"]["count"] == sum(each["count"] for each in one["rounds"]) >= 128
        assert one["scenario_options"]["duration_s"] == 0.05
    doubted = any(one["verdict"]["level"] != "measured" for one in kept)
    assert code == (7 if doubted else 0)
    assert "  in 2 rounds of both: the intervals are between rounds" in out
    assert "A/A: one artifact on both sides" in out
    assert app.run(["compare", *paths]) == 0
    assert capsys.readouterr().out == out
    assert app.run(["compare", *paths, "--fail-if", "p50 > +5%"]) == 8
    assert app.run(["report"]) == 0


def kept(folder: Path, **machine: Any) -> pipeline.InTurns:
    """What came of a run that no process made."""
    measured = turned.in_turns(folder, 2, **machine)
    one, two = (records.write(record, folder / "profiles") for record in measured)
    return pipeline.InTurns(
        paths=(one, two), records=measured, results=pipeline.compare(one, two, [])
    )


def test_two_that_mean_different_things_are_kept_and_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = kept(tmp_path, result=lambda turn: {"inside": ["compute", turn.side]})
    with pytest.raises(MeasurementError, match=r"inside: compute \+ A against compute \+ B"):
        in_turns._print(found, as_json=False)
    out, err = capsys.readouterr()
    assert not out
    assert err == "".join(f"written: {path}\n" for path in found.paths)


def test_as_json_there_are_both_profiles_and_the_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = kept(tmp_path)
    in_turns._print(found, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["profiles"] == [dict(record.document) for record in found.records]
    (compared,) = document["comparisons"]
    assert (compared["rounds"], document["exit_code"], document["refused"]) == (2, 0, [])
    assert "2 rounds, 6 are needed" in compared["changes"]["p50"]["reason"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["--ab"], 2, "--ab takes two artifacts, got 0"),
        (["--ab", "build/small/ort-fp32"], 2, "--ab takes two artifacts, got 1"),
        (["--ab", "build", "build"], 2, "build holds 2 artifacts, --ab takes one on each side"),
        (["--ab", "build/small/ort-fp32", "absent"], 6, "absent does not exist"),
        (["--rounds", "5"], 2, "--rounds is 5, and nothing is measured in turns"),
        (["--ab", "a", "b", "--rounds", "1"], 2, "--rounds is 1, it must be 2 to 1000"),
        (["--ab", "a", "b", "--layers"], 2, "--ab and --layers were both asked for"),
        (["--ab", "a", "b", "--resume"], 2, "--ab and --resume were both asked for"),
        (["--ab", "a", "b", "--power-mode", "all"], 2, "--ab and --power-mode were both asked"),
        (["--ab", "a", "b", "--scenario", "multi"], 2, "--ab measures the scenario single, multi"),
    ],
)
def test_wrong_uses_are_refused_with_one_error_and_nothing_is_measured(
    capsys: pytest.CaptureFixture[str], argv: list[str], code: int, problem: str
) -> None:
    assert app.run(["profile", *argv, "--json"]) == code
    out, err = capsys.readouterr()
    assert problem in json.loads(out)["error"]["problem"]
    assert not err
    assert not Path("profiles").exists()


@pytest.mark.usefixtures("here")
def test_two_sizes_are_refused_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inputs: list[dict[str, Any]] = [
        {"name": "image", "shape": [None, 3, 16, 16], "dtype": "float32"}
    ]
    write_artifact(Path("build/large/ort-fp32"), inputs=inputs)
    assert app.run(["profile", "--ab", "build/small/ort-fp32", "build/large/ort-fp32"]) == 7
    assert "takes 8x8 pixels and build/large/ort-fp32 16x16" in capsys.readouterr().err
    assert not Path("profiles").exists()
