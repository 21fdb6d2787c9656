from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgedeploy.graph import cost, operations
from edgedeploy.graph.cost import Cost, Gemm
from edgedeploy.graph.operations import Op, Tensor
from tests.graph.test_operations import SHAPE, model, quantised

if TYPE_CHECKING:
    import onnx

    from edgedeploy.graph.operations import Shape


def costs(nodes: list[onnx.NodeProto], **constants: Any) -> dict[str, Cost]:
    """What nodes cost, by what they put out."""
    found = cost.of(operations.from_onnx(model(nodes, **constants), SHAPE))
    return {each.op.names[-1]: each for each in found}


def weights(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def conv(out: str = "out", *more: str, source: str = "image", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, *(more or ("w",))], [out], **attributes)


def test_a_convolution_multiplies_each_weight_at_each_place() -> None:
    found = costs([conv("out", "w", "b", strides=[2, 2])], w=weights(8, 3, 4, 4), b=weights(8))
    only = found["out"]
    assert only.op.output == (1, 8, 7, 7)
    assert only.multiply_adds == 8 * 3 * 16 * 49
    assert only.parameters == 8 * 3 * 16 + 8
    assert only.memory_access_bytes == 4 * (3 * 256 + 8 * 49 + 8 * 3 * 16 + 8)
    assert only.gemm == Gemm(m=8, n=49, k=48, groups=1, is_gemm=False)
    assert only.kind == "standard"


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_a_1x1_convolution_accesses_hw_c1_and_c2_and_their_product(
    c1: int, c2: int, hw: int
) -> None:
    """ShuffleNet V2, equation 1: MAC = hw (c1 + c2) + c1 c2, in numbers."""
    op = Op(
        names=("c",),
        type="Conv",
        source=None,
        inputs=(Tensor((1, c1, hw, 1), 32),),
        constants=(Tensor((c2, c1, 1, 1), 32),),
        outputs=(Tensor((1, c2, hw, 1), 32),),
    )
    (only,) = cost.of([op])
    assert only.memory_access_bytes == 4 * (hw * (c1 + c2) + c1 * c2)
    assert only.multiply_adds == hw * c1 * c2
    assert only.intensity == only.multiply_adds / only.memory_access_bytes


@pytest.mark.parametrize(
    ("shape", "attributes", "kind", "gemm"),
    [
        ((6, 1, 3, 3), {"group": 3}, "depthwise", Gemm(2, 196, 9, 3, is_gemm=False)),
        ((6, 3, 1, 1), {}, "pointwise", Gemm(6, 256, 3, 1, is_gemm=True)),
        ((6, 3, 1, 1), {"strides": [2, 2]}, "pointwise", Gemm(6, 64, 3, 1, is_gemm=False)),
        ((6, 3, 1, 1), {"pads": [1] * 4}, "pointwise", Gemm(6, 324, 3, 1, is_gemm=False)),
        ((6, 3, 3, 3), {"dilations": [2, 2]}, "standard", Gemm(6, 144, 27, 1, is_gemm=False)),
        ((6, 3, 1, 3), {"auto_pad": "SAME_UPPER"}, "standard", Gemm(6, 256, 9, 1, is_gemm=False)),
    ],
)
def test_a_convolution_is_so_many_matrix_products(
    shape: tuple[int, ...], attributes: dict[str, Any], kind: str, gemm: Gemm
) -> None:
    only = costs([conv(**attributes)], w=weights(*shape))["out"]
    assert (only.kind, only.gemm) == (kind, gemm)
    assert only.multiply_adds == gemm.m * gemm.n * gemm.k * gemm.groups


def test_groups_that_mix_channels_are_neither_depthwise_nor_pointwise() -> None:
    nodes = [conv("a", "w"), conv("out", "v", source="a", group=2)]
    found = costs(nodes, w=weights(8, 3, 1, 1), v=weights(8, 4, 1, 1))["out"]
    assert (found.kind, found.multiply_adds) == ("group", 256 * 8 * 4)
    assert found.gemm == Gemm(4, 256, 4, 2, is_gemm=False)


def test_a_transposed_convolution_multiplies_at_each_place_of_its_input() -> None:
    node = helper.make_node("ConvTranspose", ["image", "w"], ["out"], strides=[2, 2])
    only = costs([node], w=weights(3, 5, 2, 2))["out"]
    assert only.op.output == (1, 5, 32, 32)
    assert only.multiply_adds == 256 * 3 * 5 * 4
    assert only.gemm == Gemm(m=20, n=256, k=3, groups=1, is_gemm=False)


@pytest.mark.parametrize("form", ["Gemm", "MatMul", "Conv"])
def test_a_classifier_costs_the_same_in_each_form(form: str) -> None:
    pool = helper.make_node("GlobalAveragePool", ["image"], ["p"])
    flat = helper.make_node("Flatten", ["p"], ["f"])
    if form == "Gemm":
        nodes = [pool, flat, helper.make_node("Gemm", ["f", "w", "b"], ["out"], transB=1)]
        found = costs(nodes, w=weights(10, 3), b=weights(10))["out"]
    elif form == "MatMul":
        product = helper.make_node("MatMul", ["f", "w"], ["y"])
        nodes = [pool, flat, product, helper.make_node("Add", ["y", "b"], ["out"])]
        found = costs(nodes, w=weights(3, 10), b=weights(10))["y"]
    else:
        nodes = [pool, conv("out", "w", "b", source="p")]
        found = costs(nodes, w=weights(10, 3, 1, 1), b=weights(10))["out"]
    assert (found.kind, found.multiply_adds, found.parameters) == ("fully connected", 30, 40)
    assert found.gemm == Gemm(m=10, n=1, k=3, groups=1, is_gemm=True)


def test_batch_norm_has_two_parameters_a_channel_and_multiplies_nothing_that_counts() -> None:
    node = helper.make_node("BatchNormalization", ["image", "g", "b", "m", "v"], ["out"])
    only = costs([node], g=weights(3), b=weights(3), m=weights(3), v=weights(3))["out"]
    assert (only.kind, only.multiply_adds, only.parameters) == ("elementwise", 0, 6)
    assert only.memory_access_bytes == 4 * (2 * 768 + 12)


def test_shared_weights_are_counted_once_and_multiplied_each_time() -> None:
    nodes = [conv("a", "w"), conv("out", "w", source="a")]
    found = costs(nodes, w=weights(3, 3, 1, 1))
    assert [each.parameters for each in found.values()] == [9, 0]
    assert [each.multiply_adds for each in found.values()] == [9 * 256] * 2


def test_q_and_dq_cost_nothing_and_the_layer_between_them_is_of_integers() -> None:
    found = {each.op.names[-1]: each for each in cost.of(operations.from_onnx(quantised(), SHAPE))}
    assert [name for name, each in found.items() if each.is_free] == ["iq", "i", "cq", "out"]
    assert all(each.memory_access_bytes == 0 for each in found.values() if each.is_free)
    assert found["c"].parameters == 12
    assert found["c"].memory_access_bytes == 3 * 256 + 12 + 4 * 256


def test_a_product_of_two_activations_multiplies_and_has_no_parameters() -> None:
    only = costs([helper.make_node("MatMul", ["image", "image"], ["out"])])["out"]
    assert (only.kind, only.multiply_adds, only.parameters) == ("other", 3 * 16**3, 0)
    assert only.gemm is None


def test_what_cannot_be_counted_is_not_known() -> None:
    einsum = helper.make_node("Einsum", ["image", "w"], ["out"], equation="nchw,cd->ndhw")
    assert costs([einsum], w=weights(3, 5))["out"].multiply_adds is None
    mystery = helper.make_node("Conv", ["image", "w"], ["m"], domain="of.mine")
    both = costs([mystery, conv(source="m")], w=weights(8, 3, 3, 3))
    assert both["m"].multiply_adds is None
    found = both["out"]
    assert (found.multiply_adds, found.memory_access_bytes, found.gemm) == (None, None, None)
    assert found.intensity is None
    assert (both["m"].parameters, found.parameters) == (0, 216)


def test_weights_made_from_the_image_are_no_parameters() -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["p"]),
        helper.make_node("Conv", ["image", "p"], ["out"]),
    ]
    only = costs(nodes)["out"]
    assert (only.kind, only.multiply_adds, only.parameters) == ("other", None, 0)


def products(nodes: list[onnx.NodeProto], **constants: Any) -> Cost:
    """What the last of some nodes costs; shapes to come from ``to``."""
    return list(costs(nodes, **constants).values())[-1]


def reshaped(*shape: int) -> Any:
    return np.array(shape, np.int64)


RESHAPE = helper.make_node("Reshape", ["image", "to"], ["r"])


def test_rows_of_a_gemm_count_where_the_first_axis_is_tokens() -> None:
    gemm = helper.make_node("Gemm", ["r", "w"], ["out"])
    only = products([RESHAPE, gemm], to=reshaped(-1, 16), w=weights(16, 32))
    assert only.multiply_adds == 48 * 16 * 32
    assert only.gemm == Gemm(m=32, n=48, k=16, groups=1, is_gemm=True)


@pytest.mark.parametrize(
    ("turns", "shape", "kernel"),
    [
        ({}, (48, 16), (16, 32)),
        ({"transB": 1}, (48, 16), (32, 16)),
        ({"transA": 1}, (16, 48), (16, 32)),
        ({"transA": 1, "transB": 1}, (16, 48), (32, 16)),
        ({"transB": 1}, (48, 16), (16, 16)),
    ],
)
def test_a_gemm_counts_the_same_however_its_matrices_lie(
    turns: dict[str, Any], shape: tuple[int, ...], kernel: tuple[int, ...]
) -> None:
    gemm = helper.make_node("Gemm", ["r", "w"], ["out"], **turns)
    only = products([RESHAPE, gemm], to=reshaped(*shape), w=weights(*kernel))
    assert only.multiply_adds == 48 * kernel[0] * kernel[1]


@pytest.mark.parametrize(
    ("first", "to", "kernel", "multiply_adds", "gemm"),
    [
        ("r", (24, 1, 32), (32, 5), 24 * 32 * 5, Gemm(5, 24, 32, 1, is_gemm=True)),
        ("r", (1, 4, 12, 16), (4, 16, 5), 4 * 12 * 16 * 5, Gemm(5, 12, 16, 4, is_gemm=True)),
        ("w", (1, 32, 24), (5, 32), 5 * 32 * 24, Gemm(5, 24, 32, 1, is_gemm=True)),
        ("w", (3, 16, 16), (16, 16), 3 * 16**3, Gemm(16, 48, 16, 1, is_gemm=True)),
    ],
    ids=["sequence first", "batched weights", "weights first", "square"],
)
def test_a_matrix_product_has_its_outputs_times_their_depth(
    first: str, to: tuple[int, ...], kernel: tuple[int, ...], multiply_adds: int, gemm: Gemm
) -> None:
    inputs = ["w", "r"] if first == "w" else ["r", "w"]
    product = helper.make_node("MatMul", inputs, ["out"])
    only = products([RESHAPE, product], to=reshaped(*to), w=weights(*kernel))
    assert (only.multiply_adds, only.gemm) == (multiply_adds, gemm)


def test_heads_on_the_first_axis_count_in_a_product_of_two_activations() -> None:
    nodes = [
        RESHAPE,
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["t", "r"], ["out"]),
    ]
    assert products(nodes, to=reshaped(4, 4, 48)).multiply_adds == 4 * 48 * 4 * 48


def test_a_product_with_a_vector_sums_all_of_it() -> None:
    product = helper.make_node("MatMul", ["image", "v"], ["out"])
    assert products([product], v=weights(16)).multiply_adds == 3 * 16 * 16


def product(read: Shape | None, kernel: Shape, out: Shape | None) -> Cost:
    op = Op(
        names=("g",),
        type="MatMulNBits",
        source=None,
        inputs=(Tensor(read),),
        constants=(Tensor(kernel),),
        outputs=(Tensor(out),),
    )
    return cost.of([op])[0]


@pytest.mark.parametrize(
    ("read", "out"), [((48, 16), (48, 4)), (None, (48, 4)), ((48, 16), None), ((48, None), (48, 4))]
)
def test_a_product_whose_sizes_do_not_fit_is_not_known(
    read: Shape | None, out: Shape | None
) -> None:
    only = product(read, (4, 2, 8), out)
    assert (only.multiply_adds, only.gemm) == (None, None)


def test_nothing_times_something_is_nothing() -> None:
    assert product((0, 16), (16, 32), (0, 32)).multiply_adds == 0


def test_windows_on_the_first_axis_count_in_a_convolution() -> None:
    nodes = [RESHAPE, conv(source="r")]
    only = products(nodes, to=reshaped(4, 3, 8, 8), w=weights(8, 3, 1, 1))
    assert only.multiply_adds == 4 * 64 * 24
    # four matrices, not one
    assert only.gemm == Gemm(m=8, n=256, k=3, groups=1, is_gemm=False)


def test_one_number_added_to_all_channels_is_no_bias() -> None:
    nodes = [
        conv("c"),
        helper.make_node("Add", ["c", "three"], ["a"]),
        helper.make_node("Clip", ["a", "zero", "six"], ["out"]),
    ]
    scalars = {"three": np.float32(3), "zero": np.float32(0), "six": np.float32(6)}
    assert costs(nodes, w=weights(8, 3, 1, 1), **scalars)["c"].parameters == 24
    assert costs(nodes, w=weights(1, 3, 1, 1), **scalars)["c"].parameters == 3


def test_a_number_for_each_channel_is_a_bias() -> None:
    nodes = [conv("c"), helper.make_node("Add", ["c", "b"], ["out"])]
    found = costs(nodes, w=weights(8, 3, 1, 1), b=weights(8, 1, 1))
    assert found["c"].parameters == 32


def test_weights_stored_in_half_precision_are_read_as_two_bytes() -> None:
    nodes = [helper.make_node("Cast", ["h"], ["w"], to=TensorProto.FLOAT), conv()]
    only = costs(nodes, h=np.ones((8, 3, 1, 1), np.float16))["out"]
    assert only.memory_access_bytes == 4 * (3 * 256 + 8 * 256) + 2 * 24


def test_a_bias_of_unknown_shape_leaves_the_parameters_unknown() -> None:
    ops = [
        Op(
            names=("g",),
            type="Gemm",
            source=None,
            inputs=(Tensor((1, 16)),),
            constants=(Tensor((16, 32)),),
            outputs=(Tensor((1, 32)),),
        ),
        Op(
            names=("a",),
            type="Add",
            source=0,
            inputs=(Tensor((1, 32)),),
            constants=(Tensor(None),),
            outputs=(Tensor((1, 32)),),
        ),
    ]
    assert [each.parameters for each in cost.of(ops)] == [None, 0]
