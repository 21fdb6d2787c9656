"""Building for a board that is not this machine, and TensorRT's own options, asked for wrongly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import numpy_helper

from edgedeploy.cli import app
from edgedeploy.errors import EdgeDeployError
from edgedeploy.runtime.runtime import Runtime
from tests.cli.test_builds import here as here  # noqa: PLC0414 -- the fixture, by its name
from tests.models import save, stem

if TYPE_CHECKING:
    from pathlib import Path

NANO = ("build", "--backend", "trt", "--device", "jetson-nano", "--resolution", "8")


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    code = app.run([*argv, "--json"])
    found = capsys.readouterr().out
    assert code == 0, found
    (*_, last) = json.loads(found)["artifacts"]
    return dict(last)


def fails(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    code = app.run([*argv, "--json"])
    error = dict(json.loads(capsys.readouterr().out)["error"])
    assert error["exit_code"] == code != 0
    return error


def test_a_nano_gets_a_source_that_its_tensorrt_reads_and_no_engine(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(capsys, *NANO, "--fp16", "--jetpack", "4.6.6")
    assert found["path"] == "build/jetson-nano/stem/trt-fp16"
    assert found["waiting"]
    folder = here / found["path"]
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "source.onnx"]
    source = onnx.load(folder / "source.onnx")
    assert source.opset_import[0].version <= 13
    assert source.ir_version <= 7
    floats = {tensor.data_type for tensor in source.graph.initializer} - {onnx.TensorProto.INT64}
    assert floats == {onnx.TensorProto.FLOAT}  # TensorRT 8.2 takes FP16 by a flag
    assert run(capsys, *NANO, "--fp16", "--jetpack", "4.6.6")["up_to_date"]


def test_an_artifact_that_waits_says_how_the_board_builds_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run([*NANO, "--fp16"]) == 0
    assert "jetson-nano builds it with TensorRT 8.2.1" in capsys.readouterr().out
    with pytest.raises(EdgeDeployError, match="jetson-nano") as caught:
        Runtime.load("build/jetson-nano/stem")
    assert "rebuild=True" in caught.value.fix


@pytest.mark.parametrize(
    ("device", "jetpack", "mode"),
    [
        ("jetson-xavier-nx", "4.6.6", "implicit"),
        ("jetson-xavier-nx", "5.0.2", "implicit"),
        ("jetson-xavier-nx", "5.1.2", "qdq"),
        ("jetson-orin-nano", "6.2", "typed"),
    ],
)
def test_each_generation_of_tensorrt_gets_int8_as_it_reads_it(
    here: Path, capsys: pytest.CaptureFixture[str], device: str, jetpack: str, mode: str
) -> None:
    argv = ("build", "--backend", "trt", "--int8", "--device", device, "--jetpack", jetpack)
    found = run(capsys, *argv)
    assert found["precision"]["int8_mode"] == mode
    folder = here / found["path"]
    source = onnx.load(folder / "source.onnx")
    operators = {node.op_type for node in source.graph.node}
    weights = {t.data_type for t in source.graph.initializer if numpy_helper.to_array(t).ndim == 4}
    if mode == "implicit":
        assert (folder / "calibration.cache").read_text().startswith("TRT-8")
        assert "QuantizeLinear" not in operators
    else:
        assert not (folder / "calibration.cache").exists()
        assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    wanted = onnx.TensorProto.INT8 if mode == "typed" else onnx.TensorProto.FLOAT
    assert weights == {wanted}


def test_two_boards_have_folders_of_their_own(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {
        run(capsys, "build", "--backend", "trt", "--fp16", "--device", device)["path"]
        for device in ("jetson-orin-nano", "jetson-agx-orin")
    }
    assert paths == {
        "build/jetson-orin-nano/stem/trt-fp16",
        "build/jetson-agx-orin/stem/trt-fp16",
    }


@pytest.mark.parametrize(
    ("argv", "problem", "fix"),
    [
        (("--backend", "trt", "--int8", "--device", "jetson-nano"), "cannot run int8", "--fp16"),
        (("--backend", "trt", "--device", "jetson-nan"), "jetson-nan", "jetson-nano"),
        (("--backend", "trt", "--device", "jetson-nano", "--jetpack", "6.2"), "6.2", "4.6"),
        (("--backend", "trt", "--jetpack", "6.2"), "without a board", "--device"),
        (("--backend", "ort", "--device", "jetson-nano"), "runs on any machine", "--backend trt"),
        (("--backend", "ort", "--workspace-mb", "64"), "--workspace-mb", "--backend trt"),
        (("--backend", "trt", "--tune"), "--tune is about INT8", "--int8"),
        (("--backend", "trt", "--batch", "4,1,8"), "4,1,8", "--batch 1,4,8"),
        (("--backend", "trt", "--batch", "four"), "'four'", "--batch 1,4,8"),
        (("--backend", "trt", "--batch", "0"), "the batch is 0:", "--batch 1,4,8"),
        (("--backend", "ort", "--opt-level", "3"), "--opt-level is for", "--backend trt"),
        (
            ("--backend", "trt", "--device", "jetson-nano", "--jetpack", "4.6"),
            "JetPack 4.6 of Jetson Nano has TensorRT 8.0.1",
            "JetPack 4.6.6",
        ),
        (("--backend", "trt", "--workspace-mb", "0"), "workspace is 0", "256"),
        (
            ("--backend", "trt", "--int8", "--tune", "--device", "jetson-orin-nano"),
            "--tune times engines on the GPU",
            "on the board",
        ),
        (
            ("--backend", "trt", "--int8", "--int8-mode", "typed", "--device", "jetson-xavier-nx"),
            "'typed' was asked for",
            "--int8-mode qdq",
        ),
        (
            ("--backend", "trt", "--int8", "--dla-core", "0", "--device", "jetson-orin-nano"),
            "DLA",
            "--dla-core",
        ),
    ],
)
def test_what_no_board_can_do_is_refused_before_anything_is_built(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    argv: tuple[str, ...],
    problem: str,
    fix: str,
) -> None:
    error = fails(capsys, "build", *argv)
    assert problem in error["problem"]
    assert fix in error["fix"]
    assert not (here / "build").exists()


def test_one_number_of_batch_is_a_fixed_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("build", "--backend", "trt", "--fp16", "--device", "jetson-orin-nano")
    assert run(capsys, *argv, "--batch", "4")["options"]["batch"] == [4, 4, 4]
    again = run(capsys, *argv, "--batch", "1,4,8")
    assert (again["options"]["batch"], again["up_to_date"]) == ([1, 4, 8], False)


def test_a_dla_gets_one_size_of_batch_unless_another_is_asked_for(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("build", "--backend", "trt", "--int8", "--device", "jetson-agx-orin")
    found = run(capsys, *argv, "--jetpack", "6.2", "--dla-core", "1")
    assert found["options"]["batch"] == [1, 1, 1]
    assert found["precision"]["int8_mode"] == "implicit"
    error = fails(capsys, *argv, "--jetpack", "6.2", "--dla-core", "1", "--batch", "1,2,4")
    assert "one size of batch" in error["problem"]


def test_a_sweep_leaves_out_what_waits_for_a_board_and_says_so_if_that_is_all(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run([*NANO, "--fp16"]) == 0
    capsys.readouterr()
    error = fails(capsys, "eval", "--data", "images")
    assert "waits for jetson-nano" in error["problem"]
    assert "docs/jetson.md" in error["fix"]
    run(capsys, "build", "--backend", "ort")
    assert app.run(["eval", "--data", "images", "--class-offset", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["evaluations"]
    assert [row["artifact"] for row in found] == ["build/stem/ort-fp32"]


def test_what_the_boards_parser_does_not_read_is_refused_here_with_the_node(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = stem()
    model.graph.node[1].CopyFrom(
        onnx.helper.make_node("MyOp", ["c"], ["r"], name="dice", domain="com.acme")
    )
    model.opset_import.append(onnx.helper.make_opsetid("com.acme", 1))
    save(model, here / "own.onnx")
    error = fails(capsys, "build", "own.onnx", *NANO[1:], "--fp16")
    assert "own.onnx: TensorRT 8.2 has no operator for MyOp 'dice'" in error["problem"]
    assert not (here / "build" / "jetson-nano" / "own").exists()


def test_a_source_without_its_engine_folder_says_what_is_in_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run([*NANO, "--fp16"]) == 0
    capsys.readouterr()
    error = fails(capsys, "trtexec", "command", "build/jetson-nano/stem")
    assert "build/jetson-nano/stem/trt-fp16" in error["fix"]
    error = fails(capsys, "trtexec", "command", "models/stem.onnx")
    assert "models/stem.onnx is a file" in error["problem"]


def test_trtexec_is_told_nothing_of_an_artifact_that_lacks_a_file(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(capsys, *NANO, "--fp16")
    (here / found["path"] / "source.onnx").unlink()
    assert "source.onnx" in fails(capsys, "trtexec", "command", found["path"])["problem"]


def test_a_wrong_option_points_to_the_help_of_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = fails(capsys, "build", "--backend", "trt", "--opt-level", "9")
    assert error["problem"] == "--opt-level is '9', it must be at most 5"
    assert error["fix"] == "pass at most 5; see edgedeploy build --help"
