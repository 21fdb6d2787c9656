"""A network's rows as a torch module: for training, and to check the ONNX export against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from edgedeploy.errors import FileError
from edgedeploy.zoo.rows import Activation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.types import Array
    from edgedeploy.zoo.rows import Network, Row

_ACTIVATIONS = {Activation.RELU: functional.relu, Activation.RELU6: functional.relu6}


class RowModule(nn.Module):
    """One row: pad, convolve, normalise, activate."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row
        self.convolution = nn.Conv2d(
            row.in_channels,
            row.out_channels,
            row.kernel,
            row.stride,
            groups=row.groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(row.out_channels, eps=row.eps)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``(N, in, H, W)`` → ``(N, out, H', W')``, H and W of any parity."""
        before_y, after_y = self.row.pads(maps.shape[2])
        before_x, after_x = self.row.pads(maps.shape[3])
        padding = (before_x, after_x, before_y, after_y)
        if len(set(padding)) == 1:  # the convolution's own padding is faster
            maps = functional.conv2d(
                maps,
                self.convolution.weight,
                stride=self.row.stride,
                padding=padding[0],
                groups=self.row.groups,
            )
        else:
            maps = self.convolution(functional.pad(maps, padding))
        maps = self.norm(maps)
        return maps if self.row.activation is None else _ACTIVATIONS[self.row.activation](maps)


class NetworkModule(nn.Module):
    """A whole network; ``(N, 3, H, W)`` float32, preprocessed → ``(N, classes)`` logits."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.rows = nn.ModuleList(RowModule(row) for row in network.rows)
        self.classifier = nn.Linear(network.features, network.classes)
        for module in self.row_modules():
            nn.init.kaiming_normal_(module.convolution.weight, mode="fan_out")
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def row_modules(self) -> list[RowModule]:
        """Return the module of every row, in order."""
        return [module for module in self.rows if isinstance(module, RowModule)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of a batch."""
        kept = {row.adds for row in self.network.rows if row.adds is not None}
        outputs: dict[str, torch.Tensor] = {}
        maps = images
        for row, module in zip(self.network.rows, self.row_modules(), strict=True):
            maps = module(maps)
            if row.adds is not None:
                maps = maps + outputs[row.adds]
            if row.name in kept:
                outputs[row.name] = maps
        logits: torch.Tensor = self.classifier(maps.mean(dim=(2, 3)))
        return logits


def tensors(module: NetworkModule) -> dict[str, torch.Tensor]:
    """Return the module's tensors under the zoo's names (`edgedeploy.zoo.weights`), not copied."""
    named: dict[str, torch.Tensor] = {}
    for row, part in zip(module.network.rows, module.row_modules(), strict=True):
        named[f"{row.name}/weight"] = part.convolution.weight.detach()
        named[f"{row.name}/gamma"] = part.norm.weight.detach()
        named[f"{row.name}/beta"] = part.norm.bias.detach()
        named[f"{row.name}/mean"] = part.norm.get_buffer("running_mean")
        named[f"{row.name}/variance"] = part.norm.get_buffer("running_var")
    named["classifier/weight"] = module.classifier.weight.detach()
    named["classifier/bias"] = module.classifier.bias.detach()
    return named


def fill(module: NetworkModule, weights: Mapping[str, Array]) -> None:
    """Put weights into a module.

    Args:
        module: Of the network that they were checked against.
        weights: By the zoo's names, batch norm not folded.

    Raises:
        FileError: Batch norm is folded, so that the module has nowhere to put the biases.
    """
    named = tensors(module)
    if named.keys() != weights.keys():
        raise FileError(
            f"these weights have {min(named.keys() ^ weights.keys())} in them, or lack it",
            fix="pass weights whose batch norm is not folded",
        )
    for name, tensor in named.items():
        tensor.copy_(torch.from_numpy(weights[name]))
