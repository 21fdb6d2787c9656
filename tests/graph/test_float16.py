from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgedeploy.errors import BuildError
from edgedeploy.graph.float16 import to_float16
from edgedeploy.graph.shapes import fix_size
from tests.graph.networks import block, pictures, producers, run


def _prepared(**form: bool | str) -> ir.Model:
    model = block(**form)  # type: ignore[arg-type]  # the arguments of `block`
    fix_size(model, (16, 16))
    return model


def _set(model: ir.Model, name: str, array: np.ndarray) -> None:
    model.graph.initializers[name].const_value = ir.tensor(array.astype(np.float32), name=name)


@pytest.mark.parametrize("form", [{}, {"norm": True}, {"gemm": "Gemm"}, {"softmax": True}])
def test_answers_stay_close_between_float32_ends(form: dict[str, bool | str]) -> None:
    model = _prepared(**form)
    before = run(model, pictures())
    name = model.graph.outputs[0].name
    to_float16(model)
    proto = ir.serde.serialize_model(model)
    onnx.checker.check_model(proto, full_check=True)
    assert model.graph.inputs[0].dtype == model.graph.outputs[0].dtype == ir.DataType.FLOAT
    assert (model.graph.inputs[0].name, model.graph.outputs[0].name) == ("image", name)
    assert all(v.dtype != ir.DataType.FLOAT for v in model.graph.initializers.values())
    after = run(model, pictures())
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, before, rtol=0.02, atol=0.02)


def test_a_weight_beyond_float16_is_named() -> None:
    model = _prepared()
    _set(model, "head/b", np.full(12, 70000.0))
    with pytest.raises(BuildError, match=r"head/b holds 70000, float16 ends at 65504"):
        to_float16(model)
    assert all(v.dtype == ir.DataType.FLOAT for v in model.graph.initializers.values())


def test_a_weight_that_is_not_a_number_is_refused() -> None:
    model = _prepared()
    _set(model, "head/b", np.full(12, np.nan))
    with pytest.raises(BuildError, match="head/b holds nan"):
        to_float16(model)


def test_a_bound_of_the_largest_float32_means_no_bound() -> None:
    model = _prepared()
    _set(model, "high", np.asarray(np.finfo(np.float32).max))
    before = run(model, pictures())
    to_float16(model)
    np.testing.assert_allclose(run(model, pictures()), before, rtol=0.02, atol=0.02)


def test_casts_and_filled_constants_inside_follow() -> None:
    model = _prepared()
    graph, head = model.graph, producers(model)["head/act"]
    shape = ir.node("Shape", [head.outputs[0]])
    ones = ir.node(
        "ConstantOfShape", [shape.outputs[0]], {"value": ir.tensor(np.ones(1, np.float32))}
    )
    cast = ir.node("Cast", [ones.outputs[0]], {"to": int(ir.DataType.FLOAT)})
    scaled = ir.node("Mul", [head.outputs[0], cast.outputs[0]])
    for node in (ones, cast, scaled):
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    pool = producers(model)["pool"]
    graph.insert_before(pool, (shape, ones, cast, scaled))
    pool.replace_input_with(0, scaled.outputs[0])
    before = run(model, pictures())
    to_float16(model)
    np.testing.assert_allclose(run(model, pictures()), before, rtol=0.02, atol=0.02)
