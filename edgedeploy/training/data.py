"""Training pictures in memory: decoded once, augmented and scaled batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from edgedeploy.errors import UsageError
from edgedeploy.runtime.preprocessing import fit
from edgedeploy.training.spec import RULE

if TYPE_CHECKING:
    from edgedeploy.images import ImageSet
    from edgedeploy.training.spec import TrainSpec
    from edgedeploy.types import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Pictures and labels, and which positions train and which choose the epoch.

    Attributes:
        images: ``(N, S, S, 3)`` uint8, on the device that trains: 154 MB for CIFAR-10's 50 000.
        labels: ``(N,)`` int64, there too.
        train: Positions to train on.
        held_out: Positions that choose the best epoch, sorted.
        digest: SHA-256 over the pictures' names, with their classes, and contents.
    """

    images: torch.Tensor
    labels: torch.Tensor
    train: torch.Tensor
    held_out: torch.Tensor
    digest: str


def packed(images: ImageSet, spec: TrainSpec, device: torch.device) -> Data:
    """Decode every picture once; pictures larger than the base resolution are fitted to it.

    Raises:
        FileError: The set has no labels, or a picture cannot be read.
        UsageError: There are too few.
    """
    labels = images.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(spec.seed))
    held_out = max(1, round(spec.held_out * len(labels)))
    if len(labels) - held_out < 2:
        raise UsageError(
            f"{len(labels)} images are too few to train on", fix="pass a folder with more images"
        )
    return Data(
        images=torch.from_numpy(_decoded(images, max(spec.resolutions))).to(device),
        labels=torch.tensor(labels, device=device),
        train=order[held_out:],
        held_out=order[:held_out].sort().values,
        digest=images.digest(),
    )


def _decoded(images: ImageSet, base: int) -> Array:
    """Return all pictures, ``(N, S, S, 3)`` uint8; the first one decides S, at most ``base``."""
    frames = (frame for _, frame in images.pictures())
    first = next(frames)
    side = min(base, *first.shape[:2])
    whole = np.empty((len(images.entries), side, side, 3), np.uint8)
    whole[0] = _fitted(first, side)
    for number, frame in enumerate(frames, start=1):
        whole[number] = _fitted(frame, side)
    return whole


def _fitted(frame: Array, side: int) -> Array:
    return frame if frame.shape[:2] == (side, side) else fit(frame, (side, side), RULE)


def augmented(pictures: torch.Tensor, draw: torch.Generator, shift: float) -> torch.Tensor:
    """Mirror half of the pictures and shift each by up to ``shift`` of its side, zeros outside.

    Args:
        pictures: ``(N, S, S, 3)`` uint8.
        draw: On the CPU, so that every device trains on the same pictures.
        shift: Share of the side.

    Returns:
        ``(N, S, S, 3)`` uint8.
    """
    count, side = pictures.shape[:2]
    margin = int(side * shift)
    padded = functional.pad(pictures, (0, 0, *(margin,) * 4))
    top, left = torch.randint(2 * margin + 1, (2, count), generator=draw)
    steps = torch.arange(side)
    columns = left[:, None] + steps
    mirrored = torch.rand(count, generator=draw) < 0.5
    columns = torch.where(mirrored[:, None], columns.flip(1), columns).to(pictures.device)
    rows = (top[:, None] + steps).to(pictures.device)
    batch = torch.arange(count, device=pictures.device)[:, None, None]
    return padded[batch, rows[:, :, None], columns[:, None, :]]


def scaled_input(pictures: torch.Tensor, resolution: int) -> torch.Tensor:
    """Scale and normalise as `runtime.preprocessing` does, on a batch, without its rounding.

    Args:
        pictures: ``(N, S, S, 3)`` uint8.
        resolution: Side of the result.

    Returns:
        ``(N, 3, R, R)`` float32, channels last. Normalised while it is small: a weighted mean
        with weights that sum to 1 commutes with it.
    """
    maps = (pictures.to(torch.float32) - 127.5).div_(127.5).permute(0, 3, 1, 2)
    if maps.shape[2] == resolution:
        return maps
    # antialias is for shrinking; where a picture grows it changes nothing and takes longer
    return functional.interpolate(
        maps,
        (resolution, resolution),
        mode="bilinear",
        antialias=resolution < maps.shape[2],
    ).contiguous(memory_format=torch.channels_last)
