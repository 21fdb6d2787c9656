"""`edgedeploy trtexec …` as a user types it, from a source for a board to a row of the report."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.cli import app
from tests.cli.test_builds import here as here  # noqa: PLC0414 -- the fixture, by its name
from tests.trtexec import runs
from tests.trtexec.runs import ELEVEN, NANO

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "build/jetson-nano/stem/trt-fp16"
COMMAND = ("trtexec", "command", FOLDER)
IMPORT = ("trtexec", "import", FOLDER, "--log", "run.log")


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    code = app.run([*argv, "--json"])
    found = capsys.readouterr().out
    assert code == 0, found
    return dict(json.loads(found))


def fails(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    code = app.run([*argv, "--json"])
    error = dict(json.loads(capsys.readouterr().out)["error"])
    assert error["exit_code"] == code != 0
    return error


@pytest.fixture
def prepared(here: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A working folder with a source for a Nano, and the log of a run there."""
    argv = ["build", "--backend", "trt", "--device", "jetson-nano", "--fp16", "--resolution", "8"]
    assert app.run(argv) == 0
    capsys.readouterr()
    manifest = runs.read(here / FOLDER)
    command = run(capsys, *COMMAND, "--measure")
    text = NANO.replace("1x3x288x800", "1x3x8x8").replace(
        "ExposeDMA: Disabled", "ExposeDMA: Enabled"
    )
    text = text.replace("binding for input", f"binding for {manifest.input.name}")
    text = text.replace("binding for output", f"binding for {manifest.output.name}")
    for line in text.split("\n"):
        if line.startswith("&&&& RUNNING"):
            text = text.replace(line.split(" # ")[1], shlex.join(command["argv"]))
    (here / "run.log").write_text(text)
    (here / "times.json").write_text(runs.exported(runs.latencies(text)))
    return here


def test_the_lines_to_type_are_printed_alone_on_stdout(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run([*COMMAND]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith(f"/usr/src/tensorrt/bin/trtexec --onnx={FOLDER}/source.onnx ")
    assert out.endswith(" > stem-trt-fp16.build.log 2>&1\n")
    assert out.count("\n") == 1
    assert app.run([*COMMAND, "--measure", "--trtexec", "trtexec", "--at", "/opt/a b"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("trtexec '--loadEngine=/opt/a b/model.engine' ")
    assert f"then: edgedeploy trtexec import {FOLDER} --log stem-trt-fp16.trtexec.log" in err


def test_another_version_of_tensorrt_gets_its_own_flags(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--workspace=256" in run(capsys, *COMMAND)["argv"]
    later = run(capsys, *COMMAND, "--tensorrt", "8.5.2")
    assert "--memPoolSize=workspace:256" in later["argv"]
    assert later["tensorrt"] == "8.5.2"
    xavier = run(capsys, *COMMAND, "--device", "jetson-xavier-nx")
    assert xavier["tensorrt"].startswith("8.5")
    error = fails(capsys, *COMMAND, "--device", "jetson-orin-nano")
    assert "made for TensorRT 8.2.1" in error["problem"]


def test_what_trtexec_measured_shows_up_in_the_report(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (record,) = run(capsys, *IMPORT, "--times", "times.json")["profiles"]
    assert (record["source"], record["scenario"]) == ("trtexec", "single")
    assert record["cost"]["multiply_adds"] > 0
    assert record["device"] == {
        "name": "jetson-nano",
        "model": "NVIDIA Tegra X1",
        "power_mode": None,
        "clocks": None,
    }
    assert app.run(["report", "-o", "report.md"]) == 0
    out, _ = capsys.readouterr()
    assert "trt (trtexec)" in out
    assert "? stem trt (trtexec) fp16: suspect: clocks, temperatures" in out
    written = (prepared / "report.md").read_text()
    assert "jetson-nano (NVIDIA Tegra X1), tensorrt 8.2.1, scenario single, batch 1" in written
    assert "h2d, compute, d2h by trtexec" in written
    assert "None" not in written


def test_a_row_of_trtexec_stands_beside_ours_and_never_replaces_it(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, *IMPORT)
    (path,) = (prepared / "profiles").iterdir()
    ours = json.loads(path.read_text())
    foreign = {"source", "trtexec"}
    with_times = run(capsys, *IMPORT, "--times", "times.json")["profiles"][0]
    ours = {key: value for key, value in with_times.items() if key not in foreign}
    ours["cold_start_ms"] = {"load": 1.0, "first_inference": 1.0}
    ours["artifact"]["size_bytes"] = ours["memory_mb"]["engine"] = 1
    (prepared / "profiles" / "ours.json").write_text(json.dumps(ours))
    assert app.run(["report"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.split("\n") if line.startswith("stem")]
    assert sorted(row[1] for row in rows) == ["trt", "trt"]
    assert len(rows) == 2


def test_an_import_prints_its_row_and_where_it_lies(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run([*IMPORT, "-o", "kept"]) == 0
    out, err = capsys.readouterr()
    assert "?90.30" in out
    assert "written: kept/20230714T115518Z-stem-trt-fp16.json" in err


def test_a_board_must_be_named_where_the_artifact_does_not(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [{"name": "t168", "shape": [None, 1001], "dtype": "float32"}]
    runs.built(here / "build" / "net" / "trt-fp16", "11.1.0", outputs=outputs)
    (here / "run.log").write_text(ELEVEN)
    argv = ("trtexec", "import", "build/net/trt-fp16", "--log", "run.log")
    error = fails(capsys, *argv)
    assert error["exit_code"] == 2
    assert "--device" in error["fix"]
    (record,) = run(capsys, *argv, "--device", "jetson-agx-orin")["profiles"]
    assert record["inside"] == ["compute"]
    assert fails(capsys, *argv, "--device", "jetson-nano")["problem"].endswith(
        "compute capability is 8.7, not 5.3"
    )


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("run.log", NANO.replace("&&&& PASSED", "&&&& FAILED"), (7, "trtexec failed")),
        ("run.log", NANO[:3000], (6, "ends before trtexec did")),
        ("run.log", "", (6, "no output of trtexec")),
        ("run.log", NANO, (6, "not of this artifact")),
        ("times.json", "[", (6, "times.json is damaged")),
        ("times.json", "[{}]", (6, "latencyMs of a query is missing")),
        ("times.json", runs.exported([1.0, 2.0]), (6, "of another run than the log")),
    ],
)
def test_what_cannot_be_imported_is_one_error_and_nothing_is_written(
    prepared: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    content: str,
    expected: tuple[int, str],
) -> None:
    (prepared / file).write_text(content)
    error = fails(capsys, *IMPORT, "--times", "times.json")
    assert error["exit_code"] == expected[0]
    assert expected[1] in error["problem"]
    assert error["fix"]
    assert not (prepared / "profiles").exists()


def test_the_help_names_both_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["trtexec", "--help"]) == 0
    out = capsys.readouterr().out
    assert "command" in out
    assert "import" in out
