"""Modules with the names and the order of torchvision's, timm's and a plain GitHub MobileNet.

Written after torchvision/models/mobilenetv2.py and timm/models/efficientnet.py with
_efficientnet_blocks.py and _efficientnet_builder.py; only what decides names and results is here.
"""

from __future__ import annotations

import torch
from torch import nn

from edgedeploy.zoo.mobilenet_v1 import width
from edgedeploy.zoo.mobilenet_v2 import make_divisible

_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
       (6, 320, 1, 1))  # fmt: skip
_V1 = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))  # width, repeats, stride


def _conv(channels: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)


def _block(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        _conv(channels, out, kernel, stride, groups), nn.BatchNorm2d(out), nn.ReLU6()
    )


class TorchvisionBlock(nn.Module):
    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.skips = stride == 1 and channels == out
        self.conv = nn.Sequential(
            *([_block(channels, wide, 1)] if expansion > 1 else []),
            _block(wide, wide, 3, stride, wide),
            _conv(wide, out, 1),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        return x + y if self.skips else y


class TorchvisionV2(nn.Module):
    """torchvision.models.MobileNetV2."""

    def __init__(self, alpha: float, classes: int) -> None:
        super().__init__()
        channels = make_divisible(32 * alpha)
        features: list[nn.Module] = [_block(3, channels, 3, 2)]
        for expansion, c, repeats, stride in _V2:
            for i in range(repeats):
                out = make_divisible(c * alpha)
                features.append(TorchvisionBlock(channels, out, stride if i == 0 else 1, expansion))
                channels = out
        last = make_divisible(1280 * max(1.0, alpha))
        features.append(_block(channels, last, 1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.classifier(self.features(x).mean((2, 3)))
        return y


class TimmSeparable(nn.Module):
    """timm's DepthwiseSeparableConv."""

    def __init__(self, channels: int, out: int, stride: int, *, active: bool) -> None:
        super().__init__()
        self.active = active
        self.skips = not active and stride == 1 and channels == out  # "dsa" never skips
        self.conv_dw = _conv(channels, channels, 3, stride, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv_pw = _conv(channels, out, 1)
        self.bn2 = nn.BatchNorm2d(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.bn2(self.conv_pw(nn.functional.relu6(self.bn1(self.conv_dw(x)))))
        if self.active:
            y = nn.functional.relu6(y)
        return x + y if self.skips else y


class TimmInverted(nn.Module):
    """timm's InvertedResidual."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.skips = stride == 1 and channels == out
        self.conv_pw = _conv(channels, wide, 1)
        self.bn1 = nn.BatchNorm2d(wide)
        self.conv_dw = _conv(wide, wide, 3, stride, wide)
        self.bn2 = nn.BatchNorm2d(wide)
        self.conv_pwl = _conv(wide, out, 1)
        self.bn3 = nn.BatchNorm2d(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = nn.functional.relu6(self.bn1(self.conv_pw(x)))
        wide = nn.functional.relu6(self.bn2(self.conv_dw(wide)))
        y: torch.Tensor = self.bn3(self.conv_pwl(wide))
        return x + y if self.skips else y


class Timm(nn.Module):
    """timm's EfficientNet class, as mobilenetv1_* and mobilenetv2_* configure it."""

    def __init__(self, version: int, alpha: float, classes: int) -> None:
        super().__init__()
        channels = make_divisible(32 * alpha)
        self.conv_stem = _conv(3, channels, 3, 2)
        self.bn1 = nn.BatchNorm2d(channels)
        stages = []
        table = [(1, *row) for row in _V1] if version == 1 else list(_V2)
        for expansion, c, repeats, stride in table:
            blocks: list[nn.Module] = []
            for i in range(repeats):
                step, out = stride if i == 0 else 1, make_divisible(c * alpha)
                blocks.append(
                    TimmSeparable(channels, out, step, active=version == 1)
                    if expansion == 1
                    else TimmInverted(channels, out, step, expansion)
                )
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.has_head = version == 2
        if self.has_head:
            last = max(1280, make_divisible(1280 * alpha))
            self.conv_head = _conv(channels, last, 1)
            self.bn2 = nn.BatchNorm2d(last)
            channels = last
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.blocks(nn.functional.relu6(self.bn1(self.conv_stem(x))))
        if self.has_head:
            y = nn.functional.relu6(self.bn2(self.conv_head(y)))
        logits: torch.Tensor = self.classifier(y.mean((2, 3)))
        return logits


def plain_v1(alpha: float, classes: int) -> nn.Sequential:
    """MobileNetV1 with ReLU as one Sequential of unnamed layers, as many repositories have it."""
    layers: list[nn.Module] = []
    channels = width(32, alpha)
    layers += [_conv(3, channels, 3, 2), nn.BatchNorm2d(channels), nn.ReLU()]
    for c, repeats, stride in _V1:
        for i in range(repeats):
            out, step = width(c, alpha), stride if i == 0 else 1
            layers += [_conv(channels, channels, 3, step, channels), nn.BatchNorm2d(channels)]
            layers += [nn.ReLU(), _conv(channels, out, 1), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
    return nn.Sequential(
        nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
    )


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Draw batch norm's numbers anew, and return the module in eval mode."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: torch.Tensor | None, low: float, high: float) -> None:
        assert tensor is not None
        tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            uniform(part.weight, 0.8, 1.2)
            uniform(part.bias, -0.3, 0.3)
            uniform(part.running_mean, -0.3, 0.3)
            uniform(part.running_var, 0.2, 0.6)
    return module.eval()
