"""Keeping INT8 within a budget: layers are left in float, the most harmful first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from edgedeploy.calibration.answers import scores
from edgedeploy.calibration_values import Spending
from edgedeploy.graph.placement import place
from edgedeploy.graph.qdq import quantise

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import onnx_ir as ir

    from edgedeploy.calibration.answers import Exam
    from edgedeploy.calibration.feeding import Feed
    from edgedeploy.calibration_values import Correction, QdqStyle, TensorRange
    from edgedeploy.types import Array

RANKED_ON = 64
_DIGITS = 6  # of a harm: more are noise


class Corrected(NamedTuple):
    """What a style is corrected by.

    Attributes:
        layers: By the layer's output.
        alone: The same if no other layer were in INT8.
    """

    layers: dict[str, Correction]
    alone: dict[str, Correction]


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
    corrected: Corrected,
    *,
    correct_again: Callable[[Collection[str]], Corrected],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Spending, dict[str, Correction]]:
    """Leave layers in float until no more than ``max_drop`` points are lost.

    The layers' harms are measured once, each layer alone in INT8: with all in INT8, corrections
    behind a layer hide what it does. They are then left in float in that order. After each all
    corrections are measured anew, and then what is lost. With every layer in float nothing is, so
    that there is an end.

    Args:
        max_drop: In points, as `Exam.drop`.
        candidate: The network and the style.
        exam: The float network's answers on the sample.
        sample: Pictures; kept in memory.
        corrected: With all layers in INT8.
        correct_again: Measures corrections with these layers in float.
        progress: Called with (units done, units in all); the last units come at once.

    Returns:
        What it took, and the corrections to build with.
    """
    layers = candidate.layers
    total = 2 * len(layers) + 1

    def answers(floats: Collection[str]) -> Array:
        return candidate.scores(sample.batches(), corrected.layers, floats)

    whole = found = answers(())
    progress(1, total)
    harms: dict[str, float] = {}
    floats: list[str] = []
    if exam.drop(whole) > max_drop:
        harms = _harms(candidate, exam, sample, corrected, lambda done: progress(1 + done, total))
        for layer in sorted(harms, key=lambda name: -harms[name]):
            floats.append(layer)
            corrected = correct_again(floats)
            found = answers(floats)
            progress(1 + len(layers) + len(floats), total)
            if exam.drop(found) <= max_drop:
                break
    progress(total, total)
    spending = Spending(
        images=len(exam.floats),
        before=exam.drop(whole),
        after=exam.drop(found),
        changed_before=exam.changed(whole),
        changed_after=exam.changed(found),
        left_float=tuple(floats),
        harms=harms,
    )
    return spending, corrected.layers


def _harms(
    candidate: Candidate,
    exam: Exam,
    sample: Feed,
    corrected: Corrected,
    moved: Callable[[int], None],
) -> dict[str, float]:
    """Return the divergence with each layer alone in INT8."""
    count = len(exam.floats)
    few = min(count, RANKED_ON)
    positions = [i * count // few for i in range(few)]
    shorter = exam.on(positions)

    harms = {}
    layers = candidate.layers
    for number, layer in enumerate(layers, start=1):
        corrections = {name: found for name, found in corrected.alone.items() if name == layer}
        others = [name for name in layers if name != layer]
        chosen = _at(positions, sample.batches())
        harm = shorter.divergence(candidate.scores(chosen, corrections, others))
        harms[layer] = float(f"{harm:.{_DIGITS}g}")
        moved(number)
    return harms


def _at(positions: Sequence[int], batches: Iterable[Array]) -> Iterator[Array]:
    wanted = set(positions)
    return (batch for position, batch in enumerate(batches) if position in wanted)
