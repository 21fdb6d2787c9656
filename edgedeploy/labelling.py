"""Right answers: which of a model's classes a picture's folder stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgedeploy.errors import FileError, UsageError

if TYPE_CHECKING:
    from edgedeploy.images import ImageSet
    from edgedeploy.types import Array

ClassOffset = int | Literal["auto"]

_IMAGENET_WITH_BACKGROUND = 1001


@dataclass(frozen=True, slots=True)
class Labels:
    """Right answers as the data numbers them.

    Attributes:
        indices: ``(pictures,)``; None where the data is not labelled.
        reason: Why it is not.
        classes: How many folders there are.
        numbered: Whether their names are the class indices.
    """

    indices: Array | None
    reason: str | None
    classes: int = 0
    numbered: bool = False


def labels_of(images: ImageSet) -> Labels:
    """Return the right answers of a set of pictures."""
    try:
        indices = np.asarray(images.labels)
    except FileError as error:
        return Labels(None, error.problem)
    names = list(images.classes.values())
    if len(names) == 1 and not names[0].isdecimal():
        return Labels(None, f"all pictures lie in one folder, {names[0]!r}, which labels nothing")
    numbered = all(name.isdecimal() for name in names)
    return Labels(indices, None, classes=len(names), numbered=numbered)


def offset_of(
    labels: Labels, classes: int, asked: ClassOffset = "auto"
) -> tuple[int | None, str | None]:
    """Return what to add to the data's indices to get the model's, and why.

    Args:
        labels: Of the data.
        classes: Of the model.
        asked: ``"auto"``: 1 for a model with one class more than the data has indices for
            (background comes first), else 0.

    Raises:
        UsageError: An index would lie outside the model, or which folder is which class cannot be
            told.
    """
    if labels.indices is None:
        return None, labels.reason
    if asked == "auto" and not labels.numbered and labels.classes not in (classes, classes - 1):
        raise UsageError(
            f"the data has {labels.classes} named class folders, the model {classes} classes: "
            "which is which cannot be told",
            fix="name the folders by class index (000, 001, …), or pass --class-offset 0 where "
            "their sorted order is the model's",
        )
    lowest, highest = int(labels.indices.min()), int(labels.indices.max())
    offset, reason = 0, f"class indices 0 to {highest} are among the model's {classes}"
    if asked != "auto":
        offset, reason = asked, "it was asked for"
    elif classes == highest + 2 or classes == _IMAGENET_WITH_BACKGROUND > highest + 1:
        offset = 1
        reason = (
            f"the model has {classes} classes, the data's indices end at {highest}: "
            "background comes first"
        )
    if lowest + offset < 0 or highest + offset >= classes:
        raise UsageError(
            f"the data has class indices {lowest} to {highest} (offset {offset}), "
            f"the model has {classes} classes, 0 to {classes - 1}",
            fix="pass the data that the model was trained for, or --class-offset N",
        )
    return offset, reason
