"""What a network answers on pictures, and how far that is from what the float network answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from edgedeploy.calibration.observing import pictures
from edgedeploy.graph_session import session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgedeploy.types import Array


def scores(model: ir.Model, batches: Iterable[Array], *, threads: int | None = None) -> Array:
    """Return the model's first output, ``(pictures, classes)``; Q/DQ pairs count in float.

    Pictures are fed one at a time, whatever batches they came in, so that no bit depends on those.

    Raises:
        FileError: ONNX Runtime refuses the model.
    """
    loaded = session(ir.serde.serialize_model(model), threads, as_written=True)
    found = [
        loaded.run([loaded.output], {loaded.feed: one})[0].reshape(-1) for one in pictures(batches)
    ]
    return np.stack(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """What the float network answered on some pictures.

    Attributes:
        floats: Its scores, ``(pictures, classes)``.
        softmax: Whether scores are probabilities already.
    """

    floats: Array
    softmax: bool

    def drop(self, found: Array) -> float:
        """Return how many points of top-1 other scores on the same pictures are expected to lose.

        Where an answer changes, what is lost is the float network's probability of its own answer
        less that of the new one: right answers that become wrong less wrong ones that become
        right, if the float network's probabilities hold. So no labels are needed; and counted
        with labels the same few changed answers would say less: each is worth a whole picture,
        and most of them were a toss-up.
        """
        probabilities = np.exp(self._logarithms(self.floats))
        rows = np.arange(len(found))
        mine = probabilities[rows, self.floats.argmax(axis=1)]
        theirs = probabilities[rows, found.argmax(axis=1)]
        return float(100 * (mine - theirs).mean())

    def changed(self, found: Array) -> float:
        """Return how many answers other scores change, in percent: no loss of top-1 is larger."""
        return float(100 * np.mean(self.floats.argmax(axis=1) != found.argmax(axis=1)))

    def divergence(self, found: Array) -> float:
        """Return the mean KL divergence of other scores on the same pictures, in nats."""
        theirs, ours = self._logarithms(self.floats), self._logarithms(found)
        return float((np.exp(theirs) * (theirs - ours)).sum(axis=1).mean())

    def on(self, positions: Sequence[int]) -> Exam:
        """Return the same on some of the pictures."""
        return replace(self, floats=self.floats[positions])

    def _logarithms(self, values: Array) -> Array:
        """Return the logarithms of probabilities, ``(pictures, classes)`` float64."""
        wide = values.astype(np.float64)
        if self.softmax:
            logarithms: Array = np.log(np.maximum(wide, np.finfo(np.float32).tiny))
            return logarithms
        shifted = wide - wide.max(axis=1, keepdims=True)
        result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return result
