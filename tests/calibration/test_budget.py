from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

from edgedeploy import model_file
from edgedeploy.calibration import recipe
from edgedeploy.calibration.answers import Exam, scores
from edgedeploy.calibration.budget import Candidate, Corrected, keep_within
from edgedeploy.calibration.feeding import Feed
from edgedeploy.calibration.measuring import measure
from edgedeploy.calibration_values import Correction, QdqStyle
from edgedeploy.graph.shapes import fix_size
from edgedeploy.images import open_images
from edgedeploy.runtime.preprocessing import Preprocessing
from tests.calibration.networks import layers, prepared, seen_ranges
from tests.calibration.ruined import RUINED, colours, ruined

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)
NONE = Corrected({}, {})
COUNT = 24


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    for number, frame in enumerate(colours(COUNT)):
        Image.fromarray(frame).save(tmp_path / f"{number:02}.png")
    return Feed(images=open_images(tmp_path), side=(16, 16), preprocessing=RULE, keep=True)


def _candidate(model: ir.Model, feed: Feed, style: QdqStyle) -> Candidate:
    found = seen_ranges(model, np.concatenate(list(feed.batches())))
    return Candidate(model=model, ranges=found, style=style, any_x86=False, threads=1)


def _exam(model: ir.Model, feed: Feed) -> Exam:
    return Exam(floats=scores(model, feed.batches(), threads=1), softmax=False)


def _uncorrected(floats: Collection[str]) -> Corrected:
    assert floats
    return NONE


@pytest.mark.parametrize("style", QdqStyle)
def test_the_layer_that_8_bits_ruin_is_left_in_float_first(feed: Feed, style: QdqStyle) -> None:
    model = ruined(np.concatenate(list(feed.batches())))
    candidate, exam = _candidate(model, feed, style), _exam(model, feed)
    spending, _ = keep_within(20, candidate, exam, feed, NONE, correct_again=_uncorrected)
    assert spending.left_float[0] == RUINED
    assert max(spending.harms, key=lambda name: spending.harms[name]) == RUINED
    assert spending.before > 20 >= spending.after
    assert len(spending.left_float) < len(layers(model))
    assert list(spending.harms) == layers(model)
    assert spending.images == COUNT
    assert spending.changed_before > spending.before
    assert spending.changed_after >= spending.after


def test_a_budget_that_is_kept_costs_one_look(feed: Feed) -> None:
    model = prepared("residual")
    candidate, exam = _candidate(model, feed, QdqStyle.U8), _exam(model, feed)
    seen: list[tuple[int, int]] = []
    corrected = Corrected({"stem/norm": Correction(bias=np.zeros(8, np.float32))}, {})

    def never(floats: Collection[str]) -> Corrected:
        raise AssertionError(floats)

    spending, kept = keep_within(
        100,
        candidate,
        exam,
        feed,
        corrected,
        correct_again=never,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (spending.left_float, spending.harms) == ((), {})
    assert spending.before == spending.after
    assert kept is corrected.layers
    total = 2 * len(layers(model)) + 1
    assert seen == [(1, total), (total, total)]


@pytest.mark.parametrize("style", QdqStyle)
def test_with_every_layer_in_float_nothing_is_lost(feed: Feed, style: QdqStyle) -> None:
    model = ruined(np.concatenate(list(feed.batches())))
    candidate = _candidate(model, feed, style)
    # worse than all in INT8 until nothing is: so every layer has to go
    wild = {name: replace(found, low=-1e4, high=1e4) for name, found in candidate.ranges.items()}
    candidate, exam = replace(candidate, ranges=wild), _exam(model, feed)
    seen: list[tuple[int, int]] = []
    spending, _ = keep_within(
        1,
        candidate,
        exam,
        feed,
        NONE,
        correct_again=_uncorrected,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert spending.after == 0
    assert sorted(spending.left_float) == sorted(layers(model))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_corrections_are_measured_again_after_each_layer(feed: Feed) -> None:
    model = ruined(np.concatenate(list(feed.batches())))
    candidate, exam = _candidate(model, feed, QdqStyle.S8), _exam(model, feed)
    asked: list[tuple[str, ...]] = []

    def correct_again(floats: Collection[str]) -> Corrected:
        asked.append(tuple(floats))
        # a classifier that always answers class 0, until the third layer is in float
        bias = np.array([0 if len(floats) > 2 else 1e6, 0, 0, 0, 0], np.float32)
        return Corrected({"classifier/conv": Correction(bias=bias)}, {})

    spending, kept = keep_within(20, candidate, exam, feed, NONE, correct_again=correct_again)
    assert len(spending.left_float) >= 3
    assert asked == [spending.left_float[: i + 1] for i in range(len(asked))]
    assert not kept["classifier/conv"].bias.any()


def test_the_recipe_corrects_what_it_builds(feed: Feed) -> None:
    """What `keep_within` says is lost, the network built from its result loses."""
    model = ruined(np.concatenate(list(feed.batches())))
    budget = recipe.Budget(max_drop=10, softmax=False)
    steps = (recipe.ROUND, recipe.CORRECT_BIAS)
    exam = _exam(model, feed)
    found = recipe.follow(
        model, feed, feed, feed, method="minmax", steps=steps, budget=budget, threads=1
    )
    for name, style, any_x86 in (
        ("u8", QdqStyle.U8, True),
        ("u8-vnni", QdqStyle.U8, False),
        ("s8", QdqStyle.S8, False),
    ):
        spending = found.spending[name]
        candidate = Candidate(
            model=model, ranges=found.ranges, style=style, any_x86=any_x86, threads=1
        )
        left = spending.left_float
        again = exam.drop(candidate.scores(feed.batches(), found.corrections[name], left))
        assert again == spending.after <= 10
        assert RUINED in left
        corrections = found.corrections[name]
        if len(left) < len(layers(model)):
            assert set(corrections) == set(layers(model))
            assert all((corrections[layer].rounding is None) == (layer in left) for layer in left)


def test_a_budget_without_corrections_has_none(feed: Feed) -> None:
    budget = recipe.Budget(max_drop=10, softmax=False)
    model = ruined(np.concatenate(list(feed.batches())))
    found = recipe.follow(
        model, feed, feed, feed, method="minmax", steps=(), budget=budget, threads=1
    )
    assert not found.corrections
    assert set(found.spending) == {"u8", "u8-vnni", "s8"}
    assert all(one.after <= 10 < one.before for one in found.spending.values())


def test_without_a_budget_nothing_is_measured(feed: Feed) -> None:
    found = recipe.follow(
        prepared("residual"), feed, feed, feed, method="minmax", steps=(), threads=1
    )
    assert not found.spending


@pytest.mark.slow
def test_a_real_network_keeps_more_answers_on_other_pictures(shared: Path) -> None:
    weights = shared / "weights" / "onnx" / "mobilenet_v1_0.25_224_imagenet.onnx"
    images = open_images(shared / "imagenet-500.zip")
    side = (224, 224)
    found = measure(
        model_file.read(weights),
        images.every("i%5<1"),
        side=side,
        preprocessing=RULE,
        steps=(recipe.ROUND, recipe.CORRECT_BIAS),
        max_drop=0.5,
    )
    spending = found.spending["s8"]
    assert spending.images == 100
    assert spending.before > 0.5 >= spending.after
    assert 1 <= len(spending.left_float) <= 6
    graph = ir.load(weights)
    fix_size(graph, side)
    others = Feed(images=images.every("i%5>3"), side=side, preprocessing=RULE, keep=True)
    exact = Exam(floats=scores(graph, others.batches()), softmax=True)
    candidate = Candidate(model=graph, ranges=found.ranges, style=QdqStyle.S8, any_x86=False)
    mixed = candidate.scores(others.batches(), found.corrections["s8"], spending.left_float)
    plain = measure(
        model_file.read(weights),
        images.every("i%5<1"),
        side=side,
        preprocessing=RULE,
        steps=(recipe.ROUND, recipe.CORRECT_BIAS),
    )
    whole = candidate.scores(others.batches(), plain.corrections["s8"])
    assert exact.divergence(mixed) < 0.8 * exact.divergence(whole)
