from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedeploy.calibration.answers import Exam, scores
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.graph.qdq import quantise
from tests.calibration.networks import prepared, seen_ranges
from tests.graph.networks import pictures, run

if TYPE_CHECKING:
    from edgedeploy.types import Array

ONE, TWO = [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]


def _exam(floats: Array, *, softmax: bool = True) -> Exam:
    return Exam(floats=np.asarray(floats, np.float32), softmax=softmax)


def test_a_changed_answer_costs_the_confidence_that_it_gives_up() -> None:
    exam = _exam(np.array([ONE, ONE, TWO, TWO]))
    assert exam.drop(np.array([ONE, ONE, TWO, TWO])) == 0
    second = [0.4, 0.5, 0.1]  # 60 % are given up for 30 %
    assert exam.drop(np.array([second, ONE, TWO, TWO])) == pytest.approx(100 * 0.3 / 4)
    assert exam.drop(np.array([ONE, ONE, ONE, TWO])) == pytest.approx(100 * 0.6 / 4)
    assert exam.changed(np.array([second, ONE, ONE, TWO])) == 50


def test_the_loss_is_the_same_of_logits_and_of_their_softmax() -> None:
    first, second = np.random.default_rng(2).normal(size=(2, 40, 5))
    soft = np.exp(first) / np.exp(first).sum(axis=1, keepdims=True)
    expected = _exam(soft).drop(second)
    assert _exam(first, softmax=False).drop(second) == pytest.approx(expected, rel=1e-5)


def test_the_expected_loss_is_what_labels_drawn_by_the_probabilities_lose() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(4000, 3)) * 2
    soft = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right = (draw.random((4000, 1)) < soft.cumsum(axis=1)).argmax(axis=1)
    found = logits + draw.normal(size=logits.shape)
    hits = [np.mean(one.argmax(axis=1) == right) for one in (logits, found)]
    assert _exam(soft).drop(found) == pytest.approx(100 * (hits[0] - hits[1]), abs=1.5)
    assert 0 < _exam(soft).drop(found) <= _exam(soft).changed(found)


def test_divergence_is_the_same_of_logits_and_of_their_softmax() -> None:
    first, second = np.random.default_rng(1).normal(size=(2, 6, 5)) * 3
    soft = [np.exp(found) / np.exp(found).sum(axis=1, keepdims=True) for found in (first, second)]
    expected = (soft[0] * np.log(soft[0] / soft[1])).sum(axis=1).mean()
    assert _exam(first, softmax=False).divergence(second) == pytest.approx(expected, rel=1e-4)
    assert _exam(soft[0]).divergence(soft[1]) == pytest.approx(expected, rel=1e-4)
    assert _exam(soft[0]).divergence(soft[0].astype(np.float32)) == 0


def test_probabilities_of_0_keep_the_divergence_finite() -> None:
    exam = _exam(np.array([[1.0, 0.0]]))
    assert 0 < exam.divergence(np.array([[0.0, 1.0]], np.float32)) < 100


def test_an_exam_can_be_sat_on_some_of_the_pictures() -> None:
    exam = _exam(np.array([ONE, ONE, TWO])).on([0, 2])
    assert exam.changed(np.array([ONE, TWO])) == 0
    assert exam.changed(np.array([TWO, TWO])) == 50


@pytest.mark.parametrize("style", QdqStyle)
def test_scores_are_those_of_the_graph_without_any_optimisation(style: QdqStyle) -> None:
    model, batch = prepared("residual"), pictures(6)
    quantise(model, seen_ranges(model, batch), style, any_x86=False, floats=["depthwise/norm"])
    found = scores(model, [batch[:4], batch[4:]], threads=1)
    assert found.shape == (6, 5)
    expected = run(model, batch, optimise=False)
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())
