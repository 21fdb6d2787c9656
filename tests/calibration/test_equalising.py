from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedeploy.calibration.equalising import (
    LARGEST_SCALE,
    POWERS,
    ROUNDED,
    choose_scales,
    noise,
)
from edgedeploy.calibration.layers import Channels, observe_channels
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.graph.constants import array_of, replace_constant
from edgedeploy.graph.equalise import equalise, links
from edgedeploy.graph.qdq import quantise
from tests.calibration.networks import FORMS, batches, prepared, seen_ranges, tensors
from tests.graph.networks import producers

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgedeploy.types import Array


def _seen(model: ir.Model) -> Channels:
    found = links(model.graph)
    return observe_channels(
        model,
        [link.name for link in found],
        [link.tensors[-1] for link in found],
        [batches()],
        threads=1,
    )


def _unequal(form: str, layer: str, steps: Array) -> ir.Model:
    """A network of which one layer's channels differ by these factors."""
    model = prepared(form)
    node = producers(model)[layer]
    for index in (1, 2):
        array = np.asarray(array_of(node.inputs[index]))
        factor = steps.reshape(-1, *[1] * (array.ndim - 1)).astype(np.float32)
        replace_constant(model.graph, node, index, array * factor)
    return model


@pytest.mark.parametrize("form", FORMS)
def test_channels_grow_by_no_more_than_the_widest_one_allows(form: str) -> None:
    model = prepared(form)
    seen = _seen(model)
    found = choose_scales(model.graph, seen)
    assert found
    for name, scale in found.items():
        assert scale.dtype == np.float32
        assert scale.shape == seen.largest[name].shape
        assert scale.min() >= 1
        assert scale.max() > 1
        assert scale.max() <= LARGEST_SCALE
        assert (seen.largest[name] * scale).max() <= seen.largest[name].max() * (1 + 1e-6)


@pytest.mark.parametrize(
    ("form", "layer", "name"),
    [("residual", "expand/norm", "expand/act"), ("mixed", "stem/conv", "stem/act")],
)
def test_what_a_depthwise_kernel_reads_all_gets_the_widest_range(
    form: str, layer: str, name: str
) -> None:
    for least in (0.05, 0.8, 1.0):
        size = 16 if form == "residual" else 8
        model = _unequal(form, layer, np.geomspace(least, 1, size))
        largest = _seen(model).largest[name]
        reached = largest * choose_scales(model.graph, _seen(model))[name]
        alive = (largest > 0) & (largest.max() / np.maximum(largest, 1e-9) < LARGEST_SCALE)
        assert alive.sum() > 4
        np.testing.assert_allclose(reached[alive], largest.max(), rtol=1e-6)


def test_a_weak_channel_is_not_blown_up_without_end_and_a_dead_one_not_at_all() -> None:
    steps = np.ones(16)
    steps[3], steps[5] = 1e-4, 0.0
    model = _unequal("residual", "expand/norm", steps)
    seen = _seen(model)
    seen.largest["expand/act"][7] = 0.0
    scale = choose_scales(model.graph, seen)["expand/act"]
    assert scale[[5, 7]].tolist() == [1.0, 1.0]
    if seen.largest["expand/act"][3] > 0:
        assert scale[3] == LARGEST_SCALE


def test_a_tensor_that_is_always_0_is_left_alone() -> None:
    model = prepared("residual")
    seen = _seen(model)
    seen.largest["expand/act"][:] = 0.0
    assert "expand/act" not in choose_scales(model.graph, seen)


@pytest.mark.parametrize("form", FORMS)
def test_what_other_kernels_read_is_scaled_by_the_power_of_least_noise(form: str) -> None:
    model = prepared(form)
    seen = _seen(model)
    found = choose_scales(model.graph, seen)
    checked = 0
    for link in links(model.graph):
        if link.depthwise:
            continue
        largest = seen.largest[link.name]
        alive = largest > 0
        whole = np.where(alive, largest.max() / np.where(alive, largest, 1), 1)
        whole = np.minimum(whole, LARGEST_SCALE)
        chosen = found.get(link.name, np.ones(len(whole)))
        match = [p for p in POWERS if np.allclose(whole**p, chosen, rtol=1e-5)]
        assert len(match) == 1
        weight = np.asarray(array_of(link.consumer.inputs[1]), np.float64)
        if link.consumer.op_type != "Conv":
            weight = weight if link.consumer.attributes.get_int("transB", 0) else weight.T
        weight = weight.reshape(*weight.shape[:2], -1)
        groups = len(whole) // weight.shape[1]
        variance = seen.variances[link.tensors[-1]]
        noises = {p: noise(weight, whole**p, variance, largest.max(), groups) for p in POWERS}
        relative = {p: (noises[p] / noises[0.0]).sum() for p in POWERS}
        assert relative[match[0]] == min(relative.values())
        checked += 1
    assert checked


@pytest.mark.parametrize("groups", [1, 2])
def test_noise_of_the_inputs_is_what_rounding_them_adds(groups: int) -> None:
    """A simulation: inputs rounded to 127 steps, weights as they are."""
    draw = np.random.default_rng(0)
    weight = draw.normal(size=(6, 4, 3))
    scale = draw.uniform(1, 3, 4 * groups)
    step = 5.0 / 127
    errors = step * draw.uniform(-0.5, 0.5, (20000, groups, 4, 3))
    scaled = weight.reshape(groups, -1, 4, 3) / scale.reshape(groups, 1, 4, 1)
    added = np.einsum("grkt,ngkt->ngr", scaled, errors).var(axis=0).sum()
    u8, s8 = noise(weight, scale, np.zeros(4 * groups), 5.0, groups)
    assert s8 == pytest.approx(added, rel=0.03)
    assert u8 == pytest.approx(s8 * (127 / 255) ** 2)


@pytest.mark.parametrize("groups", [1, 2])
def test_noise_of_the_weights_is_what_rounding_them_adds(groups: int) -> None:
    """A simulation: weights off by up to half a step of their row, inputs of given variances."""
    draw = np.random.default_rng(1)
    weight = draw.normal(size=(6, 4, 3))
    scale = draw.uniform(1, 3, 4 * groups)
    variance = draw.uniform(0.1, 2, 4 * groups)
    scaled = weight.reshape(groups, -1, 4, 3) / scale.reshape(groups, 1, 4, 1)
    steps = np.abs(scaled).max(axis=(2, 3)) / 127
    errors = draw.uniform(-0.5, 0.5, (20000, *scaled.shape)) * steps[:, :, None, None]
    spread = (variance * scale**2).reshape(groups, 1, 4, 1)
    added = (np.square(errors) * spread).sum(axis=(1, 2, 3, 4)).mean()
    u8, s8 = noise(weight, scale, variance, 0.0, groups)
    assert s8 == pytest.approx(added * ROUNDED, rel=0.03)
    assert u8 >= s8  # weights that must not saturate have longer steps


@pytest.mark.parametrize("style", QdqStyle)
def test_unequal_channels_lose_less_once_they_are_scaled(style: QdqStyle) -> None:
    errors = []
    for scaling in (True, False):
        model = _unequal("residual", "expand/norm", np.geomspace(0.03, 1, 16))
        if scaling:
            equalise(model, choose_scales(model.graph, _seen(model)))
        exact = tensors(model, ["depthwise/norm"], batches())["depthwise/norm"]
        quantise(model, seen_ranges(model, batches()), style)
        found = tensors(model, ["depthwise/norm"], batches())["depthwise/norm"]
        # by channel, in its own units: scaled ones are larger
        away = np.square(found - exact).mean(axis=(0, 2, 3)) / np.maximum(
            exact.var(axis=(0, 2, 3)), 1e-12
        )
        errors.append(np.median(away))
    assert errors[0] < 0.6 * errors[1]
