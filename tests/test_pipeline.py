from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

from edgedeploy import pipeline
from edgedeploy.calibration import files
from edgedeploy.images import open_images
from edgedeploy.model_file import ModelHints
from edgedeploy.runtime.preprocessing import Preprocessing
from tests.graph.networks import block

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.calibration_values import Calibration

HINTS = ModelHints(preprocessing=Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3))


def _calibrate(
    folder: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Path, Calibration, bool]:
    model = folder / "block.onnx"
    if not model.exists():
        model.write_bytes(ir.serde.serialize_model(block(norm=True)).SerializeToString())
        draw = np.random.default_rng(0)
        (folder / "pictures").mkdir()
        for number in range(4):
            frame = draw.integers(0, 256, size=(16, 16, 3), dtype=np.uint8)
            Image.fromarray(frame).save(folder / "pictures" / f"{number}.png")
    return pipeline.calibrate(
        model,
        open_images(folder / "pictures"),
        hints=HINTS,
        method="minmax",
        out=folder / "calib",
        threads=1,
        progress=progress,
    )


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_an_interrupted_calibration_leaves_no_file(tmp_path: Path, share: float) -> None:
    def interrupt(done: int, total: int) -> None:
        if done >= share * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _calibrate(tmp_path, interrupt)
    assert not list(tmp_path.glob("calib/*"))
    path, found, current = _calibrate(tmp_path)
    assert not current
    assert files.read(path).steps == found.steps


def test_an_interrupted_calibration_leaves_the_one_that_was_there(tmp_path: Path) -> None:
    path, _, _ = _calibrate(tmp_path)
    before = {part.name: part.read_bytes() for part in path.parent.iterdir()}
    Image.new("RGB", (16, 16)).save(tmp_path / "pictures" / "another.png")

    def interrupt(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _calibrate(tmp_path, interrupt)
    assert {part.name: part.read_bytes() for part in path.parent.iterdir()} == before


def test_a_second_calibration_measures_nothing_until_a_picture_changes(tmp_path: Path) -> None:
    def never(done: int, total: int) -> None:
        raise AssertionError((done, total))

    first, _, current = _calibrate(tmp_path)
    assert not current
    second, found, current = _calibrate(tmp_path, never)
    assert (second, current) == (first, True)
    assert set(found.corrections) == {"u8", "u8-vnni", "s8"}
    Image.new("RGB", (16, 16)).save(tmp_path / "pictures" / "0.png")
    assert not _calibrate(tmp_path)[2]
