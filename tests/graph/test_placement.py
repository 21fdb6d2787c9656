"""Layers that stay in float; where Q/DQ pairs go otherwise is tested with `quantise`."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgedeploy.calibration_values import Correction, QdqStyle
from edgedeploy.errors import BuildError
from edgedeploy.graph.integers import layers
from edgedeploy.graph.placement import place
from edgedeploy.graph.qdq import quantise
from edgedeploy.graph.tensors import activations
from tests.calibration.networks import layers as names_of
from tests.calibration.networks import prepared, seen_ranges
from tests.graph.networks import kinds, pictures, producers, ranges, run

U8, S8 = QdqStyle.U8, QdqStyle.S8


def _points(style: QdqStyle, *floats: str) -> set[str | None]:
    return {point.name for point, _ in place(prepared("residual").graph, style, floats).points}


@pytest.mark.parametrize("style", QdqStyle)
def test_a_float_layer_asks_for_no_pair_and_others_keep_theirs(style: QdqStyle) -> None:
    whole = _points(style)
    assert _points(style, "depthwise/norm") == whole - (
        {"expand/act"} if style is S8 else set[str]()  # u8 also wants what expand computes
    )
    assert _points(style, "expand/norm", "depthwise/norm") == whole - {"expand/act"}
    assert whole - _points(style, "stem/norm") == {"image"}
    assert whole - _points(style, "classifier/conv") == (
        {"classifier/conv"} if style is U8 else set()
    )


@pytest.mark.parametrize("style", QdqStyle)
def test_with_every_layer_in_float_there_is_nothing_in_integers(style: QdqStyle) -> None:
    model = prepared("residual")
    before = kinds(model)
    quantise(model, ranges(activations(model)), style, floats=names_of(model))
    assert kinds(model) == before


@pytest.mark.parametrize("style", QdqStyle)
def test_float_layers_are_counted_as_float(style: QdqStyle) -> None:
    model = prepared("residual")
    quantise(model, ranges(activations(model)), style, floats=["expand/norm", "head/norm"])
    found = layers(ir.serde.serialize_model(model).graph)
    assert found.quantised == len(names_of(prepared("residual"))) - 2
    assert found.floating >= {"expand/norm", "head/norm"}


@pytest.mark.parametrize("style", QdqStyle)
def test_each_layer_in_float_brings_the_answers_nearer(style: QdqStyle) -> None:
    batch = pictures(8)
    exact = run(prepared("residual"), batch)
    found = seen_ranges(prepared("residual"), batch)
    errors = []
    for count in (0, 2, 4, 6):
        model = prepared("residual")
        quantise(model, found, style, any_x86=False, floats=names_of(model)[:count])
        errors.append(float(np.abs(run(model, batch, optimise=False) - exact).mean()))
    assert errors[0] > errors[2] > errors[3]
    assert errors[3] == pytest.approx(0, abs=1e-5)


def test_of_a_float_layers_correction_the_bias_counts() -> None:
    model, name = prepared("residual"), "project/norm"
    found = seen_ranges(model, pictures())
    weight = model.graph.initializers["project/w/folded"].const_value
    correction = Correction(
        bias=np.full(8, 0.5, np.float32), rounding=np.ones((8, 16, 1, 1), np.int8)
    )
    plain = prepared("residual")
    quantise(plain, found, S8, floats=[name])
    quantise(model, found, S8, floats=[name], corrections={name: correction})
    biases = [producers(one)[name].inputs[2] for one in (plain, model)]
    first, second = (ir.convenience.get_const_tensor(value) for value in biases if value)
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(second.numpy() - first.numpy(), 0.5, atol=1e-6)
    assert producers(model)[name].inputs[1].const_value is weight  # type: ignore[union-attr]


def test_a_layer_that_is_not_there_cannot_stay_in_float() -> None:
    model = prepared("residual")
    with pytest.raises(BuildError, match=r"leaves stem/act in float, which is no layer here\n"):
        quantise(model, ranges(activations(model)), U8, floats=["stem/norm", "stem/act"])
