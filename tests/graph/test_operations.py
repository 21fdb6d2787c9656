from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.graph import operations
from edgedeploy.graph.operations import Op, Tensor
from tests.graph.networks import block, mixed

if TYPE_CHECKING:
    import onnx

SHAPE = (1, 3, 16, 16)


def model(nodes: list[onnx.NodeProto], **constants: Any) -> onnx.ModelProto:
    """Nodes from ``image`` to ``out``."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "S", "S"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    made = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    graph = helper.make_graph(nodes, "g", [image], [out], made)
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("of.mine", 1)],
        ir_version=10,
    )


def by_name(found: tuple[Op, ...]) -> dict[str, Op]:
    return {op.names[-1]: op for op in found}


def test_shapes_that_the_file_leaves_out_are_inferred_for_one_image() -> None:
    proto = ir.serde.serialize_model(block(sides=("h", "w"), output_shape=False))
    found = by_name(operations.from_onnx(proto, SHAPE))
    assert found["depthwise/conv"].output == (1, 16, 8, 8)
    assert found["logits"].output == (1, 5)
    assert found["add"].inputs[1].shape == (1, 8, 8, 8)
    assert found["stem/conv"].source is None
    assert found["stem/act"].source == 0


def test_the_model_is_left_as_it_is() -> None:
    proto = ir.serde.serialize_model(block(sides=("h", "w")))
    before = proto.SerializeToString(deterministic=True)
    operations.from_onnx(proto, SHAPE)
    assert proto.SerializeToString(deterministic=True) == before


def test_constants_may_be_nodes() -> None:
    one, two = (
        operations.from_onnx(ir.serde.serialize_model(mixed(constants=constants)), SHAPE)
        for constants in (False, True)
    )
    assert [(op.names, op.constants, op.output) for op in one] == [
        (op.names, op.constants, op.output) for op in two
    ]


def test_weights_behind_dequantize_are_constants_of_one_byte_and_so_are_activations() -> None:
    found = by_name(operations.from_onnx(quantised(), SHAPE))
    assert list(found) == ["iq", "i", "c", "cq", "out"]
    conv = found["c"]
    assert conv.constants == (Tensor((4, 3, 1, 1), 8, "w"),)
    assert (conv.inputs[0].shape, conv.inputs[0].bits) == ((1, 3, 16, 16), 8)
    assert conv.outputs[0].bits == 8
    assert conv.inputs[0].size_bytes == 3 * 16 * 16


def quantised() -> onnx.ModelProto:
    return model(
        [
            helper.make_node("QuantizeLinear", ["image", "s", "z"], ["iq"]),
            helper.make_node("DequantizeLinear", ["iq", "s", "z"], ["i"]),
            helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wf"]),
            helper.make_node("Conv", ["i", "wf"], ["c"]),
            helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"]),
            helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["out"]),
        ],
        w=np.ones((4, 3, 1, 1), np.int8),
        s=np.float32(0.1),
        z=np.int8(0),
    )


def test_four_bits_are_half_a_byte() -> None:
    assert Tensor((3, 3), 4).size_bytes == 5
    assert Tensor((3, 3), None).size_bytes is None
    assert Tensor(None, 8).size_bytes is None


def test_a_convolution_of_integers_has_no_scales_among_its_constants() -> None:
    names = ["iq", "s", "z", "w", "s", "z", "s", "z", "b"]
    proto = model(
        [
            helper.make_node("QuantizeLinear", ["image", "s", "z"], ["iq"]),
            helper.make_node("QLinearConv", names, ["c"]),
            helper.make_node("DequantizeLinear", ["c", "s", "z"], ["out"]),
        ],
        w=np.ones((4, 3, 1, 1), np.int8),
        b=np.ones(4, np.int32),
        s=np.float32(0.1),
        z=np.int8(0),
    )
    conv = by_name(operations.from_onnx(proto, SHAPE))["c"]
    assert [(each.name, each.bits) for each in conv.constants] == [("w", 8), ("b", 32)]


def test_weights_that_are_turned_on_the_way_keep_their_name() -> None:
    proto = model(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Transpose", ["w"], ["turned"]),
            helper.make_node("MatMul", ["f", "turned"], ["out"]),
        ],
        w=np.ones((100, 3), np.float32),
    )
    (weight,) = by_name(operations.from_onnx(proto, SHAPE))["out"].constants
    assert weight == Tensor((3, 100), 32, "w")


def test_shapes_of_shapes_are_no_activations() -> None:
    proto = model(
        [
            helper.make_node("Shape", ["image"], ["s"]),
            helper.make_node("Reshape", ["image", "s"], ["out"]),
        ]
    )
    (only,) = operations.from_onnx(proto, SHAPE)
    assert (only.type, only.output) == ("Reshape", SHAPE)


def test_an_operator_that_nobody_knows_has_no_shape() -> None:
    proto = model([helper.make_node("Mystery", ["image"], ["out"], domain="of.mine")])
    (only,) = operations.from_onnx(proto, SHAPE)
    assert (only.type, only.output, only.outputs[0].size_bytes) == ("of.mine.Mystery", None, None)


def test_an_input_with_other_sides_is_a_value_error() -> None:
    proto = model([helper.make_node("Relu", ["image"], ["out"])])
    with pytest.raises(ValueError, match="zip"):
        operations.from_onnx(proto, (1, 3, 16))


@pytest.mark.parametrize("groups", [0, -1])
def test_a_convolution_without_groups_is_a_value_error(groups: int) -> None:
    weight = np.ones((4, 3, 1, 1), np.float32)
    proto = model([helper.make_node("Conv", ["image", "w"], ["out"], group=groups)], w=weight)
    with pytest.raises(ValueError, match=f"out has {groups} groups"):
        operations.from_onnx(proto, SHAPE)


def test_weights_have_the_bits_of_the_file_behind_casts_and_what_turns_them() -> None:
    proto = model(
        [
            helper.make_node("Cast", ["half"], ["w"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["w"], ["turned"]),
            helper.make_node("Flatten", ["image"], ["f"]),
            helper.make_node("MatMul", ["f", "turned"], ["out"]),
        ],
        half=np.ones((5, 768), np.float16),
    )
    (weight,) = by_name(operations.from_onnx(proto, SHAPE))["out"].constants
    assert weight == Tensor((768, 5), 16, "half")


def test_weights_quantised_in_the_graph_are_integers() -> None:
    proto = model(
        [
            helper.make_node("QuantizeLinear", ["w", "s", "z"], ["wq"]),
            helper.make_node("DequantizeLinear", ["wq", "s", "z"], ["wf"]),
            helper.make_node("Conv", ["image", "wf"], ["out"]),
        ],
        w=np.ones((4, 3, 1, 1), np.float32),
        s=np.float32(0.1),
        z=np.int8(0),
    )
    (weight,) = by_name(operations.from_onnx(proto, SHAPE))["out"].constants
    assert weight == Tensor((4, 3, 1, 1), 8, "w")


@pytest.mark.parametrize(("side", "images"), [("N", 1), (0, 1), (4, 4)])
def test_a_batch_that_the_file_leaves_open_is_one_image(side: Any, images: int) -> None:
    proto = model([helper.make_node("Relu", ["image"], ["out"])])
    dim = proto.graph.input[0].type.tensor_type.shape.dim[0]
    if isinstance(side, int):
        dim.dim_value = side
    assert operations.batch_of(proto) == images
