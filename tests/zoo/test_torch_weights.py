from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from edgedeploy.errors import FileError, UsageError
from edgedeploy.exporting.network import emit
from edgedeploy.zoo import presets
from edgedeploy.zoo.rows import Activation
from edgedeploy.zoo.weight_files import WeightRequest, read
from tests.zoo import peers, torch_peers
from tests.zoo.peers import V1, V2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from edgedeploy.types import Family
    from edgedeploy.zoo.weights import Weights

PUBLISHED: dict[str, tuple[Callable[[], nn.Module], Family, float]] = {
    "torchvision": (lambda: torch_peers.TorchvisionV2(0.35, 6), V2, 0.35),
    "timm-v2": (lambda: torch_peers.Timm(2, 0.35, 6), V2, 0.35),
    "timm-v1": (lambda: torch_peers.Timm(1, 0.25, 6), V1, 0.25),
}


@pytest.mark.parametrize("preset", list(PUBLISHED))
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_published_state_dict_computes_what_its_module_computes(
    tmp_path: Path, preset: str, suffix: str
) -> None:
    make, family, alpha = PUBLISHED[preset]
    module = torch_peers.randomise(make())
    path = _save(module.state_dict(), tmp_path / f"w{suffix}")
    weights = read(path, WeightRequest(family=family, alpha=alpha, preset=preset))
    assert weights.preprocessing == presets.get(preset).preprocessing
    assert weights.network.classes == 6
    _assert_equal(weights, module)


def test_v1_of_unknown_names_is_read_in_its_order(tmp_path: Path) -> None:
    module = torch_peers.randomise(torch_peers.plain_v1(0.25, 3))
    path = _save(module.state_dict(), tmp_path / "w.pth")
    request = WeightRequest(family=V1, alpha=0.25, preset="torchvision", activation=Activation.RELU)
    _assert_equal(read(path, request), module)


def test_v1_of_unknown_names_needs_an_activation(tmp_path: Path) -> None:
    path = _save(torch_peers.plain_v1(0.25, 3).state_dict(), tmp_path / "w.pth")
    with pytest.raises(UsageError, match="pass --activation relu or --activation relu6"):
        read(path, WeightRequest(family=V1, alpha=0.25, preset="torchvision"))


def test_unknown_names_in_safetensors_are_refused_because_it_has_no_order(tmp_path: Path) -> None:
    path = _save(torch_peers.plain_v1(0.25, 3).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(FileError, match=r"no names of torchvision or timm; its first are 0\.0\."):
        read(path, WeightRequest(family=V1, alpha=0.25, preset="timm-v1"))


@pytest.mark.parametrize("key", ["state_dict", "model", "model_ema"])
def test_checkpoint_of_a_training_run_is_unwrapped(tmp_path: Path, key: str) -> None:
    module = torch_peers.randomise(torch_peers.Timm(1, 0.25, 2))
    inner = {f"module.{name}": tensor.half() for name, tensor in module.state_dict().items()}
    path = _save({"epoch": 3, key: inner, "args": "--lr 1"}, tmp_path / "checkpoint.pth")
    weights = read(path, WeightRequest(family=V1, alpha=0.25, preset="timm-v1"))
    assert len(weights.tensors) == 27 * 5 + 2


def test_state_dict_without_a_preset_is_a_usage_error(tmp_path: Path) -> None:
    path = _save(torch_peers.Timm(1, 0.25, 2).state_dict(), tmp_path / "w.pth")
    with pytest.raises(
        UsageError, match=r"how its images were prepared(.|\n)*  fix: pass --preset"
    ):
        read(path, WeightRequest(family=V1, alpha=0.25))


@pytest.mark.parametrize(
    ("make", "request_", "message"),
    [
        (lambda: torch_peers.Timm(1, 0.5, 2), (V1, 0.25, None), "these weights are α = 0.5"),
        (lambda: torch_peers.Timm(1, 0.25, 2), (V1, 0.25, 9), "have 2 classes: pass --classes 2"),
        (lambda: torch_peers.TorchvisionV2(0.35, 2), (V1, 0.25, None), "weights of mobilenet_v2"),
        (lambda: torch_peers.Timm(2, 0.35, 2), (V1, 0.25, None), "weights of mobilenet_v2"),
    ],
)
def test_weights_that_do_not_fit_are_told_why(
    tmp_path: Path,
    make: Callable[[], nn.Module],
    request_: tuple[Family, float, int | None],
    message: str,
) -> None:
    family, alpha, classes = request_
    path = _save(make().state_dict(), tmp_path / "w.pth")
    with pytest.raises(FileError, match=message):
        read(path, WeightRequest(family=family, alpha=alpha, classes=classes, preset="timm-v1"))


def test_head_of_mobilenetv1_100h_is_named(tmp_path: Path) -> None:
    state = torch_peers.Timm(1, 0.25, 2).state_dict()
    state["conv_head.weight"] = torch.zeros(256, 256, 1, 1)
    path = _save(state, tmp_path / "w.pth")
    with pytest.raises(FileError, match=r"conv_head\.weight is not in the rows"):
        read(path, WeightRequest(family=V1, alpha=0.25, preset="timm-v1"))


def test_missing_tensor_is_named(tmp_path: Path) -> None:
    state = torch_peers.Timm(1, 0.25, 2).state_dict()
    del state["blocks.3.2.conv_pw.weight"]
    path = _save(state, tmp_path / "w.pth")
    with pytest.raises(FileError, match="block_08/pointwise/weight is missing"):
        read(path, WeightRequest(family=V1, alpha=0.25, preset="timm-v1"))


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.witness),)


def test_pickled_code_is_refused_and_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "it ran"
    path = tmp_path / "w.pth"
    torch.save({"state_dict": Hostile(witness)}, path)
    with pytest.raises(FileError, match="holds more than tensors, and what is in it is not run"):
        read(path, WeightRequest(family=V1, alpha=0.25, preset="timm-v1"))
    assert not witness.exists()
    pickle.loads(pickle.dumps(Hostile(witness)))  # the file is hostile indeed
    assert witness.exists()


def test_whole_module_is_refused_with_the_way_to_save_it(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(FileError, match=r"fix: save the state dict alone: torch\.save"):
        read(path, WeightRequest(family=V1, alpha=0.25, preset="timm-v1"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", b"no pickle at all"])
def test_damaged_file_is_one_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"w\.pth"):
        read(path, WeightRequest(family=V1, alpha=0.25, preset="timm-v1"))


def test_truncated_file_is_one_error(tmp_path: Path) -> None:
    path = _save(torch_peers.Timm(1, 0.25, 2).state_dict(), tmp_path / "w.pth")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FileError, match="no state dict that can be read"):
        read(path, WeightRequest(family=V1, alpha=0.25, preset="timm-v1"))


def _save(state: dict[str, object], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(
            {k: v.contiguous() for k, v in state.items() if isinstance(v, torch.Tensor)}, path
        )
    else:
        torch.save(OrderedDict(state), path)
    return path


def _assert_equal(weights: Weights, module: nn.Module) -> None:
    batch = peers.images(2, 65)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(batch)).numpy()
    found = peers.run_onnx(emit(weights, 65), batch)
    assert peers.relative_error(found, wanted) <= 1e-4
