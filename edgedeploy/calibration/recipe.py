"""The recipe: from a float network and images to ranges and what keeps INT8 accurate.

In this order, each step on what the one before left (measured: docs/quantization.md):

1. ``equalise``: channels of linked layers share one range (`equalising`, `graph.equalise`).
2. Ranges of the equalised network, by the method asked for (`ranges`).
3. Per Q/DQ style, layer by layer behind the quantised layers before: ``round`` the weights by what
   the layer then reads (`rounding`), and ``correct-bias`` (`correcting`).
4. With a budget, per style: layers are left in float until it is kept, and the others corrected
   anew (`budget`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edgedeploy.calibration.answers import Exam, scores
from edgedeploy.calibration.budget import Candidate, Corrected, keep_within
from edgedeploy.calibration.correcting import Means, correct
from edgedeploy.calibration.equalising import choose_scales
from edgedeploy.calibration.layers import observe_channels
from edgedeploy.calibration.ranging import measure_ranges
from edgedeploy.calibration_values import QdqStyle, correction_style
from edgedeploy.errors import UnknownNameError
from edgedeploy.graph.equalise import equalise, links
from edgedeploy.graph.placement import behind_activation, is_weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import onnx_ir as ir

    from edgedeploy.calibration.feeding import Feed
    from edgedeploy.calibration_values import Correction, Spending, TensorRange
    from edgedeploy.types import Array

EQUALISE, ROUND, CORRECT_BIAS = STEPS = ("equalise", "round", "correct-bias")
_STYLES = ((QdqStyle.U8, "any"), (QdqStyle.U8, "vnni"), (QdqStyle.S8, "any"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What `follow` found; see `edgedeploy.calibration_values.Calibration` for the fields."""

    ranges: Mapping[str, TensorRange]
    equalisation: Mapping[str, Array]
    corrections: Mapping[str, Mapping[str, Correction]]
    spending: Mapping[str, Spending]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What INT8 may lose.

    Attributes:
        max_drop: In points of top-1, above 0; see `edgedeploy.calibration_values.Spending`.
        softmax: Whether the network's outputs are probabilities.
    """

    max_drop: float
    softmax: bool


def check_steps(steps: Sequence[str]) -> tuple[str, ...]:
    """Return the steps in the order in which they are taken.

    Raises:
        UnknownNameError: There is no such step.
    """
    for step in steps:
        if step not in STEPS:
            raise UnknownNameError("step of the recipe", step, STEPS)
    return tuple(step for step in STEPS if step in steps)


def follow(
    model: ir.Model,
    feed: Feed,
    sample: Feed,
    examined: Feed,
    *,
    method: str,
    steps: Sequence[str] = STEPS,
    budget: Budget | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Take the steps asked for.

    Args:
        model: Float, batch norm folded, of a fixed size; equalised in place.
        feed: What extremes, means and ranges are measured on; read once for each.
        sample: What the layers are corrected on; kept in memory as integers.
        examined: What the loss is measured on where there is a budget.
        method: Of choosing ranges.
        steps: Of `STEPS`.
        budget: None leaves every layer in INT8, and does not measure what that loses.
        threads: Of ONNX Runtime; None leaves it the choice.
        progress: Called with (units done, units in all).
    """
    correcting = bool({ROUND, CORRECT_BIAS} & set(steps))
    parts = len(_STYLES) * (correcting + (budget is not None))
    stages = _Stages(progress, 1 + (EQUALISE in steps) + parts, len(feed.images.entries))
    scales: dict[str, Array] = {}
    if EQUALISE in steps:
        scales = _equalise(model, feed.batches(stages.next()), threads)
    ranges = measure_ranges(model, feed.batches(stages.next()), method=method, threads=threads)
    means = _means(model, sample, threads) if CORRECT_BIAS in steps else Means(layers={}, behind={})
    exam = None if budget is None else _exam(model, examined, budget, threads)
    corrections: dict[str, Mapping[str, Correction]] = {}
    spending: dict[str, Spending] = {}
    for style, x86 in _STYLES:
        name = correction_style(style, x86)
        candidate = Candidate(
            model=model, ranges=ranges, style=style, any_x86=x86 == "any", threads=threads
        )
        correct_again = partial(_correct, candidate, sample, means, steps)
        found = correct_again(progress=stages.next()) if correcting else Corrected({}, {})
        if budget is not None and exam is not None:
            spending[name], kept = keep_within(
                budget.max_drop,
                candidate,
                exam,
                examined,
                found,
                correct_again=correct_again,
                progress=stages.next(),
            )
            found = found._replace(layers=kept)
        if correcting:
            corrections[name] = found.layers
    return Result(ranges=ranges, equalisation=scales, corrections=corrections, spending=spending)


def _correct(
    candidate: Candidate,
    sample: Feed,
    means: Means,
    steps: Sequence[str],
    floats: Collection[str] = (),
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Corrected:
    """Measure the corrections that the steps ask for, with some layers in float."""
    if not {ROUND, CORRECT_BIAS} & set(steps):
        return Corrected({}, {})
    alone: dict[str, Correction] = {}
    layers = correct(
        candidate.model,
        candidate.ranges,
        candidate.style,
        sample.batches(),
        means,
        any_x86=candidate.any_x86,
        rounding=ROUND in steps,
        bias=CORRECT_BIAS in steps,
        floats=floats,
        alone=alone.__setitem__,
        threads=candidate.threads,
        progress=progress,
    )
    return Corrected(layers, alone)


def _exam(model: ir.Model, examined: Feed, budget: Budget, threads: int | None) -> Exam:
    """Let the float network answer."""
    floats = scores(model, examined.batches(), threads=threads)
    return Exam(floats=floats, softmax=budget.softmax)


def _equalise(
    model: ir.Model,
    batches: Iterable[Array],
    threads: int | None,
) -> dict[str, Array]:
    """Equalise the model; return the scales."""
    found = links(model.graph)
    seen = observe_channels(
        model,
        [link.name for link in found],
        [link.tensors[-1] for link in found],
        batches,
        threads=threads,
    )
    scales = choose_scales(model.graph, seen)
    equalise(model, scales)
    return scales


def _means(model: ir.Model, sample: Feed, threads: int | None) -> Means:
    """Measure the means of the equalised float network, on the pictures it is corrected on."""
    layers = [node.outputs[0] for node in model.graph if is_weighted(node)]
    behind = [behind_activation(value) for value in layers]
    names = [
        after.name or "" for value, after in zip(layers, behind, strict=True) if after is not value
    ]
    found = observe_channels(model, [], names, sample.batches(), threads=threads).means
    return Means(layers=found, behind={name: found[name] for name in names})


class _Stages:
    """Turns the progress of one stage after another into one count of units."""

    def __init__(self, report: Callable[[int, int], None], count: int, units: int) -> None:
        self._report, self._total, self._units = report, count * units, units
        self._begun = 0

    def next(self) -> Callable[[int, int], None]:
        start = self._begun * self._units
        self._begun += 1

        def moved(done: int, total: int) -> None:
            self._report(start + self._units * done // total, self._total)

        return moved
