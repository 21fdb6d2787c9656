"""What a network answers on pictures, and how far that is from what the float network answers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from edgedeploy.calibration.observing import pictures, session
from edgedeploy.calibration.spendings import CHANGED, TOP1
from edgedeploy.errors import UsageError
from edgedeploy.labelling import labels_of, offset_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from edgedeploy.images import ImageSet
    from edgedeploy.types import Array

_log = logging.getLogger(__name__)


def scores(model: ir.Model, batches: Iterable[Array], *, threads: int | None = None) -> Array:
    """Return the model's first output, ``(pictures, classes)``; Q/DQ pairs count in float.

    Pictures are fed one at a time, whatever batches they came in, so that no bit depends on those.

    Raises:
        FileError: ONNX Runtime refuses the model.
    """
    loaded = session(ir.serde.serialize_model(model), threads, as_written=True)
    feed, output = loaded.get_inputs()[0].name, loaded.get_outputs()[0].name
    found = [loaded.run([output], {feed: one})[0].reshape(-1) for one in pictures(batches)]
    return np.stack(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """What the float network answered on some pictures, and what would have been right.

    Attributes:
        floats: The float network's scores, ``(pictures, classes)``.
        right: Class of each picture, ``(pictures,)``; None where nobody knows.
        softmax: Whether scores are probabilities already.
    """

    floats: Array
    right: Array | None
    softmax: bool

    @property
    def measure(self) -> str:
        """What `drop` counts, of `spendings.MEASURES`."""
        return CHANGED if self.right is None else TOP1

    def drop(self, found: Array) -> float:
        """Return how many points other scores on the same pictures lose; below 0 they gain."""
        theirs, ours = self.floats.argmax(axis=1), found.argmax(axis=1)
        if self.right is None:
            lost = np.sum(theirs != ours)
        else:
            lost = np.sum(theirs == self.right) - np.sum(ours == self.right)
        return float(100 * lost / len(found))

    def divergence(self, found: Array) -> float:
        """Return the mean KL divergence of other scores on the same pictures, in nats."""
        theirs, ours = self._logarithms(self.floats), self._logarithms(found)
        return float((np.exp(theirs) * (theirs - ours)).sum(axis=1).mean())

    def on(self, positions: Sequence[int]) -> Exam:
        """Return the same on some of the pictures."""
        right = None if self.right is None else self.right[positions]
        return replace(self, floats=self.floats[positions], right=right)

    def _logarithms(self, values: Array) -> Array:
        """Return the logarithms of probabilities, ``(pictures, classes)`` float64."""
        wide = values.astype(np.float64)
        if self.softmax:
            logarithms: Array = np.log(np.maximum(wide, np.finfo(np.float32).tiny))
            return logarithms
        shifted = wide - wide.max(axis=1, keepdims=True)
        result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return result


def right_answers(
    images: ImageSet, sample: ImageSet, unreadable: Collection[str], classes: int
) -> Array | None:
    """Return the class of each picture of the sample that can be read; None where nobody knows.

    Args:
        images: All pictures: they say how the data numbers its classes.
        sample: Some of them.
        unreadable: Names to leave out.
        classes: Of the model.
    """
    readable = tuple(entry for entry in sample.entries if entry.name not in unreadable)
    labels = labels_of(images)
    try:
        offset, reason = offset_of(labels, classes)
    except UsageError as error:
        offset, reason = None, error.problem
    if offset is None:
        _log.info("counting changed answers instead of top-1: %s", reason)
        return None
    right: Array = np.asarray(replace(sample, entries=readable).labels) + offset
    return right
