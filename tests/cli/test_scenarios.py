"""Each scenario as a user types it, end to end, on a model of a few multiply-adds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgedeploy.cli import app, sweeps
from edgedeploy.profiling.measuring import ProfileSpec
from tests.artifacts import write_artifact

FLAGS: dict[str, list[str]] = {
    "single": ["--percentile", "p97"],
    "multi": ["--streams", "2"],
    "offline": ["--batches", "1,4"],
    "server": ["--rate", "1000"],
    "camera": ["--fps", "500"],
}
FEWEST = {"single": 219}
RESULTS: dict[str, set[str]] = {
    "single": set(),
    "multi": {"streams", "series_ns"},
    "offline": {"batch", "steps"},
    "server": {
        "offered", "unanswered", "utilisation", "saturated", "wait_p50_ms", "work_p50_ms",
        "series_ns",
    },
    "camera": {
        "frames", "dropped", "deadline_ms", "deadline_misses", "wait_p50_ms", "work_p50_ms",
        "series_ns",
    },
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one artifact."""
    monkeypatch.chdir(tmp_path)
    return write_artifact(tmp_path / "build" / "small" / "ort-fp32")


@pytest.mark.usefixtures("here")
def test_each_scenario_becomes_a_record_and_none_replaces_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for scenario, flags in FLAGS.items():
        argv = ["--scenario", scenario, *flags, "--duration", "0.2", "--threads", "1", "--json"]
        assert app.run(["profile", *argv]) == 0
        (document,) = json.loads(capsys.readouterr().out)["profiles"]
        _check(document, scenario)
    assert app.run(["report", "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)["profiles"]
    assert {record["scenario"] for record in kept} == set(FLAGS)
    assert app.run(["report"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("small  ") for line in lines) == 5
    assert any("camera, 500 fps" in line for line in lines)
    assert any("frames dropped" in line for line in lines)
    assert any(re.search("offline, batch [0-9]+ ", line) for line in lines)


def _check(document: dict[str, Any], scenario: str) -> None:
    assert document["scenario"] == scenario
    assert document["latency_ms"]["count"] >= FEWEST.get(scenario, 64)
    assert document["scenario_options"]["min_runs"] == FEWEST.get(scenario, 64)
    assert set(document["scenario_results"]) == RESULTS[scenario]
    assert document["window_s"] >= 0.1
    assert document["throughput_ips"] > 0
    assert document["memory_mb"]["uss"]["steady"] > 1
    assert ("queue" in document["inside"]) == (scenario == "server")
    assert ("preprocess" in document["inside"]) == (scenario == "camera")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--fps", "30"], "--fps is a setting of the scenario camera, single was asked for"),
        (["--scenario", "server"], "pass --rate, e.g. --rate 50"),
        (["--scenario", "offline", "--batches", "1;2"], "--batches is '1;2'"),
        (["--scenario", "multi", "--streams", "0"], "--streams is 0, it must be 1 to 64"),
        (["--percentile", "p42"], "no percentile is called 'p42'"),
    ],
)
def test_flags_that_do_not_fit_the_scenario_are_refused(
    capsys: pytest.CaptureFixture[str], argv: list[str], problem: str
) -> None:
    assert app.run(["profile", *argv]) == 2
    assert problem in capsys.readouterr().err
    assert not Path("profiles").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            {"scenario": "camera", "fps": 0.1, "duration_s": 1.0},
            "p90 needs 64 frames, at 0.1 a second: about 640 s instead of 1 s\n",
        ),
        (
            {"scenario": "server", "rate": 2.0, "percentile": "p99"},
            "p99 needs 662 queries, at 2 a second: about 331 s instead of 10 s\n",
        ),
        ({"scenario": "camera"}, ""),
        ({"scenario": "camera", "fps": 0.1, "duration_s": 700.0}, ""),
        ({"duration_s": 0.0}, ""),
    ],
)
def test_calls_that_come_slowly_are_told_to_take_long(
    capsys: pytest.CaptureFixture[str], flags: dict[str, Any], told: str
) -> None:
    sweeps.tell_length(ProfileSpec(**flags))
    assert capsys.readouterr().err == told


@pytest.mark.usefixtures("here")
def test_a_long_wait_is_told_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["profile", "--scenario", "camera", "--fps", "0.1", "--python", "no-python"]
    assert app.run(argv) != 0
    assert capsys.readouterr().err.startswith("p90 needs 64 frames, at 0.1 a second")


def test_a_camera_needs_to_know_how_pictures_are_preprocessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_artifact(tmp_path / "build" / "small" / "ort-fp32", preprocessing=None)
    assert app.run(["profile", "--scenario", "camera", "--duration", "0"]) == 2
    said = capsys.readouterr().err
    assert "does not say how pictures are preprocessed" in said
    assert "--mean and --std" in said
    assert "Traceback" not in said
