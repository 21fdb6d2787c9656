"""The models and the pictures that every contender is given.

Pictures are prepared once by edgedeploy, and kept as tensors, one file each.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy import artifact, model_file
from edgedeploy.errors import UsageError
from edgedeploy.exporting.request import ExportRequest, export
from edgedeploy.model_file import ModelHints
from edgedeploy.runtime.preprocessing import Preprocessing, prepare
from edgedeploy.types import Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edgedeploy.images import ImageSet
    from edgedeploy.types import Array, OnnxModel

# What an ONNX file takes that does not say it.
HINTS = ModelHints(preprocessing=Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3))
CALIBRATE, EVALUATE = "i%5<2", "i%5>=2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensors:
    """A set of pictures, preprocessed for one size.

    Attributes:
        folder: ``000000.npy``, …, each ``(1, 3, H, W)`` float32, in the set's order.
        digest: SHA-256 of the pictures and of how they were prepared.
        count: How many.
    """

    folder: Path
    digest: str
    count: int

    def batches(self) -> Iterator[Array]:
        """Yield one picture after the other, ``(1, 3, H, W)``."""
        for path in sorted(self.folder.glob("*.npy")):
            yield np.load(path)


def tensors(model: OnnxModel, images: ImageSet, cache: Path) -> Tensors:
    """Prepare ``images`` for ``model``, unless ``cache`` has them.

    Raises:
        UsageError: The model's size or preprocessing is not known.
    """
    side, rule = model.side, model.preprocessing
    if side is None or rule is None:
        raise UsageError(
            f"{model.path} does not say its size or its preprocessing",
            fix="name it like mobilenet_v1_0.25_224_tag.onnx, and put a .json beside it",
        )
    digest = hashlib.sha256(f"{images.digest()} {side} {rule}".encode()).hexdigest()
    folder = cache / "tensors" / digest[:16]
    if not folder.is_dir():
        with artifact.replacing(folder) as beside:
            for index, (_, frame) in enumerate(images.pictures()):
                np.save(beside / f"{index:06d}.npy", prepare(frame, side, rule))
    return Tensors(folder=folder, digest=digest, count=len(images.entries))


def models(folder: Path, keras: Sequence[Path], cache: Path) -> list[OnnxModel]:
    """Read the ONNX files of ``folder``, and Keras files exported to ONNX; the smallest first.

    Raises:
        UsageError: The name of a Keras file does not say its variant.
        FileError: A file is damaged.
    """
    paths = [*folder.glob("*.onnx"), *(_exported(path, cache / "exported") for path in keras)]
    return sorted(map(read, paths), key=lambda model: (model.path.stat().st_size, model.name))


def read(path: Path) -> OnnxModel:
    """Open a model; what it does not say of its preprocessing is in `HINTS`."""
    return model_file.read(path, hints(path))


def hints(path: Path) -> ModelHints:
    """Return what has to be said of a model: nothing if it does so itself."""
    return ModelHints() if model_file.read(path).preprocessing else HINTS


def _exported(path: Path, out: Path) -> Path:
    variant = Variant.from_name(path.stem)
    if variant is None:
        raise UsageError(
            f"{path.name} does not say its variant",
            fix="name it like mobilenet_v1_0.25_224_imagenet.h5",
        )
    request = ExportRequest(
        name=variant.family.value,
        alpha=variant.alpha,
        resolution=variant.resolution,
        weights=path,
        preset="keras",
        tag="keras",
    )
    return export(request, hints=ModelHints(), out=out)[0]
