from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper, numpy_helper

from edgedeploy.graph import dac
from edgedeploy.graph.float16 import to_float16
from tests.graph.networks import Sketch, block, kinds, mixed, pictures, producers, run

if TYPE_CHECKING:
    from edgedeploy.types import Array

WEIGHTS = st.tuples(
    st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)
).flatmap(
    lambda shape: hnp.arrays(
        np.float32, shape, elements=st.floats(-4, 4, width=32, allow_subnormal=False)
    )
)


def single(
    shape: tuple[int, ...], *, bias: bool = True, auto_pad: bool = False, **attributes: Any
) -> ir.Model:
    """One convolution of an image, ``c``, and a ReLU."""
    graph = Sketch(auto_pad=auto_pad)
    value = graph.convolve("image", "c", shape, act="Relu", bias=bias, **attributes)
    return graph.model(value, output_shape=None)


def full(model: ir.Model) -> dict[str, int]:
    """The full rank of every layer that can be decomposed."""
    found = dac.convertible(model)
    return {name: dac.full_rank(dac.weight_of(node).shape) for name, node in found.items()}


def rebuilt(factors: dac.Factors) -> Array:
    """The weights of the one convolution that computes what the two do."""
    out, wide = factors.pointwise.shape[:2]
    kernel = factors.depthwise.shape[2:]
    left = factors.pointwise.reshape(out, wide)
    right = factors.depthwise.reshape(wide, -1)
    terms = left[:, :, None] * right  # (out, in · rank, kernel), before the sum over ranks
    result: Array = terms.reshape(out, wide, *kernel)
    return result


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((8, 3, 3, 3), {}),
        ((8, 3, 3, 3), {"strides": [2, 2], "pads": [0, 1, 1, 0]}),
        ((4, 3, 3, 3), {"dilations": [2, 2], "pads": [2] * 4}),
        ((16, 3, 5, 5), {"strides": [2, 1], "pads": [2] * 4}),
        ((6, 3, 1, 7), {"pads": [0, 3, 0, 3]}),
        ((12, 3, 7, 1), {"pads": [3, 0, 3, 0]}),
        ((8, 3, 3, 3), {"auto_pad": True, "strides": [2, 2]}),
        ((1, 3, 3, 3), {"kernel_shape": [3, 3]}),
    ],
)
def test_full_rank_gives_the_same_outputs(
    shape: tuple[int, ...], attributes: dict[str, Any], *, bias: bool
) -> None:
    model = single(shape, bias=bias, **attributes)
    before = run(model, pictures())
    dac.decompose(model, full(model))
    assert kinds(model) == ["Conv", "Conv", "Relu"]
    np.testing.assert_allclose(run(model, pictures()), before, atol=1e-4)


def test_full_rank_of_a_network_gives_the_same_outputs() -> None:
    model = mixed()
    before = run(model, pictures())
    dac.decompose(model, full(model))
    np.testing.assert_allclose(run(model, pictures()), before, atol=1e-4)
    onnx.checker.check_model(ir.serde.serialize_model(model), full_check=True)


def test_only_standard_convolutions_are_convertible() -> None:
    assert list(dac.convertible(mixed())) == ["stem/conv", "head/conv"]
    assert list(dac.convertible(block())) == ["stem/conv"]


def test_the_depthwise_takes_the_geometry_and_the_pointwise_the_rest() -> None:
    model = single((8, 3, 3, 3), strides=[2, 2], dilations=[2, 2], pads=[0, 1, 2, 3])
    bias = producers(model)["c/conv"].inputs[2]
    dac.decompose(model, {"c/conv": 2})
    first, second = list(model.graph)[:2]
    assert (first.name, second.name) == ("c/conv/dac_depthwise", "c/conv/dac_pointwise")
    assert first.attributes.get_ints("pads") == (0, 1, 2, 3)
    assert first.attributes.get_int("group") == 3
    assert dac.weight_of(first).shape == (6, 1, 3, 3)
    assert len(first.inputs) == 2
    assert set(second.attributes) == {"kernel_shape"}
    assert dac.weight_of(second).shape == (8, 6, 1, 1)
    assert second.inputs[2] is bias
    assert second.outputs[0].name == "c/conv"
    assert [name for name in model.graph.initializers if name.startswith("c/conv")] == [
        "c/conv/dac_depthwise/weight", "c/conv/dac_pointwise/weight",
    ]  # fmt: skip
    assert "c/w" not in model.graph.initializers


def test_weights_in_constant_nodes_are_found_too() -> None:
    model = mixed(constants=True)
    before = run(model, pictures())
    dac.decompose(model, full(model))
    np.testing.assert_allclose(run(model, pictures()), before, atol=1e-4)


def test_layers_that_share_weights_share_factors_and_others_keep_them() -> None:
    graph = Sketch()
    value = graph.convolve("image", "a", (3, 3, 3, 3))
    for name in ("b", "c"):
        value = graph.node("Conv", [value, "a/w"], f"{name}/conv", pads=[1] * 4)
    model = graph.model(value, output_shape=None)
    before = run(model, pictures())
    kept = model.clone()
    dac.decompose(model, {"a/conv": 3, "b/conv": 3, "c/conv": 2})
    constants = {name: v.shape for name, v in model.graph.initializers.items() if "dac" in name}
    assert len(constants) == 4  # two of rank 3, shared, and two of rank 2
    assert "a/w" not in model.graph.initializers
    dac.decompose(kept, {"b/conv": 3})
    assert "a/w" in kept.graph.initializers
    np.testing.assert_allclose(run(kept, pictures()), before, atol=1e-4)


def test_nodes_without_names_are_called_as_their_outputs() -> None:
    model = mixed()
    for node in model.graph:
        node.name = ""
    assert list(dac.convertible(model)) == ["stem/conv", "head/conv"]
    for node in model.graph:
        node.name = "all the same"
    assert list(dac.convertible(model)) == ["stem/conv", "head/conv"]


def test_float16_weights_stay_float16() -> None:
    model = mixed()
    for node in model.graph:
        for value in node.outputs:
            value.type = ir.TensorType(ir.DataType.FLOAT)
    to_float16(model)
    before = run(model, pictures())
    dac.decompose(model, full(model))
    depthwise = model.graph.initializers["stem/conv/dac_depthwise/weight"]
    assert depthwise.dtype == ir.DataType.FLOAT16
    np.testing.assert_allclose(run(model, pictures()), before, atol=0.02)


def test_weights_stored_as_float16_are_stored_so_again() -> None:
    model = single((8, 3, 3, 3))
    proto = ir.serde.serialize_model(model)
    weight = next(t for t in proto.graph.initializer if t.name == "c/w")
    half = numpy_helper.to_array(weight).astype(np.float16)
    weight.CopyFrom(numpy_helper.from_array(half, "c/half"))
    proto.graph.node.insert(0, helper.make_node("Cast", ["c/half"], ["c/w"], to=1))
    model = ir.serde.deserialize_model(proto)
    before = run(model, pictures())
    dac.decompose(model, full(model))
    assert kinds(model) == ["Cast", "Cast", "Conv", "Conv", "Relu"]
    assert "c/half" not in model.graph.initializers
    assert all(
        value.dtype == ir.DataType.FLOAT16
        for name, value in model.graph.initializers.items()
        if "dac" in name
    )
    np.testing.assert_allclose(run(model, pictures()), before, atol=0.02)


@given(weight=WEIGHTS)
def test_the_error_is_the_tail_of_the_spectrum_and_falls_with_rank(weight: Array) -> None:
    out, channels, *kernel = weight.shape
    values = dac.spectra(weight)
    assert values.shape == (channels, dac.full_rank(weight.shape))
    last = math.inf
    for rank in range(1, dac.full_rank(weight.shape) + 1):
        terms = rebuilt(dac.factorise(weight, rank))
        summed = terms.reshape(out, channels, rank, *kernel).sum(axis=2)
        error = float(np.linalg.norm(weight - summed))
        tail = math.sqrt(float(np.square(values[:, rank:]).sum()))
        assert error == pytest.approx(tail, abs=1e-4)
        assert error <= last + 1e-6
        last = error
    assert last == pytest.approx(0.0, abs=1e-4)


@given(weight=WEIGHTS)
def test_signs_are_fixed_and_singular_values_split_evenly(weight: Array) -> None:
    rank = dac.full_rank(weight.shape)
    factors = dac.factorise(weight, rank)
    filters = factors.depthwise.reshape(len(factors.depthwise), -1)
    assert (filters.max(axis=1) >= -filters.min(axis=1) - 1e-9).all()
    sizes = np.linalg.norm(filters, axis=1)
    partners = np.linalg.norm(factors.pointwise.reshape(len(weight), -1), axis=0)
    np.testing.assert_allclose(sizes, partners, atol=1e-6)
