"""Keeping INT8 within a budget: layers are left in float, the most harmful first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.calibration.answers import scores
from edgedeploy.graph.placement import place
from edgedeploy.graph.qdq import quantise
from edgedeploy.types import Spending

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import onnx_ir as ir

    from edgedeploy.calibration.answers import Exam
    from edgedeploy.calibration.feeding import Feed
    from edgedeploy.types import Array, Correction, QdqStyle, TensorRange

RANKED_ON = 64
_DIGITS = 6  # of a harm: more are noise

Corrections = dict[str, "Correction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A network in one Q/DQ style, to be run with some of its layers in float.

    Attributes:
        model: Float, batch norm folded, equalised, of a fixed size.
        ranges: Of its activations.
        style: Of the Q/DQ pairs.
        any_x86: See `edgedeploy.graph.qdq.quantise`.
        threads: Of ONNX Runtime; None leaves it the choice.
    """

    model: ir.Model
    ranges: Mapping[str, TensorRange]
    style: QdqStyle
    any_x86: bool
    threads: int | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """Outputs of the layers that can be INT8, in graph order."""
        weighted = place(self.model.graph, self.style).weighted
        return tuple(node.outputs[0].name or "" for node in weighted)

    def scores(
        self,
        batches: Iterable[Array],
        corrections: Mapping[str, Correction],
        floats: Collection[str] = (),
    ) -> Array:
        """Return the scores of the quantised network, ``(pictures, classes)``."""
        quantised = self.model.clone()
        quantise(
            quantised,
            self.ranges,
            self.style,
            any_x86=self.any_x86,
            corrections=corrections,
            floats=floats,
        )
        return scores(quantised, batches, threads=self.threads)


def keep_within(
    max_drop: float,
    candidate: Candidate,
    exam: Exam,
    sample: Feed,
    corrections: Corrections,
    *,
    correct_again: Callable[[Collection[str]], Corrections],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Spending, Corrections]:
    """Leave layers in float until no more than ``max_drop`` points are lost.

    The layers' harms are measured once, each layer alone in float; they are then left in float in
    that order, and what is lost is measured again after each. Layers before and behind one that
    stays in float are corrected anew, and only what is lost then decides. With every layer in
    float nothing is lost, so that there is an end.

    Args:
        max_drop: In points, as `Exam.drop`.
        candidate: The network and the style.
        exam: The float network's answers on the sample.
        sample: Pictures; kept in memory.
        corrections: Of all layers in INT8.
        correct_again: Measures corrections with these layers in float.
        progress: Called with (units done, units in all); the last units come at once.

    Returns:
        What it took, and the corrections to build with.
    """
    layers = candidate.layers
    total = 2 * len(layers) + 1
    before = after = exam.drop(candidate.scores(sample.batches(), corrections))
    progress(1, total)
    harms: dict[str, float] = {}
    floats: list[str] = []
    if before > max_drop:
        harms = _harms(candidate, exam, sample, corrections, lambda done: progress(1 + done, total))
        for layer in sorted(harms, key=lambda name: -harms[name]):
            floats.append(layer)
            after = exam.drop(candidate.scores(sample.batches(), corrections, floats))
            if after <= max_drop:
                corrections = correct_again(floats)
                after = exam.drop(candidate.scores(sample.batches(), corrections, floats))
            progress(1 + len(layers) + len(floats), total)
            if after <= max_drop:
                break
    progress(total, total)
    spending = Spending(
        measure=exam.measure,
        images=len(exam.floats),
        before=before,
        after=after,
        left_float=tuple(floats),
        harms=harms,
    )
    return spending, corrections


def _harms(
    candidate: Candidate,
    exam: Exam,
    sample: Feed,
    corrections: Corrections,
    moved: Callable[[int], None],
) -> dict[str, float]:
    """Return by how much the divergence falls with each layer alone in float."""
    count = len(exam.floats)
    few = min(count, RANKED_ON)
    positions = [i * count // few for i in range(few)]
    shorter = exam.on(positions)

    def divergence(floats: Collection[str]) -> float:
        chosen = _at(positions, sample.batches())
        return shorter.divergence(candidate.scores(chosen, corrections, floats))

    whole = divergence(())
    harms = {}
    for number, layer in enumerate(candidate.layers, start=1):
        harms[layer] = float(f"{whole - divergence([layer]):.{_DIGITS}g}")
        moved(number)
    return harms


def _at(positions: Sequence[int], batches: Iterable[Array]) -> Iterator[Array]:
    wanted = set(positions)
    return (batch for position, batch in enumerate(batches) if position in wanted)
