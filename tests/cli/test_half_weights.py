"""The commands on a model whose weights are stored as float16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgedeploy import Runtime
from edgedeploy.cli.app import run
from tests.graph.half import pair
from tests.models import save

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("backend", ["ort", "openvino"])
def test_weights_stored_as_float16_calibrate_build_and_answer_as_if_they_were_not(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i in range(4):
        pixels = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "models").mkdir()
    for name, proto in zip(("stored", "wide"), pair(), strict=True):
        save(proto, tmp_path / "models" / f"{name}.onnx")
    options = ("--data", "images", "--mean", "127.5", "--std", "127.5")
    assert run(["calibrate", *options]) == 0
    assert run(["build", "--backend", backend, "--fp32", "--int8"]) == 0
    batch = draw.uniform(-1, 1, (2, 3, 8, 8)).astype(np.float32)
    for precision in ("fp32", "int8"):
        answers = {}
        for name in ("stored", "wide"):
            with Runtime.load(str(tmp_path / "build" / name / f"{backend}-{precision}")) as runtime:
                answers[name] = runtime.infer(batch)
        np.testing.assert_array_equal(answers["stored"], answers["wide"])
