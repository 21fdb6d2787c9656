"""What a network is run on while it is converted: pictures, or noise where there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.runtime.preprocessing import arrange, normalise

if TYPE_CHECKING:
    from edgedeploy.images import ImageSet
    from edgedeploy.runtime.preprocessing import Preprocessing
    from edgedeploy.types import Array

_NOISE_PICTURES = 8
_GREY, _CONTRAST = 127.5, 64.0  # of a photograph, roughly, in 0-255 units


def pictures(images: ImageSet, side: tuple[int, int], rule: Preprocessing) -> tuple[Array, ...]:
    """Return every picture of a set as the network takes it, ``(1, 3, H, W)`` float32.

    Raises:
        FileError: A picture cannot be read.
    """
    return tuple(normalise(arrange(frame, side, rule), rule) for _, frame in images.pictures())


def noise(side: tuple[int, int], rule: Preprocessing | None) -> tuple[Array, ...]:
    """Return `_NOISE_PICTURES` pictures of noise, the same ones every time.

    They have as much of every octave, as photographs do: a first layer meets edges and plain
    areas, which white noise has none of.

    Args:
        side: Height and width in pixels.
        rule: What the network expects; None: mean 0 and deviation 1.

    Returns:
        ``(1, 3, H, W)`` float32 each.
    """
    draw = np.random.default_rng(0)
    found = []
    for _ in range(_NOISE_PICTURES):
        waves = _octaves(draw, side)
        if rule is None:
            found.append(waves.transpose(2, 0, 1)[np.newaxis].astype(np.float32))
            continue
        pixels = np.clip(_GREY + _CONTRAST * waves, 0, 255).astype(np.uint8)
        found.append(normalise(pixels[np.newaxis], rule))
    return tuple(found)


def _octaves(draw: np.random.Generator, side: tuple[int, int]) -> Array:
    """Sum noise of blocks of 1, 2, 4, … pixels: ``(H, W, 3)``, mean 0 and deviation 1."""
    height, width = side
    total = np.zeros((height, width, 3))
    step = 1
    while step <= max(side):
        grid = draw.normal(size=(-(-height // step), -(-width // step), 3))
        total += grid.repeat(step, axis=0)[:height].repeat(step, axis=1)[:, :width]
        step *= 2
    spread = float(total.std())
    scaled: Array = (total - total.mean()) / (spread or 1.0)
    return scaled
