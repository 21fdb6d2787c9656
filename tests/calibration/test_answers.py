from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedeploy.calibration.answers import Exam, right_answers, scores
from edgedeploy.graph.qdq import quantise
from edgedeploy.images import ImageEntry, ImageSet
from edgedeploy.types import QdqStyle
from tests.calibration.networks import prepared, seen_ranges
from tests.graph.networks import pictures, run

if TYPE_CHECKING:
    from edgedeploy.types import Array

ONE, TWO = [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]


def _exam(floats: Array, right: list[int] | None = None, *, softmax: bool = True) -> Exam:
    return Exam(
        floats=np.asarray(floats, np.float32),
        right=None if right is None else np.asarray(right),
        softmax=softmax,
    )


def _images(*names: str, classes: dict[int, str] | None = None) -> ImageSet:
    labels = {name: index for index, name in (classes or {}).items()}
    entries = tuple(ImageEntry(name, labels.get(name.split("/")[0])) for name in names)
    return ImageSet(source=Path("set"), inside="", entries=entries, classes=classes or {})


def test_points_of_top_1_count_answers_that_are_right_no_more() -> None:
    exam = _exam(np.array([ONE, ONE, TWO, TWO]), [0, 1, 2, 0])
    assert exam.measure == "top-1"
    assert exam.drop(np.array([ONE, ONE, TWO, TWO])) == 0
    assert exam.drop(np.array([TWO, ONE, TWO, TWO])) == 25
    assert exam.drop(np.array([ONE, ONE, TWO, ONE])) == -25  # one more than the float network


def test_without_labels_every_changed_answer_counts() -> None:
    exam = _exam(np.array([ONE, ONE, TWO, TWO]))
    assert exam.measure == "answers changed"
    assert exam.drop(np.array([TWO, ONE, TWO, ONE])) == 50


def test_no_loss_of_top_1_exceeds_the_answers_changed() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        floats, found = draw.normal(size=(2, 30, 4))
        right = draw.integers(0, 4, 30).tolist()
        assert _exam(floats, right).drop(found) <= _exam(floats).drop(found)


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


def test_an_exam_on_some_pictures_keeps_answers_and_labels_together() -> None:
    exam = _exam(np.array([ONE, TWO, TWO]), [0, 0, 2]).on([0, 2])
    assert exam.drop(np.array([ONE, TWO])) == 0
    assert exam.drop(np.array([TWO, TWO])) == 50


@pytest.mark.parametrize("style", QdqStyle)
def test_scores_are_those_of_the_graph_without_any_optimisation(style: QdqStyle) -> None:
    model, batch = prepared("residual"), pictures(6)
    quantise(model, seen_ranges(model, batch), style, any_x86=False, floats=["depthwise/norm"])
    found = scores(model, [batch[:4], batch[4:]], threads=1)
    assert found.shape == (6, 5)
    expected = run(model, batch, optimise=False)
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_background_comes_first_where_the_model_has_one_class_more() -> None:
    images = _images("0/a", "1/b", "1/c", classes={0: "0", 1: "1"})
    found = right_answers(images, images, (), classes=3)
    assert found is not None
    assert found.tolist() == [1, 2, 2]
    sample = _images("0/a", "1/c", classes={0: "0", 1: "1"})
    found = right_answers(images, sample, {"1/c": "broken"}, classes=2)
    assert found is not None
    assert found.tolist() == [0]


def test_folders_that_name_no_class_of_the_model_label_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    night = _images("day/a", "night/b", classes={0: "day", 1: "night"})
    flat = _images("a", "b")
    with caplog.at_level("INFO"):
        assert right_answers(night, night, (), classes=1000) is None
        assert right_answers(flat, flat, (), classes=1000) is None
    assert "2 named class folders, the model 1000 classes" in caplog.text
    assert "counting changed answers instead of top-1" in caplog.text
