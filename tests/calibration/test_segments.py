from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from edgedeploy.calibration.segments import Segments
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import FileError
from edgedeploy.graph.bias import bias_of
from edgedeploy.graph.constants import array_of, replace_constant
from edgedeploy.graph.qdq import quantise_activations
from edgedeploy.graph.shapes import fix_size
from tests.calibration.networks import FORMS, batches, layers, prepared, seen_ranges, tensors
from tests.graph.networks import Sketch, producers

if TYPE_CHECKING:
    from edgedeploy.types import Array


def _quantised(model: ir.Model, style: QdqStyle) -> ir.Model:
    quantise_activations(model, seen_ranges(model, batches()), style)
    return model


def _weights(model: ir.Model) -> dict[str, tuple[Array, Array | None]]:
    """Other weights and biases than the model's: of magnitudes that no one scale serves."""
    found = {}
    draw = np.random.default_rng(0)
    for name in layers(model):
        node = producers(model)[name]
        weight = np.asarray(array_of(node.inputs[1])).copy()
        steps = np.exp(draw.uniform(-6, 0, weight.shape[0])).astype(np.float32)
        weight *= steps.reshape(-1, *[1] * (weight.ndim - 1))
        bias = bias_of(node)
        found[name] = (weight, None if bias is None else bias + np.float32(0.01))
    return found


def _codes(model: ir.Model, name: str) -> str:
    """The tensor of integers that a layer reads."""
    value = producers(model)[name].inputs[0]
    assert value is not None
    pair = value.producer()
    assert pair is not None
    assert pair.op_type == "DequantizeLinear"
    return pair.inputs[0].name or ""  # type: ignore[union-attr]  # it has three


@pytest.mark.parametrize("style", QdqStyle)
@pytest.mark.parametrize("form", FORMS)
def test_piece_by_piece_a_layer_reads_what_it_does_in_the_whole_graph(
    form: str, style: QdqStyle
) -> None:
    model = _quantised(prepared(form), style)
    names = layers(model)
    weights = _weights(model)
    segments = Segments(model.clone(), names, 1)
    segments.start(batches()[i : i + 1] for i in range(12))
    for name, (weight, bias) in weights.items():
        node = producers(model)[name]
        replace_constant(model.graph, node, 1, weight)
        if bias is not None:
            replace_constant(model.graph, node, 2, bias)
    expected = tensors(model, [_codes(model, name) for name in names], batches())
    for number, name in enumerate(names, start=1):
        codes, scale, zero = segments.input_of(name)
        assert codes.dtype == (np.uint8 if style is QdqStyle.U8 else np.int8)
        assert float(scale) > 0
        assert zero == 0 or style is QdqStyle.U8
        away = np.abs(codes.astype(int) - expected[_codes(model, name)])
        assert away.max() <= 1  # sums in another order
        assert away.mean() < 0.001
        segments.run(number, *weights[name])


def _run_through(segments: Segments, model: ir.Model) -> list[dict[str, Array]]:
    """What is in memory before each layer."""
    held = []
    for number, (weight, bias) in enumerate(_weights(model).values(), start=1):
        held.append(dict(segments._live))  # what is let go shows nowhere else
        segments.run(number, weight, bias)
    held.append(dict(segments._live))
    return held


@pytest.mark.parametrize("style", QdqStyle)
def test_between_layers_there_are_only_integers_that_are_still_read(style: QdqStyle) -> None:
    model = _quantised(prepared("residual"), style)
    segments = Segments(model, layers(model), 1)
    segments.start([batches()])
    held = [
        {name: a.dtype.itemsize for name, a in one.items()} for one in _run_through(segments, model)
    ]
    names = [{name.removesuffix("/quantized") for name in one} for one in held]
    assert names[0] == {"image"}
    # a layer can be run again until the next one is, so what it read is still there behind it
    assert names[1] <= {"image", "stem/act"}
    assert names[2] == {"expand/act", "stem/act"}  # the sum will read the stem
    assert names[3] <= {"expand/act", "depthwise/act", "stem/act"}
    assert names[4] <= {"depthwise/act", "stem/act", "add"}
    assert names[5] <= {"add", "pool"}
    for index, name in enumerate(("image", "stem/act", "expand/act", "depthwise/act", "add")):
        assert name in names[index]
    assert {size for one in held for size in one.values()} == {1}


def test_the_same_pictures_in_other_batches_give_the_same_integers() -> None:
    found = []
    for size in (1, 5, 12):
        model = _quantised(prepared("residual"), QdqStyle.U8)
        segments = Segments(model, layers(model), 1)
        segments.start(batches()[i : i + size] for i in range(0, 12, size))
        found.append(segments.input_of("stem/norm")[0])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_network_of_one_picture_is_fed_one_by_one() -> None:
    """As PyTorch exports it: the batch is 1 in the input and in a Reshape."""
    sketch = Sketch()
    value = sketch.convolve("image", "stem", (8, 3, 3, 3), strides=[2, 2])
    value = sketch.node("GlobalAveragePool", [value], "pool")
    shape = ir.serde.serialize_tensor(ir.tensor(np.array([1, 8]), name="shape"))
    sketch.constants.append(shape)
    value = sketch.node("Reshape", [value, "shape"], "features")
    weight = sketch.constant("w", sketch.rng.normal(size=(8, 5)))
    value = sketch.node("MatMul", [value, weight], "hidden")
    weight = sketch.constant("v", sketch.rng.normal(size=(5, 5)))
    value = sketch.node("MatMul", [value, weight], "logits")
    model = sketch.model(value, batch=1)
    fix_size(model, (16, 16))
    ranges = seen_ranges(model, batches()[:1])
    quantise_activations(model, ranges, QdqStyle.U8)
    segments = Segments(model, layers(model), 1)
    segments.start(batches()[i : i + 1] for i in range(12))
    weights = _weights(model)
    for number, (weight_, bias) in enumerate(weights.values(), start=1):
        codes, _, _ = segments.input_of(layers(model)[number - 1])
        assert len(codes) == 12
        segments.run(number, weight_, bias)


def test_a_layer_whose_input_is_not_quantised_is_named() -> None:
    model = prepared("residual")
    segments = Segments(model, layers(model), 1)
    segments.start([batches()])
    with pytest.raises(FileError, match="the layer stem/norm reads image, which is not quantised"):
        segments.input_of("stem/norm")
