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
from edgedeploy.cli import app, build_specs, builds
from edgedeploy.runtime import cpu, manifest
from edgedeploy.runtime.trt_options import TrtOptions
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
        (["--int8", "--x86", "foo"], "--x86 is 'foo', it must be one of any, vnni"),
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


@pytest.mark.parametrize(
    "backends", [["ort,openvino"], ["ort", "--backend", "openvino", "--backend=ort"]]
)
def test_several_backends_are_built_in_every_precision(
    here: Path, capsys: pytest.CaptureFixture[str], backends: list[str]
) -> None:
    assert app.run(["build", "--backend", *backends, "--fp32", "--int8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["artifacts"]
    assert [artifact["path"] for artifact in found] == [
        f"build/stem/{name}" for name in ("ort-fp32", "ort-int8", "openvino-fp32", "openvino-int8")
    ]


def test_a_precision_that_one_of_them_lacks_does_not_stop_the_rest_with_keep_going(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["build", "--backend", "ort,openvino", "--bf16", "--fp32", "--json"]
    assert app.run(argv) == 4
    assert "cannot build bf16" in json.loads(capsys.readouterr().out)["error"]["problem"]
    assert app.run([*argv, "--keep-going"]) == 4
    found = json.loads(capsys.readouterr().out)["artifacts"]
    assert [one.get("path", one.get("subject")) for one in found] == [
        "build/stem/ort-fp32",
        "stem for ort bf16",
        "build/stem/openvino-fp32",
        "build/stem/openvino-bf16",
    ]


def test_a_board_is_for_tensorrt_and_the_others_are_built_for_any_machine(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["build", "--backend", "ort,trt", "--device", "jetson-nano", "--fp16", "--json"]
    assert app.run(argv) == 0
    found = json.loads(capsys.readouterr().out)["artifacts"]
    assert [(artifact["path"], artifact["waiting"]) for artifact in found] == [
        ("build/stem/ort-fp16", False),
        ("build/jetson-nano/stem/trt-fp16", True),
    ]


def test_each_backend_gets_the_options_that_are_its_own() -> None:
    names = build_specs.backend_names(["trt,ort,", "openvino", " trt "])
    assert names == ["trt", "ort", "openvino"]
    found = build_specs.specs(
        names,
        ["fp32", "int8"],
        ov_device="GPU",
        x86="vnni",
        trt={"workspace_mb": 64, "dla_core": 0},
        board=("jetson-orin-nx", None),
    )
    by_name = {(spec.backend, spec.precision.value): spec for spec in found}
    assert {key for key, spec in by_name.items() if spec.ov_device == "GPU"} == {
        ("openvino", "fp32"),
        ("openvino", "int8"),
    }
    assert {key for key, spec in by_name.items() if spec.x86 == "vnni"} == {
        ("ort", "int8"),
        ("openvino", "int8"),
    }
    for key, spec in by_name.items():
        assert (spec.target is not None) == (key[0] == "trt")
        assert (spec.trt == TrtOptions()) == (key[0] != "trt")
    assert by_name["trt", "int8"].trt.workspace_mb == 64
    assert by_name["trt", "int8"].trt.batch == (1, 1, 1)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--backend", "ort,openvno"], "no backend is called 'openvno'"),
        (["--backend", ","], "no backend is given"),
        (["--backend", "ort,trt", "--ov-device", "GPU"], "--ov-device GPU is for OpenVINO, and"),
        (["--backend", "ort,openvino", "--tune"], "--tune is for TensorRT, and backend 'ort' and"),
        (["--backend", "ort", "--opt-level", "3"], "--opt-level is for TensorRT, and backend"),
        (["--backend", "ort", "--device", "jetson-nano"], "a board was named, jetson-nano, for"),
        (["--backend", "trt,ort", "--tune"], "--tune is about INT8, and fp32 was asked for"),
    ],
)
def test_an_option_that_no_named_backend_takes_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    assert app.run(["build", *argv]) == 2
    assert words in capsys.readouterr().err
    assert not Path("build").exists()


def test_a_size_that_the_calibration_was_not_measured_at_is_told_with_who_says_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(stem(("N", 3, "H", "W")), here / "models" / "any.onnx")
    calibrate = ["calibrate", "models/any.onnx", "--data", "images", "--resolution", "8"]
    assert app.run([*calibrate, "--mean", "127.5", "--std", "127.5"]) == 0
    asked = ["build", "models/any.onnx", "--backend", "ort", "--int8", "--resolution"]
    assert app.run([*asked, "9"]) == 2
    assert (
        "any.onnx: the command line says 9x9, calib/any.json was measured at 8x8\n"
        "  fix: leave --input-shape and --resolution out"
    ) in capsys.readouterr().err
    assert app.run([*asked, "8"]) == 0


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
    assert "compare: edgedeploy profile --ab build/stem/ort-fp32 build/stem/ort-int8" in fixes


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
