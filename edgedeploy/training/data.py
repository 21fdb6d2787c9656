"""Training pictures in memory: decoded once, augmented and scaled batch by batch."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from statistics import median_low
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

_SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
_MOST_UNUSED = 10  # classes that a numbered set may have for each that has images


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Pictures and labels, and which positions train and which choose the epoch.

    Attributes:
        images: ``(N, S, S, 3)`` uint8, on the device that trains: 154 MB for CIFAR-10's 50 000.
        labels: ``(N,)`` int64, there too.
        train: Positions to train on.
        held_out: Positions that choose the best epoch, sorted.
        classes: Names by index, ``""`` where a numbered set leaves one out.
        digest: SHA-256 over the pictures' names, with their classes, and contents.
    """

    images: torch.Tensor
    labels: torch.Tensor
    train: torch.Tensor
    held_out: torch.Tensor
    classes: tuple[str, ...]
    digest: str

    def __str__(self) -> str:
        shown = ", ".join(name or "–" for name in self.classes[:4])
        more = ", …" if len(self.classes) > 4 else ""
        count, side = self.images.shape[:2]
        return f"{count} images, {len(self.classes)} classes ({shown}{more}), kept at {side}×{side}"


def classes(images: ImageSet) -> tuple[str, ...]:
    """Return the class names by index, ``""`` where a numbered set leaves one out.

    Raises:
        FileError: The set has no labels.
        UsageError: Its folders are no classes to train on.
    """
    there = set(images.labels)
    names = sorted(images.classes.values())
    splits = [name for name in names if name.lower() in _SPLITS]
    if len(splits) > 1 or len(names) < 2:
        found = f"the folders {', '.join(splits)}" if splits[1:] else f"the one folder {names[0]}"
        top = images.source / images.inside
        inner = [name for name in splits if name.lower() in ("train", "training")]
        raise UsageError(
            f"{top} has {found}, training needs a folder for each of 2 classes or more",
            fix=f"pass --data {shlex.quote(str(top / inner[0]))}"
            if inner
            else "pass the folder that has one folder per class",
        )
    count = max(images.classes) + 1
    if count > _MOST_UNUSED * len(there):
        raise UsageError(
            f"the folder {images.classes[count - 1]} makes {count} classes, of which "
            f"{len(there)} have images: a folder whose name is a number is the class of that index",
            fix="put a letter in front of the folders' names",
        )
    return tuple(images.classes.get(index, "") for index in range(count))


def packed(images: ImageSet, spec: TrainSpec, device: torch.device) -> Data:
    """Decode every picture once, and fit all to the side of the middle one, or the base if smaller.

    Raises:
        FileError: The set has no labels, or a picture cannot be read.
        UsageError: There are too few, or their folders are no classes.
    """
    names = classes(images)
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
        classes=names,
        digest=images.digest(),
    )


def _decoded(images: ImageSet, base: int) -> Array:
    """Return all pictures, ``(N, S, S, 3)`` uint8; S is the median of their sides, at most base."""
    sides, frames = [], []
    for _, frame in images.pictures():
        side = min(frame.shape[:2])
        sides.append(side)
        # larger ones are not kept whole: photographs would not fit into memory
        frames.append(frame if side < base else _fitted(frame, base))
    side = min(base, median_low(sides))
    whole = np.empty((len(frames), side, side, 3), np.uint8)
    for number in reversed(range(len(frames))):
        whole[number] = _fitted(frames.pop(), side)
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
