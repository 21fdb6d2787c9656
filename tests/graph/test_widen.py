from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

from edgedeploy.graph.widen import widen
from tests.graph.half import pair
from tests.models import stem


def test_a_cast_of_stored_weights_becomes_the_weights() -> None:
    stored, wide = (ir.serde.deserialize_model(proto) for proto in pair())
    widen(stored)
    assert [node.op_type for node in stored.graph] == [node.op_type for node in wide.graph]
    assert set(stored.graph.initializers) == set(wide.graph.initializers)
    for name, value in wide.graph.initializers.items():
        found = stored.graph.initializers[name].const_value
        assert found is not None
        assert value.const_value is not None
        np.testing.assert_array_equal(found.numpy(), value.const_value.numpy())
    onnx.checker.check_model(ir.serde.serialize_model(stored), full_check=True)


def test_a_cast_of_what_depends_on_the_input_stays() -> None:
    proto = stem()
    proto.graph.node[0].input[0] = "wide"
    proto.graph.node.insert(0, helper.make_node("Cast", ["image"], ["wide"], to=TensorProto.FLOAT))
    model = ir.serde.deserialize_model(proto)
    widen(model)
    assert next(iter(model.graph)).op_type == "Cast"
