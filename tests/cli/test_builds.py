"""What build prints of INT8, and the ways to ask for it wrongly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedeploy.advice import Advice
from edgedeploy.building import BuildResult
from edgedeploy.cli import app, builds
from edgedeploy.runtime import cpu, manifest
from tests.artifacts import write_artifact
from tests.models import save, stem


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A working folder with one calibrated model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    save(stem(), tmp_path / "models" / "stem.onnx")
    (tmp_path / "images" / "a").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "a" / "0.png")
    mean_std = ("--mean", "127.5", "--std", "127.5")
    assert app.run(["calibrate", "--data", "images", *mean_std]) == 0
    capsys.readouterr()
    return tmp_path


def build(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert app.run(["build", "--backend", "ort", *argv, "--json"]) == 0
    (*_, last) = json.loads(capsys.readouterr().out)["artifacts"]
    return dict(last)


def result(folder: Path, *advice: Advice, **changes: Any) -> BuildResult:
    path = write_artifact(folder, **changes)
    return BuildResult(path, up_to_date=False, manifest=manifest.read(str(path)), advice=advice)


def test_x86_is_a_need_and_the_second_build_replaces_the_first(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anywhere = build(capsys, "--int8")
    assert anywhere["needs"] == {}
    assert build(capsys, "--int8", "--x86", "any")["up_to_date"]
    full = build(capsys, "--int8", "--x86", "VNNI")
    assert full["needs"] == {"x86": "vnni"}
    assert (full["path"], full["up_to_date"]) == (anywhere["path"], False)
    assert full["sha256"] != anywhere["sha256"]


def test_x86_is_about_the_int8_one_of_several_precisions(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(capsys, "--fp32", "--int8", "--x86", "vnni")["needs"] == {"x86": "vnni"}
    assert manifest.read("build/stem/ort-fp32").needs == {}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--int8", "--x86", "foo"], "'foo' is not one of 'any', 'vnni'"),
        (["--fp32", "--x86", "vnni"], "--x86 vnni is about INT8, and fp32 was asked for"),
        (["--x86", "any"], "--x86 any is about INT8, and fp32 was asked for"),
    ],
)
def test_wrong_x86_gets_one_clear_error(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    assert app.run(["build", "--backend", "ort", *argv]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.count("fix:") == 1
    assert not Path("build").exists()


def test_line_says_how_many_layers_run_in_int8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"asked": "int8", "runs": {"float32": 2, "int8": 26}, "quantised": 28}
    untold = {"asked": "int8", "runs": {}, "quantised": 28}
    results = [
        result(tmp_path / "a", Advice("a", "2 of 28 fell back", "compare"), precision=told),
        result(tmp_path / "b", backend="trt", precision=untold),
        result(tmp_path / "c"),
    ]
    assert builds.print_builds(results, as_json=False) == 0
    printed = capsys.readouterr()
    first, second, third = printed.out.splitlines()
    assert first.endswith("26 of 28 layers in int8, 2 layers in float32")
    assert second.endswith("28 layers quantised, the engine does not tell what it runs")
    assert third.endswith("1 layers in float32")
    assert printed.err == "  note: 2 of 28 fell back\n    compare\n"


def test_int8_beside_fp32_says_how_to_compare(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = build(capsys, "--fp32", "--int8")
    fixes = [row["fix"] for row in document["advice"]]
    assert "compare: edgedeploy profile build/stem/ort-fp32 build/stem/ort-int8" in fixes


@pytest.mark.skipif(
    cpu.multiplies_bytes_exactly(cpu.x86_flags()), reason="this processor adds exactly"
)
def test_run_warns_in_plain_words_where_the_artifact_saturates(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(capsys, "--int8", "--x86", "vnni")
    command = [sys.executable, "-m", "edgedeploy", "run", "build", "images/a/0.png", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.startswith("edgedeploy: warning: build/stem/ort-int8 may answer wrongly")
    assert "--x86 any" in done.stderr
    assert "loading.py" not in done.stderr
    assert "saturate" in json.loads(done.stdout)["runtime"]["unmet"]


def test_doctor_prints_what_it_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["doctor", "--measure"]) == 0
    printed = capsys.readouterr().out
    assert "ort int8: " in printed
    assert "times the speed of fp32" in printed
