"""Weight files with float16 kernels: what they are widened to is what is exported and built."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedeploy.exporting.network import emit
from edgedeploy.exporting.request import ExportRequest, export
from edgedeploy.model_file import ModelHints
from edgedeploy.training.running import train
from edgedeploy.zoo import native_weights
from tests.training.tiny import SPEC

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.images import ImageSet
    from edgedeploy.zoo.weights import Weights


@pytest.fixture
def pair(images: ImageSet, tmp_path: Path) -> tuple[Path, Path]:
    """The same training, stored as float32 and as float16."""
    spec = replace(SPEC, resolutions=(16,))
    (whole,) = train(images, spec, tmp_path / "run")
    whole = whole.rename(tmp_path / "whole.safetensors")
    (half,) = train(images, replace(spec, half=True), tmp_path / "run")
    return whole, half


def test_half_stores_the_kernels_in_half_the_bytes_and_nothing_else(
    pair: tuple[Path, Path],
) -> None:
    whole, half = (_weights(path) for path in pair)
    for name, array in whole.tensors.items():
        wanted = array.astype(np.float16).astype(np.float32) if array.ndim > 1 else array
        np.testing.assert_array_equal(half.tensors[name], wanted)
    kernels = sum(array.size for array in whole.tensors.values() if array.ndim > 1)
    saved = pair[0].stat().st_size - pair[1].stat().st_size
    assert saved == pytest.approx(2 * kernels, abs=512)  # the header says F16 for F32


def test_export_of_half_is_that_of_the_rounded_weights(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    whole = _weights(pair[0])
    rounded = {
        name: array.astype(np.float16).astype(np.float32) if array.ndim > 1 else array
        for name, array in whole.tensors.items()
    }
    request = ExportRequest(name="mobilenet_v1", alpha=0.05, resolution=16, weights=pair[1])
    path, _ = export(request, hints=ModelHints(), out=tmp_path / "models")
    native_weights.save(replace(whole, tensors=rounded), tmp_path / "rounded.safetensors")
    same, _ = export(
        replace(request, weights=tmp_path / "rounded.safetensors"),
        hints=ModelHints(),
        out=tmp_path / "others",
    )
    assert path.read_bytes() == same.read_bytes()
    assert {tensor.data_type for tensor in emit(_weights(pair[1]), 16).graph.initializer} == {1}


def _weights(path: Path) -> Weights:
    tensors, metadata = native_weights.open_safetensors(path)
    return native_weights.load(tensors, metadata[native_weights.METADATA_KEY], source=str(path))
