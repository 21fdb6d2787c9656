from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedeploy.errors import FileError, UnknownNameError, UsageError
from edgedeploy.types import Family
from edgedeploy.zoo import native_weights, networks
from edgedeploy.zoo.random_weights import random
from edgedeploy.zoo.rows import Activation
from edgedeploy.zoo.weight_files import WeightRequest, read
from tests.zoo.peers import STYLE, V1, V2

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = WeightRequest(family=V1, alpha=0.25)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    weights = random(networks.network(V1, alpha=0.25, classes=3, style=STYLE), seed=0)
    path = tmp_path / "ours.safetensors"
    native_weights.save(replace(weights, base_resolution=112), path)
    return path


def test_our_own_file_says_everything_itself(ours: Path) -> None:
    weights = read(ours, REQUEST)
    assert weights.network.classes == 3
    assert weights.network.style == STYLE
    assert weights.base_resolution == 112  # the file's, not the request's


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (WeightRequest(family=V2, alpha=0.25), "these are weights of mobilenet_v1"),
        (WeightRequest(family=V1, alpha=0.5), "of α = 0.25, 0.5 was asked for"),
        (WeightRequest(family=V1, alpha=0.25, classes=10), "of classes = 3, 10 was asked for"),
        (
            WeightRequest(family=V1, alpha=0.2500001, classes=10),
            "of α = 0.25, 0.2500001 was asked for",
        ),
        (WeightRequest(family=V1, alpha=0.25, classes=1_000_001), "3, 1000001 was asked for"),
    ],
)
def test_our_own_file_is_refused_for_another_network(
    ours: Path, request_: WeightRequest, message: str
) -> None:
    with pytest.raises(FileError, match=message):
        read(ours, request_)


def test_our_own_file_takes_no_preset_and_no_activation(ours: Path) -> None:
    with pytest.raises(UsageError, match="fix: leave --preset out"):
        read(ours, replace(REQUEST, preset="keras"))
    with pytest.raises(UsageError, match="fix: leave --activation out"):
        read(ours, replace(REQUEST, activation=Activation.RELU))


def test_unknown_suffix_is_refused_with_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.ckpt"
    path.write_bytes(b"x")
    with pytest.raises(FileError, match=r"'\.ckpt'.*\n.*\.safetensors: our own.*\.keras: a whole"):
        read(path, REQUEST)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no weight file"):
        read(tmp_path / "nothing.pth", REQUEST)


def test_unknown_preset_is_refused(ours: Path, tmp_path: Path) -> None:
    tensors, _ = native_weights.open_safetensors(ours)
    path = tmp_path / "theirs.safetensors"
    from safetensors.numpy import save_file

    save_file(tensors, path)
    with pytest.raises(UnknownNameError, match="no preset is called 'timm'"):
        read(path, replace(REQUEST, preset="timm"))


def test_numbers_below_one_are_refused() -> None:
    with pytest.raises(UsageError, match="classes is 0"):
        WeightRequest(family=V1, alpha=1.0, classes=0)
    with pytest.raises(UsageError, match="base resolution is -1"):
        WeightRequest(family=V1, alpha=1.0, base_resolution=-1)


@pytest.mark.parametrize("name", ["theirs.pth", "theirs.h5", "theirs.safetensors"])
def test_a_family_that_nobody_published_takes_our_own_files_only(tmp_path: Path, name: str) -> None:
    from safetensors.numpy import save_file

    family = Family.MOBILENET_V1_SHALLOW
    path = tmp_path / name
    save_file({"features.0.0.weight": np.zeros((8, 3, 3, 3), np.float32)}, path)
    with pytest.raises(FileError, match="nobody else has trained a mobilenet_v1_shallow"):
        read(path, WeightRequest(family=family, alpha=0.25, preset="torchvision"))
    network = networks.network(family, alpha=0.25, classes=3, style=STYLE)
    ours = tmp_path / "ours.safetensors"
    native_weights.save(random(network, seed=0), ours)
    assert read(ours, WeightRequest(family=family, alpha=0.25)).network == network
