from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgedeploy.graph.bias import bias_of, correct_bias, takes_bias
from edgedeploy.graph.constants import array_of
from tests.graph.networks import CLASSES, Sketch, block, mixed, pictures, producers, run

SHIFT = np.linspace(-1, 1, CLASSES).astype(np.float32)


@pytest.mark.parametrize("constants", [False, True])
@pytest.mark.parametrize("model", ["Gemm", "GemmNN", ""])
def test_the_output_moves_by_the_shift(model: str, *, constants: bool) -> None:
    graph = mixed(constants=True) if constants else block(gemm=model)
    expected = run(graph, pictures()) + SHIFT
    node = producers(graph)["logits" if constants or model else "classifier/conv"]
    before = np.asarray(bias_of(node))
    result = correct_bias(graph.graph, node, SHIFT)
    np.testing.assert_array_equal(result, before + SHIFT)
    np.testing.assert_array_equal(np.asarray(bias_of(node)), result)
    np.testing.assert_allclose(run(graph, pictures()), expected, rtol=1e-5, atol=1e-5)


def test_a_convolution_without_a_bias_gets_one() -> None:
    model = mixed()
    node = producers(model)["grouped/conv"]
    assert bias_of(node) is None
    assert takes_bias(node)
    shift = np.arange(12, dtype=np.float32)
    result = correct_bias(model.graph, node, shift)
    np.testing.assert_array_equal(result, shift)
    assert result.dtype == np.float32
    onnx.checker.check_model(ir.serde.serialize_model(model), full_check=True)
    np.testing.assert_array_equal(np.asarray(array_of(node.inputs[2])), shift)


def test_a_bias_that_two_layers_share_moves_for_one() -> None:
    model = block()
    nodes = producers(model)
    expand, depthwise = nodes["expand/conv"], nodes["depthwise/conv"]
    depthwise.replace_input_with(2, expand.inputs[2])
    before = np.asarray(bias_of(expand))
    correct_bias(model.graph, expand, np.ones(16, np.float32))
    np.testing.assert_array_equal(np.asarray(bias_of(expand)), before + 1)
    np.testing.assert_array_equal(np.asarray(bias_of(depthwise)), before)


def test_layers_take_a_bias_of_one_number_a_channel() -> None:
    assert takes_bias(producers(block(gemm="Gemm"))["logits"])
    assert not takes_bias(producers(block(gemm="MatMul"))["logits"])


def _with_bias(bias: ir.Value | None) -> ir.Node:
    model = block(gemm="Gemm")
    node = producers(model)["logits"]
    node.replace_input_with(2, bias)
    return node


def test_a_bias_that_is_left_out_or_of_one_number_can_be_corrected() -> None:
    assert takes_bias(_with_bias(None))
    assert takes_bias(_with_bias(ir.val("b", const_value=ir.tensor(np.ones(1, np.float32)))))


def test_a_bias_of_two_axes_is_left_alone() -> None:
    row = ir.tensor(np.ones((1, CLASSES), np.float32))
    assert not takes_bias(_with_bias(ir.val("b", const_value=row)))


def test_a_bias_that_depends_on_the_input_is_left_alone() -> None:
    sketch = Sketch()
    value = sketch.node("GlobalAveragePool", ["image"], "pool")
    value = sketch.node("Flatten", [value], "features")
    weight = sketch.constant("w", np.ones((3, 3)))
    model = sketch.model(sketch.node("Gemm", [value, weight, "features"], "logits"))
    assert not takes_bias(producers(model)["logits"])
