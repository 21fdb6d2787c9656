from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.calibration.patches import (
    Geometry,
    by_group,
    centred_moments,
    from_groups,
    geometry_of,
    mean_input,
)
from tests.graph.networks import block, mixed, producers, run

if TYPE_CHECKING:
    from edgedeploy.types import Array

# small enough that every position is in the sample of `centred_moments`
_SIDES = st.integers(5, 9)


def _im2col(codes: Array, geometry: Geometry, zero: int) -> Array:
    """All that the kernels meet, one position after the other, ``(groups, columns, positions)``."""
    count, channels, height, width = codes.shape
    top, left, bottom, right = geometry.pads
    padded = np.full((count, channels, height + top + bottom, width + left + right), zero, float)
    padded[:, :, top : top + height, left : left + width] = codes
    rows, columns = geometry.positions(*padded.shape[2:])
    met = []
    for picture in padded:
        for row in range(rows):
            for column in range(columns):
                y, x = row * geometry.strides[0], column * geometry.strides[1]
                taps = [
                    picture[:, y + i * geometry.dilations[0], x + j * geometry.dilations[1]]
                    for i in range(geometry.kernel[0])
                    for j in range(geometry.kernel[1])
                ]
                met.append(np.stack(taps, axis=1).reshape(geometry.groups, -1))
    return np.stack(met, axis=2)


@st.composite
def _geometries(draw: st.DrawFn) -> tuple[Geometry, int]:
    """A layer, and how many channels it reads."""
    groups = draw(st.integers(1, 3))
    pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
    pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
    geometry = Geometry(
        name=draw(st.sampled_from(["a", "b"])),
        groups=groups,
        kernel=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        strides=draw(pair),
        pads=pads,
        dilations=draw(pair),
    )
    return geometry, groups * draw(st.integers(1, 2))


@st.composite
def _layers(draw: st.DrawFn) -> tuple[Array, Geometry, int]:
    """Codes that a layer reads, the layer, and the code of 0."""
    geometry, channels = draw(_geometries())
    kind, low, high = draw(st.sampled_from([(np.uint8, 0, 255), (np.int8, -127, 127)]))
    zero = draw(st.integers(low, high)) if kind is np.uint8 else 0
    shape = (draw(st.integers(1, 3)), channels, draw(_SIDES), draw(_SIDES))
    codes = np.random.default_rng(draw(st.integers(0, 99))).integers(low, high + 1, shape)
    return codes.astype(kind), geometry, zero


@given(layer=_layers())
def test_the_mean_input_is_the_mean_of_all_patches(layer: tuple[Array, Geometry, int]) -> None:
    codes, geometry, zero = layer
    expected = _im2col(codes, geometry, zero).mean(axis=2) - zero
    np.testing.assert_allclose(mean_input(codes, geometry, zero), expected, atol=1e-9)


@settings(max_examples=60)
@given(layer=_layers())
def test_moments_are_those_of_all_patches_where_there_are_few(
    layer: tuple[Array, Geometry, int],
) -> None:
    codes, geometry, zero = layer
    met = _im2col(codes, geometry, zero)
    met = met - met.mean(axis=2, keepdims=True)
    expected = met @ met.transpose(0, 2, 1) / met.shape[2]
    found = centred_moments(codes, geometry, zero)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=0.5)


def _noise(shape: tuple[int, ...]) -> Array:
    """Values that go along with their neighbours, as pictures do."""
    draw = np.random.default_rng(0)
    slow = draw.normal(size=(*shape[:2], shape[2] // 4, shape[3] // 4)).repeat(4, 2).repeat(4, 3)
    values = 128 + 30 * slow + 10 * draw.normal(size=shape)
    codes: Array = np.clip(values, 0, 255).astype(np.uint8)
    return codes


def test_moments_of_many_patches_are_sampled_well_enough() -> None:
    codes = _noise((12, 4, 32, 32))
    geometry = Geometry("layer", kernel=(3, 3), pads=(1, 1, 1, 1))
    met = _im2col(codes, geometry, 3)
    assert met.shape[2] > 3 * (2048 + 24 * 36)  # far more than are taken
    met = met - met.mean(axis=2, keepdims=True)
    exact = (met @ met.transpose(0, 2, 1) / met.shape[2])[0]
    found = centred_moments(codes, geometry, 3)[0]
    assert np.linalg.norm(found - exact) < 0.25 * np.linalg.norm(exact)
    assert not np.array_equal(found, exact)


def test_the_same_layer_is_sampled_at_the_same_places() -> None:
    codes = _noise((12, 4, 32, 32))
    geometry = Geometry("layer", kernel=(3, 3), pads=(1, 1, 1, 1))
    first, second = (centred_moments(codes, geometry, 3) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    other = centred_moments(codes, replace(geometry, name="other"), 3)
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize(("kind", "zero"), [(np.uint8, 77), (np.int8, 0)])
def test_a_matrix_reads_every_feature_once(kind: type, zero: int) -> None:
    codes: Array = np.random.default_rng(1).integers(-100, 100, (9, 6)).astype(kind)
    geometry = Geometry("logits")
    np.testing.assert_allclose(
        mean_input(codes, geometry, zero), codes.astype(float).mean(axis=0)[None] - zero
    )
    expected = np.cov(codes.astype(float).T, bias=True)[None]
    np.testing.assert_allclose(centred_moments(codes, geometry, zero), expected, rtol=1e-5)


def test_codes_are_left_as_they_are() -> None:
    codes = _noise((2, 4, 8, 8))
    before = codes.copy()
    geometry = Geometry("layer", kernel=(3, 3))
    centred_moments(codes, geometry, 3)
    mean_input(codes, geometry, 3)
    np.testing.assert_array_equal(codes, before)


def test_the_geometry_is_the_nodes() -> None:
    nodes = producers(mixed())
    assert geometry_of(nodes["stem/conv"]) == Geometry("stem/conv", kernel=(3, 3), strides=(2, 2))
    assert geometry_of(nodes["depthwise/conv"]) == Geometry(
        "depthwise/conv", groups=8, kernel=(3, 3), pads=(2,) * 4, dilations=(2, 2)
    )
    assert geometry_of(nodes["head/conv"]) == Geometry(
        "head/conv", kernel=(3, 3), pads=(0, 1, 1, 0)
    )
    assert geometry_of(nodes["logits"]) == Geometry("logits")


def test_padding_that_a_size_decides_is_no_geometry() -> None:
    assert geometry_of(producers(block(auto_pad=True))["stem/conv"]) is None


def test_a_convolution_along_one_axis_is_no_geometry() -> None:
    weight = ir.val("w", const_value=ir.tensor(np.ones((2, 2, 3), np.float32)))
    node = ir.node("Conv", [ir.val("x"), weight], outputs=[ir.val("y")])
    assert geometry_of(node) is None


@pytest.mark.parametrize(
    ("name", "groups", "shape"),
    [("stem/conv", 1, (1, 8, 27)), ("grouped/conv", 2, (2, 6, 36)), ("logits", 1, (1, 5, 10))],
)
def test_weights_are_laid_out_a_row_an_output_channel(
    name: str, groups: int, shape: tuple[int, ...]
) -> None:
    node = producers(mixed())[name]
    weight = node.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    array = weight.const_value.numpy()
    rows = by_group(array, node, groups)
    assert rows.shape == shape
    np.testing.assert_array_equal(from_groups(rows, node, array.shape), array)


@pytest.mark.parametrize("name", ["stem", "depthwise", "grouped", "project", "head", "logits"])
def test_rows_times_the_mean_input_is_the_mean_output(name: str) -> None:
    """The one thing that both are for; the layer's own convolution is ONNX Runtime's."""
    model = mixed()
    node = producers(model)[name if name == "logits" else f"{name}/conv"]
    weight = node.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    array = weight.const_value.numpy()
    geometry = geometry_of(node)
    assert geometry is not None
    codes = np.random.default_rng(0).integers(0, 256, (4, *_reads(array, node, geometry)))
    expected = _alone(node, (codes - 9).astype(np.float32))
    rows = by_group(array, node, geometry.groups).astype(np.float64)
    mean = mean_input(codes.astype(np.uint8), geometry, 9)
    found = np.einsum("grk,gk->gr", rows, mean).ravel()
    channels = tuple(axis for axis in range(expected.ndim) if axis != 1)
    np.testing.assert_allclose(found, expected.mean(axis=channels), rtol=1e-3, atol=1e-3)


def _reads(weight: Array, node: ir.Node, geometry: Geometry) -> tuple[int, ...]:
    if node.op_type == "Conv":
        return (weight.shape[1] * geometry.groups, 7, 7)
    return (weight.shape[0],)


def _alone(node: ir.Node, batch: Array) -> Array:
    """What a node without its bias gives, by ONNX Runtime."""
    weight = node.inputs[1]
    assert weight is not None
    image = ir.val("image", ir.DataType.FLOAT, batch.shape)
    copy = ir.node(
        node.op_type,
        [image, ir.val("w", ir.DataType.FLOAT, const_value=weight.const_value)],
        attributes=node.attributes,
        outputs=[ir.val("y", ir.DataType.FLOAT)],
    )
    constants = [value for value in copy.inputs[1:] if value is not None]
    graph = ir.Graph(
        [image], copy.outputs, nodes=[copy], initializers=constants, opset_imports={"": 13}
    )
    return run(ir.Model(graph, ir_version=8), batch)
