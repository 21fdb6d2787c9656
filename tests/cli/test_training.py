"""`edgedeploy train` as a user types it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgedeploy.cli.app import run
from edgedeploy.zoo import native_weights

TINY = (
    "train", "mobilenet_v1", "--alpha", "0.05", "--data", "images", "--resolutions", "16",
    "--epochs", "1", "--batch", "4", "--threads", "1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with eight labelled pictures."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for label in ("a", "b"):
        Path("images", label).mkdir(parents=True)
        for i in range(4):
            pixels = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path("images", label, f"{i}.png"))


def test_training_ends_with_the_command_that_exports(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*TINY, "--tag", "mine"]) == 0
    out, err = capsys.readouterr()
    path = "runs/mobilenet_v1_0.05_mine/mobilenet_v1_0.05_16_mine.safetensors"
    assert f"--weights {path} --tag mine" in out
    assert "8 images, 2 classes (a, b), kept at 8×8" in err
    assert "main epoch 1/1  loss" in err
    assert torch.get_num_threads() == 1


def test_every_option_reaches_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*TINY, "-o", "teacher"]) == 0
    teacher = "teacher/mobilenet_v1_0.05_16_trained.safetensors"
    capsys.readouterr()
    options = (
        *("--recipe", "paper", "--learning-rate", "0.03", "--fine-tune", "1", "--half"),
        *("--teacher", teacher, "--temperature", "3", "--soft-weight", "0.5", "--seed", "9"),
    )
    assert run([*TINY, *options, "-o", "run", "--json"]) == 0
    out, err = capsys.readouterr()
    (path,) = json.loads(out)["weights"]
    assert "fine-tune-16 epoch 0/1  16: " in err
    tensors, metadata = native_weights.open_safetensors(Path(path))
    kernel = tensors["classifier/weight"]
    assert (kernel == kernel.astype(np.float16)).all()
    origin = json.loads(metadata["edgedeploy"])["origin"]
    recipe = json.loads(origin["recipe"])
    wanted = {
        "recipe": "paper", "optimiser": "rmsprop", "learning_rate": 0.03, "batch": 4, "epochs": 1,
        "seed": 9, "temperature": 3.0, "soft_weight": 0.5, "resolutions": [16],
    }  # fmt: skip
    assert {key: recipe[key] for key in wanted} == wanted
    assert origin["fine_tune"] == "1"


def test_unknown_recipe_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*TINY, "--recipe", "papers"]) == 2
    assert "--recipe" in capsys.readouterr().err


def test_teacher_that_is_not_there_is_told_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*TINY, "--teacher", "no.onnx"]) == 6
    assert "no.onnx cannot be read" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_training_that_is_done_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*TINY, "-o", "mine"]) == 0
    assert "trained already" not in capsys.readouterr().err
    assert run([*TINY, "-o", "mine"]) == 0
    assert "mine was trained already" in capsys.readouterr().err


def test_the_command_that_exports_does_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    alpha = ("--alpha", "0.0512345678")
    assert run([*TINY, *alpha, "-o", "two words"]) == 0
    command = capsys.readouterr().out.splitlines()[1].strip()
    assert run([*shlex.split(command)[1:], "-o", "models"]) == 0
    assert len(list(Path("models").glob("*.onnx"))) == 1


def test_a_seed_out_of_range_is_told_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*TINY, "--seed", "100000000000000000"]) == 2
    assert "the seed is 100000000000000000, it must lie between 0 and" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [("--temperature", "--temperature is 3"), ("--soft-weight", "--soft-weight is 3")],
)
def test_numbers_for_a_teacher_need_one(
    capsys: pytest.CaptureFixture[str], option: str, said: str
) -> None:
    assert run([*TINY, option, "3"]) == 2
    assert f"{said}, and there is no teacher" in capsys.readouterr().err
