"""Training a VGG on CIFAR-10, epoch by epoch, resumable; and its ONNX file, node by node."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgedeploy import model_file
from edgedeploy.errors import FileError
from edgedeploy.training import checkpoints
from edgedeploy.training.data import augmented, scaled_input
from edgedeploy.training.spec import RULE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedeploy.images import ImageSet

SIDE = 32
# Simonyan and Zisserman 2014, configuration D; 0 is a pool. One classifier, as usual on CIFAR-10.
_PLAN = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
_OPSET, _IR_VERSION = 13, 7
_SHIFT = 0.125
_KEY = "edgedeploy.recipe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """SGD with Nesterov momentum, one epoch of warm-up, cosine decay.

    Attributes:
        width: Channels of the first layer; 64 is VGG-16.
        epochs: Passes over the images.
        batch: Images per step.
        learning_rate: Peak.
        weight_decay: On kernels.
        seed: Of weights, order and augmentation.
        images: How many it is trained on.
        images_sha256: Over their names and contents.
    """

    images: int
    images_sha256: str
    width: int = 64
    epochs: int = 60
    batch: int = 128
    learning_rate: float = 0.05
    weight_decay: float = 5e-4
    seed: int = 1


def train(images: ImageSet, recipe: Recipe, out: Path, device: torch.device) -> nn.Sequential:
    """Train, or go on from the last whole epoch in ``out``; a line an epoch goes to stderr.

    Raises:
        FileError: ``out`` holds a run with another recipe, or is damaged.
    """
    torch.manual_seed(recipe.seed)
    network = vgg(recipe.width).to(device)
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": recipe.weight_decay},
        {"params": others},
    ]
    optimiser = torch.optim.SGD(
        groups,
        lr=recipe.learning_rate,
        momentum=0.9,
        nesterov=True,
    )
    last = out / "last.safetensors"
    first = _resume(last, network, optimiser, recipe)
    if first < recipe.epochs:
        frames = torch.from_numpy(np.stack([frame for _, frame in images.pictures()])).to(device)
        labels = torch.tensor(images.labels, device=device)
        for epoch in range(first, recipe.epochs):
            loss = _epoch(network, optimiser, (frames, labels), recipe, epoch)
            about = {"epoch": epoch + 1, "recipe": asdict(recipe)}
            checkpoints.save(last, network, optimiser=optimiser, about=about)
            print(f"epoch {epoch + 1}/{recipe.epochs}  loss {loss:.3f}", file=sys.stderr)
    return network.cpu().eval()


def vgg(width: int) -> nn.Sequential:
    """Return the network: ``conv1``, ``norm1``, ``relu1``, …, ``flatten``, ``classifier``."""
    network, channels, number = nn.Sequential(), 3, 0
    for plan in _PLAN:
        if not plan:
            network.add_module(f"pool{number}", nn.MaxPool2d(2))
            continue
        number, wide = number + 1, plan * width // 64
        network.add_module(f"conv{number}", nn.Conv2d(channels, wide, 3, padding=1, bias=False))
        network.add_module(f"norm{number}", nn.BatchNorm2d(wide))
        network.add_module(f"relu{number}", nn.ReLU())
        channels = wide
    network.add_module("flatten", nn.Flatten())
    network.add_module("classifier", nn.Linear(channels, 10))
    return network


def recipe_of(path: Path) -> Recipe | None:
    """Return what an ONNX file of `to_onnx` was trained by; None where it does not say all."""
    if not path.exists():
        return None
    props = {prop.key: prop.value for prop in model_file.load_proto(path).metadata_props}
    try:
        return Recipe(**json.loads(props.get(_KEY, "{}")))
    except TypeError:
        return None


def to_onnx(network: nn.Sequential, labels: tuple[str, ...], recipe: Recipe) -> bytes:
    """Return the trained network as ONNX; nodes are called as its modules."""
    nodes, constants, value = [], [], "image"
    for name, module in network.named_children():
        kind, attributes = _OPERATORS[type(module)]
        tensors = {key: t for key, t in module.state_dict().items() if t.ndim}
        inputs = [value, *(f"{name}/{key}" for key in tensors)]
        constants += [
            numpy_helper.from_array(tensor.numpy(), f"{name}/{key}")
            for key, tensor in tensors.items()
        ]
        nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        value = name
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    logits = helper.make_tensor_value_info(value, TensorProto.FLOAT, ["N", 10])
    graph = helper.make_graph(nodes, "vgg", [image], [logits], constants)
    opset = helper.make_opsetid("", _OPSET)
    proto = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
    onnx.checker.check_model(proto, full_check=True)
    model_file.set_metadata(
        proto, variant=None, base_resolution=SIDE, preprocessing=RULE, labels=labels
    )
    proto.metadata_props.add(key=_KEY, value=json.dumps(asdict(recipe)))
    return proto.SerializeToString(deterministic=True)


_OPERATORS: dict[type[nn.Module], tuple[str, dict[str, Any]]] = {
    nn.Conv2d: ("Conv", {"kernel_shape": [3, 3], "pads": [1] * 4}),
    nn.BatchNorm2d: ("BatchNormalization", {"epsilon": 1e-5}),
    nn.ReLU: ("Relu", {}),
    nn.MaxPool2d: ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    nn.Flatten: ("Flatten", {"axis": 1}),
    nn.Linear: ("Gemm", {"transB": 1}),
}


def _resume(
    path: Path, network: nn.Sequential, optimiser: torch.optim.Optimizer, recipe: Recipe
) -> int:
    """Load the last whole epoch, if there is one, and return how many there were."""
    if not path.exists():
        return 0
    about = checkpoints.about(path)
    theirs = about.get("recipe", {})
    for key, ours in asdict(recipe).items():
        their = theirs.get(key, "something that it does not say")
        if their != ours:
            raise FileError(
                f"{path} is of a training with {key} = {their}, this one has {ours}",
                fix="choose another folder with -o, or go on with the same options",
            )
    checkpoints.load(path, network, optimiser)
    return int(about["epoch"])


def _epoch(
    network: nn.Sequential,
    optimiser: torch.optim.Optimizer,
    data: tuple[torch.Tensor, torch.Tensor],
    recipe: Recipe,
    epoch: int,
) -> float:
    """Train on every image once and return the mean loss."""
    frames, labels = data
    # one generator an epoch, so that a resumed run draws what an unbroken one would have
    draw = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    batches = list(torch.split(torch.randperm(len(frames), generator=draw), recipe.batch))
    network.train()
    losses = 0.0
    for positions, rate in zip(batches, _rates(recipe, epoch, len(batches)), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        chosen = positions.to(frames.device)
        pictures = scaled_input(augmented(frames[chosen], draw, _SHIFT), SIDE)
        with torch.autocast(frames.device.type, torch.bfloat16, frames.device.type == "cuda"):
            logits = network(pictures)
        loss = nn.functional.cross_entropy(logits.float(), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses += float(loss.detach())
    return losses / len(batches)


def _rates(recipe: Recipe, epoch: int, steps: int) -> Iterator[float]:
    for step in range(epoch * steps, (epoch + 1) * steps):
        warm = min(1.0, (step + 1) / steps)
        share = max(0, step - steps) / max(1, (recipe.epochs - 1) * steps)
        yield recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * share))
