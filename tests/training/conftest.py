"""Pictures that a network learns in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from edgedeploy.images import open_images

if TYPE_CHECKING:
    from edgedeploy.images import ImageSet


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Several threads on maps this small only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Dark and bright noise in two classes; one picture of another size."""
    folder = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(0)
    for label, (low, high) in {"dark": (0, 100), "light": (156, 256)}.items():
        (folder / label).mkdir()
        for i in range(12):
            side = (20, 24) if i == 5 else (16, 16)
            pixels = draw.integers(low, high, (*side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i:02}.png")
    return open_images(folder)
