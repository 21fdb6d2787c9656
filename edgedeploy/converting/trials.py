"""Trying ranks on a network: how far its answers move, and which layers move them most."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.converting import running
from edgedeploy.graph import dac

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir

    from edgedeploy.converting.layers import Layer
    from edgedeploy.types import Array

STANDS_OUT = 4.0
"""How many times the median gain makes a first layer one to spare."""

_DIGITS = 3  # of a gain: choices must not hang on the last bits of a sum


class Trial:
    """A network and what it answers to some inputs, to compare others with.

    Attributes:
        model: The network as it is.
        pictures: The inputs, ``(1, 3, H, W)`` float32 each.
    """

    def __init__(
        self, model: ir.Model, pictures: Sequence[Array], threads: int | None = None
    ) -> None:
        self.model, self.pictures = model, pictures
        self._threads = threads
        self._answers = running.answers(model, pictures, threads)

    def output_error(self, other: ir.Model) -> float:
        """Return how far another network's answers are from this one's, relative to these."""
        moved = running.answers(other, self.pictures, self._threads) - self._answers
        size = float(np.square(self._answers).sum())
        return math.sqrt(float(np.square(moved).sum()) / (size or 1.0))

    def agreement(self, other: ir.Model) -> float | None:
        """Return the share of inputs with the same best class; None where there are no classes."""
        theirs = running.answers(other, self.pictures, self._threads)
        if math.prod(theirs.shape[1:]) < 2:
            return None
        best = [
            each.reshape(len(self.pictures), -1).argmax(axis=1) for each in (self._answers, theirs)
        ]
        return float((best[0] == best[1]).mean())

    def with_ranks(self, ranks: Mapping[str, int]) -> ir.Model:
        """Return the network with some layers decomposed."""
        model = self.model.clone()
        dac.decompose(model, ranks)
        return model

    def gains(
        self,
        layers: Sequence[Layer],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> dict[str, float]:
        """Return how far answers move per error of each layer's weights, that layer alone changed.

        A layer is tried at half of the highest rank that saves work, rounded up, or where that
        loses nothing, at the highest below that loses something. One that loses nothing at rank 1
        has the gain 0.
        """
        found = {}
        for number, layer in enumerate(layers, start=1):
            rank = max(1, math.ceil(layer.saving_rank / 2))
            while rank > 1 and layer.loses_nothing(rank):
                rank -= 1
            gain = 0.0
            if not layer.loses_nothing(rank):
                moved = self.output_error(self.with_ranks({layer.name: rank}))
                gain = moved / layer.weight_error(rank)
            found[layer.name] = float(f"{gain:.{_DIGITS - 1}e}")
            progress(number, len(layers))
        return found


def outstanding(layers: Sequence[Layer], gains: Mapping[str, float]) -> tuple[str, ...]:
    """Return the first layers whose gains all stand out: more than `STANDS_OUT` times the median.

    Args:
        layers: In graph order.
        gains: Of each.
    """
    limit = STANDS_OUT * statistics.median(gains[layer.name] for layer in layers)
    found: list[str] = []
    for layer in layers:
        if gains[layer.name] <= limit:
            break
        found.append(layer.name)
    return tuple(found)
