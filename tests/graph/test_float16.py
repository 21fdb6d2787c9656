from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import BuildError
from edgedeploy.graph.constants import array_of
from edgedeploy.graph.float16 import to_float16
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.opset import convert
from edgedeploy.graph.qdq import quantise
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import activations
from tests.graph.networks import block, kinds, mixed, pictures, producers, ranges, run


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


def _typed(model: ir.Model, *, half: bool = True, floats: tuple[str, ...] = ()) -> ir.Model:
    """INT8 for a strongly typed network; without ``half`` the same with float32 around it."""
    model = convert(model, oldest=19)
    fix_size(model, (16, 16))
    fold_batch_norm(model)
    found = ranges(activations(model))
    quantise(model, found, QdqStyle.S8, floats=floats, half=True)
    if half:
        to_float16(model)
    return model


def test_between_quantised_layers_everything_is_float16() -> None:
    for model in (_typed(block(norm=True)), _typed(block(softmax=True, gemm="MatMul"))):
        graph = model.graph
        onnx.checker.check_model(ir.serde.serialize_model(model), full_check=True)
        floats = [v.name for v in graph.initializers.values() if v.dtype == ir.DataType.FLOAT]
        assert floats == ["image/scale/float32"]
        assert [v.name for n in graph for v in n.outputs if v.dtype == ir.DataType.FLOAT] == [
            graph.outputs[0].name
        ]
        assert {n.outputs[0].dtype for n in graph if n.op_type in ("Add", "DequantizeLinear")} == {
            ir.DataType.FLOAT16
        }


def test_a_quantised_input_is_read_in_float32_and_never_cast() -> None:
    model = _typed(block())
    (reader,) = model.graph.inputs[0].consumers()
    assert reader.op_type == "QuantizeLinear"
    assert kinds(model).count("Cast") == 1  # the output's
    own, others = reader.inputs[1], producers(model)["image/dequantized"].inputs[1]
    assert float(np.asarray(array_of(own))) == float(np.asarray(array_of(others)))


@pytest.mark.parametrize("form", ["block", "mixed", "left in float"])
def test_int8_answers_stay_close_to_those_in_float32(form: str) -> None:
    network = mixed if form == "mixed" else block
    floats = ("head/conv",) if form == "left in float" else ()
    typed, wanted = (_typed(network(), half=half, floats=floats) for half in (True, False))
    np.testing.assert_allclose(
        run(typed, pictures(), optimise=False),
        run(wanted, pictures(), optimise=False),
        rtol=0.03,
        atol=0.03,
    )
