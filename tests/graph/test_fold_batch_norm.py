from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import helper, numpy_helper

from edgedeploy.graph.float16 import to_float16
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from tests.converting.networks import stored_as_float16
from tests.graph.networks import block, kinds, pictures, producers, run


def test_answers_stay_and_no_batch_norm_is_left() -> None:
    model = block(norm=True)
    before = run(model, pictures(), optimise=False)
    fold_batch_norm(model)
    assert "BatchNormalization" not in kinds(model)
    np.testing.assert_allclose(run(model, pictures(), optimise=False), before, rtol=1e-4, atol=1e-5)


def test_the_convolution_takes_over_the_name_that_ranges_go_by() -> None:
    model = block(norm=True)
    fold_batch_norm(model)
    assert producers(model)["project/norm"].op_type == "Conv"
    assert not any(name.endswith(("gamma", "variance")) for name in model.graph.initializers)


def test_a_bias_of_the_convolution_is_folded_too() -> None:
    model = block(norm=True)
    convolution = producers(model)["project/conv"]
    bias = ir.Value(
        name="bias",
        shape=ir.Shape([8]),
        type=ir.TensorType(ir.DataType.FLOAT),
        const_value=ir.tensor(np.arange(8, dtype=np.float32), name="bias"),
    )
    model.graph.register_initializer(bias)
    convolution.resize_inputs(3)
    convolution.replace_input_with(2, bias)
    before = run(model, pictures(), optimise=False)
    fold_batch_norm(model)
    np.testing.assert_allclose(run(model, pictures(), optimise=False), before, rtol=1e-4, atol=1e-5)


def test_a_norm_stays_when_its_convolution_has_another_reader() -> None:
    model = block(norm=True)
    model.graph.outputs.append(producers(model)["project/conv"].outputs[0])
    before = run(model, pictures(), optimise=False)
    fold_batch_norm(model)
    assert kinds(model).count("BatchNormalization") == 1
    np.testing.assert_allclose(run(model, pictures(), optimise=False), before, rtol=1e-4, atol=1e-5)


def test_a_norm_at_the_end_gives_the_output_its_name() -> None:
    model = block(norm=True)
    graph = model.graph
    graph.outputs[:] = [producers(model)["head/norm"].outputs[0]]
    fold_batch_norm(model)
    assert [value.name for value in graph.outputs] == ["head/norm"]
    assert run(model, pictures(1)).shape == (1, 12, 8, 8)


def test_float16_convolutions_stay_float16() -> None:
    model = block(norm=True)
    for node in model.graph:
        for value in node.outputs:
            value.type = ir.TensorType(ir.DataType.FLOAT)
    to_float16(model)
    before = run(model, pictures(), optimise=False)
    fold_batch_norm(model)
    assert "BatchNormalization" not in kinds(model)
    np.testing.assert_allclose(run(model, pictures(), optimise=False), before, atol=0.05)


def test_kernels_stored_as_float16_are_stored_so_again() -> None:
    model = stored_as_float16(block(norm=True))
    before = run(model, pictures(), optimise=False)
    fold_batch_norm(model)
    assert "BatchNormalization" not in kinds(model)
    folded = {n: v.dtype for n, v in model.graph.initializers.items() if n.endswith("/folded")}
    assert len(folded) == 5
    assert set(folded.values()) == {ir.DataType.FLOAT16}
    assert "stem/w/half" not in model.graph.initializers
    np.testing.assert_allclose(run(model, pictures(), optimise=False), before, atol=0.02)


def test_a_folded_kernel_beyond_float16_is_stored_as_float32() -> None:
    model = stored_as_float16(block(norm=True))
    scale = model.graph.initializers["head/gamma"]
    scale.const_value = ir.tensor(np.full(12, 1e6, np.float32), name=scale.name)
    before = run(model, pictures(), optimise=False)
    fold_batch_norm(model)
    assert model.graph.initializers["head/w/folded"].dtype == ir.DataType.FLOAT
    np.testing.assert_allclose(run(model, pictures(), optimise=False), before, rtol=0.01, atol=1)


def test_a_kernel_stored_as_integers_is_not_folded() -> None:
    model = block(norm=True)
    proto = ir.serde.serialize_model(model)
    weight = next(tensor for tensor in proto.graph.initializer if tensor.name == "head/w")
    whole = np.ones(tuple(weight.dims), np.int8)
    weight.CopyFrom(numpy_helper.from_array(whole, "head/int8"))
    proto.graph.node.insert(0, helper.make_node("Cast", ["head/int8"], ["head/w"], to=1))
    model = ir.serde.deserialize_model(proto)
    before = run(model, pictures(), optimise=False)
    fold_batch_norm(model)
    assert kinds(model).count("BatchNormalization") == 1
    np.testing.assert_allclose(run(model, pictures(), optimise=False), before, rtol=1e-4, atol=1e-4)
