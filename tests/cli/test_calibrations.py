"""`edgedeploy calib …` as a user types it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from PIL import Image

from edgedeploy.calibration import files
from edgedeploy.calibration_values import Correction
from edgedeploy.cli import app
from tests.calibration.samples import left_float
from tests.graph.networks import block
from tests.models import save, stem

STEPS = ("equalise", "round", "correct-bias")
MEAN_STD = ("--mean", "127.5", "--std", "127.5")
CALIB, MODEL = "calib/stem.json", "models/stem.onnx"


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A working folder with one calibrated model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "images").mkdir()
    save(stem(), tmp_path / "models" / "stem.onnx")
    draw = np.random.default_rng(0)
    for i in range(3):
        pixels = draw.integers(0, 256, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
    plain = [word for step in STEPS for word in ("--without", step)]
    assert app.run(["calibrate", "--data", "images", "--method", "minmax", *plain, *MEAN_STD]) == 0
    capsys.readouterr()
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any]:
    code = app.run(["calib", *argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


def _rewrite(path: str, **changes: Any) -> None:
    files.write(replace(files.read(Path(CALIB)), **changes), Path(path))


def test_every_subcommand_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("show", "diff", "verify", "import", "export"):
        assert app.run(["calib", name, "--help"]) == 0
        assert f"Usage: edgedeploy calib {name}" in capsys.readouterr().out


def test_a_wrong_command_line_points_to_the_help_of_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.run(["calib", "verify", "c.json"]) == 2
    assert "fix: see edgedeploy calib verify --help" in capsys.readouterr().err
    assert app.run(["calib", "bogus"]) == 2
    assert "fix: see edgedeploy calib --help" in capsys.readouterr().err


def test_show_says_where_it_comes_from_and_every_range(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["calib", "show", CALIB]) == 0
    out = capsys.readouterr().out
    calibration = files.read(Path(CALIB))
    assert f"file:      {CALIB}, SHA-256 {calibration.sha256}\n" in out
    assert f"data:      3 images, SHA-256 {calibration.data_digest}\n" in out
    assert "fed:       8x8 pixels, rgb, crop 0.875, mean 127.5, std 127.5\n" in out
    assert "equalised: nothing\ncorrected: nothing\n" in out
    table = out.split("\n\n")[1].splitlines()
    assert table[0].split() == [
        "tensor",
        "low",
        "high",
        "kept",
        "min",
        "max",
        *table[0].split()[6:],
    ]
    assert [line.split()[0] for line in table[1:]] == list(calibration.ranges)
    assert any(" -" in line for line in table)
    end = table[0].index("low") + len("low")  # numbers stand to the right, negative ones too
    assert all(line[end - 1].isdigit() and line[end] == " " for line in table[1:])


def test_show_counts_what_recipes_added(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layer = Correction(bias=np.ones(4, np.float32), rounding=np.zeros((4, 3, 3, 3), np.int8))
    _rewrite(
        "calib/other.json",
        equalisation={"r": np.ones(4, np.float32)},
        corrections={"u8": {"c": layer}, "s8": {"c": replace(layer, rounding=None)}},
        unreadable={"a.png": "no picture"},
    )
    assert app.run(["calib", "show", "calib/other.json"]) == 0
    out = capsys.readouterr().out
    assert "equalised: 1 tensors\n" in out
    assert "corrected: s8: 1 biases, 0 layers rounded; u8: 1 biases, 1 layers rounded\n" in out
    assert ", 1 of them unreadable\n" in out
    _, document = _json(capsys, "show", "calib/other.json")
    assert document["equalisation"] == {"r": [4]}
    assert document["corrections"]["u8"] == {"c": {"bias": [4], "rounding": [4, 3, 3, 3]}}


def test_show_says_what_a_budget_took(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spending = {"u8": replace(left_float(), before=0.25, changed_before=1), "s8": left_float("c")}
    _rewrite("calib/other.json", max_drop=0.5, spending=spending)
    assert app.run(["calib", "show", "calib/other.json"]) == 0
    out = capsys.readouterr().out
    assert "budget:    at most 0.5 points of top-1 may be lost, by 200 images\n" in out
    lost = "points of top-1 expected to be lost"
    assert f"u8:        0.25 {lost}, 1 % of answers changed, with every layer in INT8\n" in out
    assert (
        f"s8:        2.5 {lost}, 12 % of answers changed, with every layer in INT8; "
        f"0.5 {lost}, 3 % of answers changed, with 1 of 2 layers in float: c\n"
    ) in out
    _, document = _json(capsys, "show", "calib/other.json")
    assert document["max_drop"] == 0.5
    assert document["spending"]["s8"]["left_float"] == ["c"]
    assert app.run(["calib", "diff", CALIB, "calib/other.json"]) == 1
    out = capsys.readouterr().out
    assert "max_drop: none\n        → 0.5\n" in out
    assert "left_float: none\n          → s8 c\n" in out


def test_show_drops_columns_on_a_narrow_terminal(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((26, 24)))
    assert app.run(["calib", "show", CALIB]) == 0
    assert "too narrow for: " in capsys.readouterr().out


def test_diff_says_nothing_and_succeeds_when_two_say_the_same(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("copy.json").write_bytes(Path(CALIB).read_bytes())
    assert app.run(["calib", "diff", CALIB, "copy.json"]) == 0
    assert capsys.readouterr().out == f"{CALIB} and copy.json say the same\n"
    assert _json(capsys, "diff", CALIB, "copy.json")[1]["equal"] is True


def test_diff_shows_both_sides_and_exits_with_1(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranges = dict(files.read(Path(CALIB)).ranges)
    del ranges["image"]
    ranges["r"] = replace(ranges["r"], high=ranges["r"].high * 2)
    _rewrite("other.json", ranges=ranges, method="mse", data_count=7)
    assert app.run(["calib", "diff", CALIB, "other.json"]) == 1
    out = capsys.readouterr().out
    assert "data_count: 3\n          → 7\n" in out
    assert "method: minmax\n      → mse\n" in out
    assert "r       50.00%" in out
    assert f"only in {CALIB}: image\n" in out
    code, document = _json(capsys, "diff", CALIB, "other.json")
    assert code == 1
    assert [row["name"] for row in document["tensors"]] == ["r"]
    assert document["only_first"] == ["image"]
    assert document["provenance"][0] == {"field": "data_count", "first": 3, "second": 7}


def test_diff_names_arrays(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _rewrite("other.json", equalisation={"r": np.ones(4, np.float32)})
    assert app.run(["calib", "diff", CALIB, "other.json"]) == 1
    assert capsys.readouterr().out == "arrays that differ: equalisation of 'r'\n"


def test_diff_counts_many_arrays_by_kind(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _rewrite("other.json", equalisation={f"it's {n}": np.ones(4, np.float32) for n in range(5)})
    assert app.run(["calib", "diff", CALIB, "other.json"]) == 1
    assert capsys.readouterr().out == "arrays that differ: 5 x equalisation of …\n"
    assert len(_json(capsys, "diff", CALIB, "other.json")[1]["arrays"]) == 5


def test_verify_passes_what_fits(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["calib", "verify", CALIB, "--model", MODEL]) == 0
    assert capsys.readouterr().out.startswith(f"{CALIB} fits {MODEL}: ")
    code, document = _json(capsys, "verify", CALIB, "--model", MODEL)
    assert code == 0
    assert document["serves"] == ["s8", "u8"]
    assert "error" not in document


def test_verify_refuses_changed_weights_and_preprocessing_with_both(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = files.read(Path(CALIB)).model_sha256
    save(stem(seed=1), Path(MODEL))
    argv = ("verify", CALIB, "--model", MODEL, "--mean", "0", "--std", "255")
    assert app.run(["calib", *argv]) == 6
    error = capsys.readouterr().err
    assert f"{CALIB} does not fit {MODEL} in 2 ways" in error
    assert f"SHA-256 {old}, this one has " in error
    assert "mean (127.5, 127.5, 127.5), it is now (0.0, 0.0, 0.0)" in error
    code, document = _json(capsys, *argv)
    assert code == 6
    assert document["error"]["exit_code"] == 6
    assert len(document["changed"]) == 2


def test_verify_names_all_tensors_without_a_range(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {"r": files.read(Path(CALIB)).ranges["r"]}
    _rewrite(CALIB, ranges={**kept, "other": kept["r"]})
    code, document = _json(capsys, "verify", CALIB, "--model", MODEL)
    assert code == 6
    assert "image" in document["missing"]
    assert document["unknown"] == ["other"]
    assert document["serves"] == []


def test_a_cache_goes_to_tensorrt_and_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = ["calib", "export", CALIB, "--trt-cache", "--trt-version", "8502"]
    assert app.run([*export, "--algorithm", "MinMaxCalibration", "-o", "out/m.cache"]) == 0
    assert capsys.readouterr().out == "out/m.cache\n"
    text = Path("out/m.cache").read_text()
    assert text.startswith("TRT-8502-MinMaxCalibration\n")
    again = ["calib", "import", "out/m.cache", "--model", MODEL, "-o", "back.json", *MEAN_STD]
    assert app.run(again) == 0
    out, err = capsys.readouterr()
    assert out.endswith("tensors, imported:TRT-8502-MinMaxCalibration\n")
    assert not err
    assert app.run(["calib", "export", "back.json", "--trt-cache", "-o", "again.cache"]) == 0
    assert sorted(Path("again.cache").read_text().split()) == sorted(text.split())
    assert app.run(["calib", "verify", "back.json", "--model", MODEL]) == 0
    assert app.run(["calib", "show", "back.json"]) == 0
    assert "data:      not known\n" in capsys.readouterr().out


def test_import_says_on_stderr_what_it_leaves_out(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["calib", "export", CALIB, "--trt-cache", "-o", "m.cache"]) == 0
    lines = Path("m.cache").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("logits: ")]
    Path("m.cache").write_text("\n".join([*kept, *(f"old{i}: 3f800000" for i in range(12))]))
    argv = ("import", "m.cache", "--model", MODEL, "-o", "back.json", *MEAN_STD)
    capsys.readouterr()
    assert app.run(["calib", *argv]) == 0
    err = capsys.readouterr().err
    assert f"left out 12 of the cache's tensors, which {MODEL} does not have: old0, old1" in err
    assert "and 2 more" in err
    _, document = _json(capsys, *argv)
    assert len(document["unknown"]) == 12


def test_import_says_which_backends_a_cache_of_fused_layers_serves(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("block.onnx").write_bytes(ir.serde.serialize_model(block()).SerializeToString())
    names = ("image", "stem/act", "expand/act", "depthwise/act", "add", "head/act", "pool")
    lines = ["TRT-8201-EntropyCalibration2", *(f"{name}: 3d800000" for name in names)]
    Path("m.cache").write_text("\n".join(lines))
    argv = ["calib", "import", "m.cache", "--model", "block.onnx", "-o", "c.json", *MEAN_STD]
    assert app.run(argv) == 0
    said = "for trt only: 2 tensors that ort and openvino need have no range: project/conv, class"
    assert said in capsys.readouterr().err
    assert app.run(["calib", "verify", "c.json", "--model", "block.onnx"]) == 0
    assert said in capsys.readouterr().err
    assert app.run(["build", "block.onnx", "--backend", "ort", "--int8", "--calib", "c.json"]) == 5
    assert "project/conv has no range" in capsys.readouterr().err


def test_import_refuses_a_cache_that_lacks_tensors(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("m.cache").write_text("TRT-8201-EntropyCalibration2\nr: 3f800000\n")
    argv = ("import", "m.cache", "--model", MODEL, "-o", "back.json", *MEAN_STD)
    code, document = _json(capsys, *argv)
    assert code == 6
    assert "m.cache has no scale for " in document["error"]["problem"]
    assert "image" in document["error"]["problem"]
    assert not Path("back.json").exists()


def test_export_writes_the_changed_network_too(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _rewrite("other.json", corrections={"s8": {"c": Correction(bias=np.ones(4, np.float32))}})
    argv = ["calib", "export", "other.json", "--trt-cache", "-o", "trt/m.cache"]
    assert app.run(argv) == 2
    assert "pass --model MODEL" in capsys.readouterr().err
    assert app.run([*argv, "--model", MODEL]) == 0
    assert "trt/m.onnx  the network that the cache belongs to" in capsys.readouterr().out
    onnx.checker.check_model(onnx.load("trt/m.onnx"))
    code, document = _json(capsys, *argv[1:], "--model", MODEL)
    assert (code, document) == (0, {"cache": "trt/m.cache", "model": "trt/m.onnx"})


def test_export_asks_for_the_format(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["calib", "export", CALIB, "-o", "m.cache"]) == 2
    assert "no format is given\n  fix: pass --trt-cache" in capsys.readouterr().err
