from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgedeploy.errors import BuildError, UsageError
from edgedeploy.graph.shapes import fix_size
from tests.graph.networks import CLASSES, block, pictures, producers, run


def _shape(value: ir.Value) -> list[object]:
    assert value.shape is not None
    return [n if isinstance(n, int) else n.value for n in value.shape]


@pytest.mark.parametrize("opset", [13, 17])
def test_every_shape_is_inferred_when_the_file_leaves_them_out(opset: int) -> None:
    model = block(opset=opset, auto_pad=True, sides=("h", "w"), output_shape=False)
    fix_size(model, (16, 16))
    nodes = producers(model)
    assert _shape(model.graph.inputs[0]) == ["N", 3, 16, 16]
    assert _shape(nodes["depthwise/act"].outputs[0]) == ["N", 16, 8, 8]
    assert _shape(model.graph.outputs[0]) == ["N", CLASSES]


def test_one_name_for_height_and_width_is_split_when_the_size_is_unknown() -> None:
    model = block(sides=("s", "s"))
    fix_size(model, None)
    assert _shape(model.graph.inputs[0]) == ["N", 3, "H", "W"]
    assert run(model, pictures(1, side=16)[:, :, :, :12]).shape == (1, CLASSES)


def test_a_static_size_stays_when_none_is_given() -> None:
    model = block(sides=(16, 12))
    fix_size(model, None)
    assert _shape(model.graph.inputs[0]) == ["N", 3, 16, 12]


@pytest.mark.parametrize("side", [15, 16, 17])
def test_same_padding_becomes_explicit_and_answers_stay(side: int) -> None:
    model = block(auto_pad=True, sides=("h", "w"))
    batch = pictures(2, side)
    before = run(model, batch)
    fix_size(model, (side, side))
    assert not any("auto_pad" in node.attributes for node in model.graph)
    pads = list(producers(model)["stem/conv"].attributes["pads"].as_ints())
    assert pads == ([0, 0, 1, 1] if side % 2 == 0 else [1, 1, 1, 1])
    np.testing.assert_allclose(run(model, batch), before, rtol=1e-5, atol=1e-5)


def test_same_padding_of_a_stride_stays_implicit_when_the_size_is_unknown() -> None:
    model = block(auto_pad=True, sides=("h", "w"))
    fix_size(model, None)
    nodes = producers(model)
    assert nodes["stem/conv"].attributes.get_string("auto_pad") == "SAME_UPPER"
    assert list(nodes["depthwise/conv"].attributes["pads"].as_ints()) == [1, 1, 1, 1]


def test_same_lower_puts_the_odd_zero_first() -> None:
    model = block(auto_pad=True, sides=("h", "w"))
    stem = producers(model)["stem/conv"]
    stem.attributes.add(ir.AttrString("auto_pad", "SAME_LOWER"))
    before = run(model, pictures())
    fix_size(model, (16, 16))
    assert list(stem.attributes["pads"].as_ints()) == [1, 1, 0, 0]
    np.testing.assert_allclose(run(model, pictures()), before, rtol=1e-5, atol=1e-5)


def test_valid_padding_becomes_zeros() -> None:
    model = block(auto_pad=True, sides=("h", "w"))
    stem = producers(model)["stem/conv"]
    stem.attributes.add(ir.AttrString("auto_pad", "VALID"))
    fix_size(model, (16, 16))
    assert list(stem.attributes["pads"].as_ints()) == [0, 0, 0, 0]
    assert _shape(stem.outputs[0]) == ["N", 8, 7, 7]


def test_another_size_than_the_models_is_refused_with_both() -> None:
    with pytest.raises(UsageError, match="16x16 pixels, 32x32 were asked for"):
        fix_size(block(), (32, 32))


def test_shapes_that_do_not_fit_are_one_error() -> None:
    model = block()
    weight = model.graph.initializers["project/w"]  # the sum with the skip needs 8 channels
    weight.const_value = ir.tensor(np.zeros((7, 16, 1, 1), np.float32), name="project/w")
    weight.shape = ir.Shape((7, 16, 1, 1))
    with pytest.raises(BuildError, match="do not fit at 16x16"):
        fix_size(model, (16, 16))
