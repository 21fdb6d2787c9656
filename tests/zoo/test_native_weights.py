from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedeploy.errors import FileError
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.zoo import native_weights, networks
from edgedeploy.zoo.random_weights import random
from edgedeploy.zoo.rows import Padding
from tests.zoo.peers import STYLE, V1

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.zoo.weights import Weights


@pytest.fixture
def weights() -> Weights:
    style = replace(STYLE, stem_padding=Padding.SAME)
    drawn = random(networks.network(V1, alpha=0.25, classes=2, style=style), seed=0)
    return replace(
        drawn,
        base_resolution=112,
        preprocessing=Preprocessing((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), crop_fraction=1.0),
        labels=("cat", "Hündin"),
    )


def test_everything_survives_the_file(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    native_weights.save(weights, path)
    tensors, metadata = native_weights.open_safetensors(path)
    loaded = native_weights.load(tensors, metadata["edgedeploy"], source="w")
    assert replace(loaded, tensors={}) == replace(weights, tensors={})
    assert all(np.array_equal(loaded.tensors[n], weights.tensors[n]) for n in weights.tensors)


def test_same_weights_give_the_same_bytes(weights: Weights, tmp_path: Path) -> None:
    for name in ("a", "b"):
        native_weights.save(weights, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_from_before_the_stem_had_its_own_padding_load(
    weights: Weights, tmp_path: Path
) -> None:
    native_weights.save(weights, tmp_path / "w.safetensors")
    tensors, metadata = native_weights.open_safetensors(tmp_path / "w.safetensors")
    about = json.loads(metadata["edgedeploy"])
    del about["stem_padding"]
    loaded = native_weights.load(tensors, json.dumps(about), source="w")
    assert loaded.network.style == STYLE


@pytest.mark.parametrize(
    "damage",
    ["{", "[]", '{"family": "resnet"}', '{"family": "mobilenet_v1", "activation": "gelu"}'],
)
def test_damaged_metadata_are_one_error(weights: Weights, damage: str) -> None:
    with pytest.raises(FileError, match="w: its edgedeploy metadata are damaged"):
        native_weights.load(dict(weights.tensors), damage, source="w")


@pytest.mark.parametrize("length", [0, 5, 8, 100, 5000])
def test_truncated_safetensors_is_one_error(weights: Weights, tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    native_weights.save(weights, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(FileError, match="no safetensors file that can be read"):
        native_weights.open_safetensors(path)
