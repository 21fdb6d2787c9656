from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgedeploy.graph.float16 import to_float16
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
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
