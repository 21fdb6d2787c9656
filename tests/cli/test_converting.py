"""`edgedeploy convert` as a user types it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgedeploy import Runtime
from edgedeploy.cli import app
from tests.converting.networks import draw_images, saved, vgg
from tests.graph.networks import Sketch


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small VGG and unlabelled pictures."""
    monkeypatch.chdir(tmp_path)
    saved(vgg(), tmp_path / "vgg.onnx")
    draw_images(tmp_path / "images")
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any]:
    code = app.run([*argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_converted_model_calibrates_builds_and_runs_like_the_rest(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert = ["convert", "vgg.onnx", "--method", "dac", "--rank", "8,b/conv=9,c/conv=9"]
    assert app.run([*convert, "-o", "models/dac.onnx"]) == 0
    assert app.run(["calibrate", "--data", "images"]) == 0
    assert app.run(["build", "--backend", "ort", "--fp32", "--int8"]) == 0
    assert app.run(["build", "vgg.onnx", "--backend", "ort", "--fp32"]) == 0
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    outputs = []
    for folder in ("build/vgg/ort-fp32", "build/dac/ort-fp32", "build/dac/ort-int8"):
        with Runtime.load(folder) as runtime:
            outputs.append(runtime.infer(runtime.preprocess(picture)))
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-4)
    np.testing.assert_allclose(outputs[2], outputs[0], atol=0.2)


def test_the_table_fits_80_columns_and_names_no_more_than_is_known(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["convert", "vgg.onnx", "--rank", "3,a/conv=keep"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[0].split() == [
        "layer", "rank", "of", "energy", "error", "M", "before", "M", "after", "left", "gain",
    ]  # fmt: skip
    assert lines[1].split() == ["a/conv", "–", "8", "–", "–", "0.06", "0.06", "100.0%", "–"]
    assert lines[2].split()[:3] == ["b/conv", "3", "9"]
    assert lines[4] == "multiply-adds of the whole model: 0.28 M → 0.17 M, 61.7% remain"
    assert lines[-1] == "vgg_dac.onnx"


def test_the_document_says_all_of_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = _json(capsys, "convert", "vgg.onnx", "--target-flops", "0.5", "-o", "o.onnx")
    assert code == 0
    assert (document["path"], document["up_to_date"]) == ("o.onnx", False)
    totals = document["totals"]["multiply_adds"]
    assert totals["after"] <= 0.5 * totals["before"]
    work = [layer["multiply_adds"] for layer in document["layers"]]
    saved_work = sum(each["before"] - each["after"] for each in work)
    assert saved_work == totals["before"] - totals["after"]
    for layer in document["layers"]:
        assert layer["kept_energy"] == pytest.approx(1 - layer["weight_error"] ** 2)
        assert layer["gain"] > 0
    assert document["measured"]["inputs"] == "8 pictures of noise"
    assert document["measured"]["output_error"] > 0


def test_the_same_command_twice_does_nothing_and_says_so(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["convert", "vgg.onnx", "--rank", "2", "--data", "images"]
    assert app.run(command) == 0
    before = Path("vgg_dac.onnx").stat().st_mtime_ns
    assert "before the biases were corrected" in capsys.readouterr().out
    assert app.run(command) == 0
    assert capsys.readouterr().out.endswith("vgg_dac.onnx  up to date\n")
    assert Path("vgg_dac.onnx").stat().st_mtime_ns == before
    assert app.run(["convert", "vgg.onnx", "--rank", "1"]) == 0
    assert Path("vgg_dac.onnx").stat().st_mtime_ns != before


def test_the_model_itself_is_never_written_over(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("vgg.onnx").read_bytes()
    Path("link.onnx").symlink_to("vgg.onnx")
    for out in ("vgg.onnx", "link.onnx", "./images/../vgg.onnx"):
        assert app.run(["convert", "vgg.onnx", "--rank", "2", "-o", out]) == 2
        assert "is the model that is to be converted" in capsys.readouterr().err
    assert Path("vgg.onnx").read_bytes() == before


def test_the_other_file_that_is_offered_can_be_typed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("vgg.onnx").rename("my vgg.onnx")
    assert app.run(["convert", "my vgg.onnx", "--rank", "2", "-o", "my vgg.onnx"]) == 2
    *_, option, name = shlex.split(capsys.readouterr().err)
    assert (option, name) == ("-o", "my vgg_dac.onnx")


@pytest.mark.parametrize("out", ["images", "result.json"])
def test_what_is_no_onnx_file_is_not_written(
    here: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    assert app.run(["convert", "vgg.onnx", "--rank", "2", "-o", out]) == 2
    assert f"-o is {out}, and the result is one .onnx file" in capsys.readouterr().err
    assert not Path("result.json").exists()


def test_an_error_is_a_document_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = _json(capsys, "convert", "vgg.onnx", "--rank", "11")
    assert code == document["error"]["exit_code"] == 2
    assert "rank 11 was asked for, and a/conv has 1 to 8" in document["error"]["problem"]
    assert not Path("vgg_dac.onnx").exists()


@pytest.mark.parametrize("option", [("--samples", "5"), ("--every", "i%2")])
def test_a_choice_of_images_needs_images(
    here: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    assert app.run(["convert", "vgg.onnx", "--rank", "3", *option]) == 2
    assert f"{option[0]} is {option[1]}, and there are no images" in capsys.readouterr().err


def test_what_no_conversion_wrote_is_not_written_over(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.onnx").write_text("keep")
    saved(vgg(), Path("other.onnx"))
    for name in ("mine.onnx", "other.onnx"):
        before = Path(name).read_bytes()
        assert app.run(["convert", "vgg.onnx", "--rank", "3", "-o", name]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"edgedeploy: {name} is there, and was not written by")
        assert Path(name).read_bytes() == before
    assert app.run(["convert", "vgg.onnx", "--rank", "3", "-o", "dac.onnx"]) == 0
    assert app.run(["convert", "vgg.onnx", "--rank", "2", "-o", "dac.onnx"]) == 0


def test_a_folder_is_no_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["convert", ".", "--rank", "3"]) == 6
    assert "Is a directory" in capsys.readouterr().err


def test_a_size_that_the_network_cannot_be_run_at_is_a_document(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = Sketch()
    value = graph.convolve("image", "a", (4, 3, 3, 3), act="", pads=[0] * 4)
    saved(graph.model(value, sides=("h", "w"), output_shape=("n", 4, "y", "x")), Path("any.onnx"))
    code, document = _json(capsys, "convert", "any.onnx", "--rank", "2", "--resolution", "2")
    assert code == document["error"]["exit_code"] == 6
    assert "cannot run the model on image (1, 3, 2, 2)" in document["error"]["problem"]
    assert not Path("any_dac.onnx").exists()
    code, _ = _json(capsys, "convert", "any.onnx", "--rank", "2", "--resolution", "8")
    assert code == 0


def test_a_network_of_four_images_a_call_is_refused_by_all_that_feed_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = vgg()
    model.graph.inputs[0].shape = ir.Shape([4, 3, 16, 16])
    model.graph.outputs[0].shape = ir.Shape([4, 4])
    saved(model, Path("four.onnx"))
    for command in (
        ["convert", "four.onnx", "--rank", "3"],
        ["calibrate", "four.onnx", "--data", "images"],
    ):
        code, document = _json(capsys, *command)
        assert code == 6
        assert "four.onnx takes 4 images in every call" in json.dumps(document)
    assert not Path("calib").exists()
