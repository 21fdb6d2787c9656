from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedeploy.optional import is_installed

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not is_installed("torch"), reason="needs the train extra")


@pytest.fixture
def dac(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("dac")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder like CIFAR-10's archive, with one picture a class."""
    for label in "abcdefghij":
        folder = tmp_path / "data" / "train" / label
        folder.mkdir(parents=True)
        pixels = np.full((32, 32, 3), 20 * ord(label) % 256, np.uint8)
        Image.fromarray(pixels).save(folder / "0.png")
    return tmp_path / "data"


def test_a_training_on_fewer_images_is_not_taken_for_that_on_all(
    dac: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [str(data), "-o", str(tmp_path / "run"), "--width", "1", "--epochs", "1"]
    call += ["--threads", "1", "--train-only"]
    assert dac.main([*call, "--train-images", "4"]) == 0
    capsys.readouterr()
    assert dac.main(call) == 6
    assert "is of a training with images = 4, this one has 10\n  fix:" in capsys.readouterr().err
    assert dac.main([*call, "--train-images", "4"]) == 0
    assert "epoch" not in capsys.readouterr().err  # done already


def test_fewer_images_stand_among_the_conditions(dac: Any) -> None:
    recipe = dac.Recipe(images=4, images_sha256="ab")
    whole = dac.conditions(recipe, dac._options(["data"]))
    assert "--seed 1` on " in whole
    few = dac._options(["data", "--train-images", "500", "--test-images", "20"])
    assert "--seed 1 --train-images 500 --test-images 20` on " in dac.conditions(recipe, few)


def test_a_page_without_marks_is_told_before_anything_is_trained(
    dac: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks\n")
    run = tmp_path / "run"
    assert dac.main([str(data), "-o", str(run), "--docs", str(page)]) == 6
    assert "put the marks back" in capsys.readouterr().err
    assert not run.exists()
