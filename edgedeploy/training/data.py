"""Training pictures in memory: decoded once, augmented and scaled batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from edgedeploy.errors import UsageError
from edgedeploy.runtime.preprocessing import fit
from edgedeploy.training.recipe import RULE

if TYPE_CHECKING:
    from edgedeploy.images import ImageSet
    from edgedeploy.training.recipe import TrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Pictures and labels, and which positions train and which choose the epoch.

    Attributes:
        images: ``(N, 3, S, S)`` uint8.
        labels: ``(N,)`` int64.
        train: Positions to train on.
        held_out: Positions that choose the best epoch, sorted.
    """

    images: torch.Tensor
    labels: torch.Tensor
    train: torch.Tensor
    held_out: torch.Tensor


def packed(images: ImageSet, spec: TrainSpec) -> Data:
    """Decode every picture once; pictures larger than the base resolution are fitted to it."""
    labels = images.labels
    base = max(spec.resolutions)
    pictures: list[np.ndarray] = []
    side: int | None = None
    for _, frame in images.pictures():
        if side is None:
            side = min(base, *frame.shape[:2])
        same = frame.shape[:2] == (side, side)
        pictures.append(frame if same else fit(frame, (side, side), RULE))
    packed = torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy())
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(spec.seed))
    held_out = max(1, round(spec.held_out * len(labels)))
    if len(labels) - held_out < 2:
        raise UsageError(
            f"{len(labels)} images are too few to train on", fix="pass a folder with more images"
        )
    return Data(
        images=packed,
        labels=torch.tensor(labels),
        train=order[held_out:],
        held_out=order[:held_out].sort().values,
    )


def augmented(pictures: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Mirror half of the pictures and shift each by up to an eighth of its side, zeros outside."""
    count, _, side, _ = pictures.shape
    margin = side // 8
    padded = functional.pad(pictures, (margin,) * 4)
    top, left = torch.randint(2 * margin + 1, (2, count), generator=draw)
    steps = torch.arange(side)
    columns = left[:, None] + steps
    mirrored = torch.rand(count, generator=draw) < 0.5
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    rows = top[:, None] + steps
    batch = torch.arange(count)[:, None, None]
    cut = padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def scaled_input(pictures: torch.Tensor, resolution: int) -> torch.Tensor:
    """Scale and normalise as `runtime.preprocessing` does, on a batch, without its rounding."""
    scaled = functional.interpolate(
        pictures.to(torch.float32), (resolution, resolution), mode="bilinear", antialias=True
    )
    return ((scaled - 127.5) / 127.5).contiguous(memory_format=torch.channels_last)
