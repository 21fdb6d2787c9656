"""`edgedeploy calibrate` with a budget, and without steps of the recipe, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

from edgedeploy.calibration import files
from edgedeploy.cli import app
from edgedeploy.meters import cpu
from tests.calibration.ruined import RUINED, colours, ruined
from tests.graph.networks import run
from tests.models import save

COUNT, CALIB = 24, "calib/block.json"
CALIBRATE = ["calibrate", "--data", "images", "--mean", "127.5", "--std", "127.5"]
BUDGET = [*CALIBRATE, "--max-drop", "10", "--without", "equalise"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model that INT8 ruins, and pictures in folders of its answers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    frames = colours(COUNT)
    batch = (frames.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
    model = ruined(batch)
    save(ir.serde.serialize_model(model), tmp_path / "models" / "block.onnx")
    for number, label in enumerate(run(model, batch).argmax(axis=1)):
        folder = tmp_path / "images" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frames[number]).save(folder / f"{number:02}.png")
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert app.run([*argv, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["calibrations"]
    return found


def test_a_budget_is_kept_and_its_cost_shown(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _json(capsys, *BUDGET)
    assert (found["steps"], found["max_drop"]) == (["round", "correct-bias"], 10)
    assert set(found["spending"]) == {"u8", "u8-vnni", "s8"}
    for one in found["spending"].values():
        assert one["images"] == COUNT
        assert one["before"] > 10 >= one["after"]
        assert one["left_float"][0] == RUINED
        assert (one["slowdown"] is None) == (one["slowdown_reason"] is not None)
    assert found["spending"]["u8"]["slowdown"] > 0
    assert "NVIDIA GPUs only" in found["spending"]["s8"]["slowdown_reason"]
    if not cpu.read().multiplies_bytes_exactly:
        assert found["spending"]["u8-vnni"]["slowdown_reason"].startswith("this CPU has no VNNI")
    again = _json(capsys, *BUDGET)
    assert again["up_to_date"]
    assert again["spending"]["u8"]["slowdown_reason"] == "the calibration was there already"
    assert again["spending"]["u8"]["left_float"] == found["spending"]["u8"]["left_float"]


def test_what_is_left_in_float_is_built_in_float(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(BUDGET) == 0
    printed = capsys.readouterr().out
    left = files.read(Path(CALIB)).left_float
    assert f"of 6 layers in float: {', '.join(left['u8'])}; " in printed
    assert "x the time of all in INT8, ONNX Runtime on this CPU\n" in printed
    assert "; time not measured: the style s8 is TensorRT's" in printed
    assert app.run(["build", "--backend", "ort", "--int8"]) == 0
    count = 6 - len(left["u8"])
    assert f"{count} of {count} layers in int8" in capsys.readouterr().out
    assert app.run(["eval", "build/block/ort-int8", "--data", "images", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["evaluations"]
    changed = files.read(Path(CALIB)).spending["u8"].changed_after / 100
    # one picture may fall otherwise in integer arithmetic
    assert found["top1"] == pytest.approx(1 - changed, abs=1.01 / COUNT)


def test_a_calibration_of_another_budget_or_other_steps_is_made_anew(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(CALIBRATE) == 0
    for more in (["--max-drop", "100"], ["--without", "round"], []):
        assert app.run([*CALIBRATE, *more]) == 0
        assert "up to date" not in capsys.readouterr().out
        assert app.run([*CALIBRATE, *more]) == 0
        assert "up to date" in capsys.readouterr().out


def test_a_budget_that_is_kept_from_the_start_says_so(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _json(capsys, *CALIBRATE, "--max-drop", "100")
    for one in found["spending"].values():
        assert (one["left_float"], one["harms"]) == ([], {})
        assert one["slowdown_reason"] == "no layer stays in float"
    assert app.run([*CALIBRATE, "--max-drop", "99"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.endswith("with every layer in INT8") for line in lines[1:])
    assert len(lines) == 4


@pytest.mark.parametrize("points", ["0", "-1", "100.5", "nan"])
def test_a_budget_that_is_no_share_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], points: str
) -> None:
    assert app.run([*CALIBRATE, "--max-drop", points]) == 2
    problem = f"the budget is {points} points, it must be above 0 and at most 100\n"
    assert problem in capsys.readouterr().err
    assert not Path("calib").exists()


@pytest.mark.parametrize("more", [["--max-drop", "half"], ["--without", "rounding"]])
def test_what_cannot_be_parsed_is_one_usage_error(
    here: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    assert app.run([*CALIBRATE, *more]) == 2
    assert f"{more[0]} is '{more[1]}', it must be" in capsys.readouterr().err
