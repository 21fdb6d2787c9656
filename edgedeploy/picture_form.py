"""In which form a model takes pictures, for those who have to feed it some."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedeploy.errors import FileError, UsageError

if TYPE_CHECKING:
    from edgedeploy.runtime.preprocessing import Preprocessing
    from edgedeploy.types import OnnxModel


class PictureForm(NamedTuple):
    """What makes a model's input of a picture.

    Attributes:
        side: Height and width in pixels.
        preprocessing: What the network expects.
    """

    side: tuple[int, int]
    preprocessing: Preprocessing


def of(model: OnnxModel, reader: str) -> PictureForm:
    """Return the form in which a model takes pictures.

    Args:
        model: The model, with what the user said of it.
        reader: Who needs it, for the message: ``"calibration"``.

    Raises:
        UsageError: Neither the model nor the user says its size, or its preprocessing.
        FileError: It takes several pictures in every call.
    """
    check_batch(model)
    if model.side is None:
        raise UsageError(
            f"{model.name} takes images of any size, and {reader} needs one",
            fix="pass --resolution R or --input-shape CxHxW",
        )
    if model.preprocessing is None:
        raise UsageError(
            f"{model.name} does not say how its images are preprocessed",
            fix="pass --mean and --std in 0-255 units, e.g. --mean 127.5 --std 127.5",
        )
    return PictureForm(model.side, model.preprocessing)


def check_batch(model: OnnxModel) -> None:
    """Refuse a model that cannot be fed one picture at a time.

    Raises:
        FileError: Its batch is fixed, at another number than 1.
    """
    count = model.input.shape[0]
    if count not in (None, 1):
        raise FileError(
            f"{model.path} takes {count} images in every call, and is to be fed one at a time",
            fix="export it with a batch of 1, or of any size: in torch with "
            f"dynamic_axes={{{model.input.name!r}: {{0: 'N'}}}}",
        )
