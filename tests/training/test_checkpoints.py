from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgedeploy.errors import FileError
from edgedeploy.training import checkpoints, optimisers
from edgedeploy.training.recipes import BEST, PAPER, SEED
from edgedeploy.training.spec import STYLE
from edgedeploy.types import Family
from edgedeploy.zoo import networks
from edgedeploy.zoo.torch_module import NetworkModule

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.training.recipes import Recipe


def _module(seed: int, classes: int = 2) -> NetworkModule:
    torch.manual_seed(seed)
    network = networks.network(Family.MOBILENET_V1, alpha=0.05, classes=classes, style=STYLE)
    return NetworkModule(network)


def _step(module: NetworkModule, optimiser: torch.optim.Optimizer) -> None:
    draw = torch.Generator().manual_seed(7)
    loss = module(torch.randn((4, 3, 16, 16), generator=draw)).square().sum()
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()


@pytest.mark.parametrize("recipe", [PAPER, SEED, BEST])
def test_a_step_after_loading_is_the_step_without(recipe: Recipe, tmp_path: Path) -> None:
    module, other = _module(0), _module(1)
    optimiser, another = optimisers.make(module, recipe), optimisers.make(other, recipe)
    _step(module, optimiser)
    path = tmp_path / "last.safetensors"
    checkpoints.save(path, module, optimiser=optimiser, about={"epoch": 3, "log": "Ü\n"})
    assert checkpoints.about(path) == {"epoch": 3, "log": "Ü\n"}
    checkpoints.load(path, other, another)
    _step(module, optimiser)
    _step(other, another)
    for left, right in zip(module.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(left, right)


def test_weights_alone_load_without_an_optimiser(tmp_path: Path) -> None:
    module, other = _module(0), _module(1)
    checkpoints.save(tmp_path / "best.safetensors", module, about={})
    checkpoints.load(tmp_path / "best.safetensors", other)
    assert torch.equal(module.classifier.weight, other.classifier.weight)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    checkpoints.save(path, _module(0), about={})
    with pytest.raises(FileError, match="is no checkpoint that can be read"):
        checkpoints.load(path, _module(0, classes=3))


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\xff" * 64, b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileError, match="is no checkpoint that can be read"):
        checkpoints.load(path, _module(0))


def test_every_cut_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    checkpoints.save(path, _module(0), about={"epoch": 1})
    whole = path.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 20)):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError):
            checkpoints.load(path, _module(0))


def test_safetensors_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "last.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    for reading in (checkpoints.about, lambda path: checkpoints.load(path, _module(0))):
        with pytest.raises(FileError, match="is no checkpoint that can be read") as caught:
            reading(path)
        assert "remove" not in caught.value.fix
