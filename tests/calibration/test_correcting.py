from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from edgedeploy.calibration.correcting import correct
from edgedeploy.calibration_values import Correction, QdqStyle, TensorRange
from edgedeploy.graph.bias import takes_bias
from edgedeploy.graph.constants import array_of
from edgedeploy.graph.qdq import quantise
from tests.calibration.networks import (
    FORMS,
    batches,
    float_means,
    layers,
    means_of,
    prepared,
    seen_ranges,
    tensors,
)
from tests.graph.networks import CLASSES, producers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.types import Array

U8, S8 = QdqStyle.U8, QdqStyle.S8


def _corrected(
    model: ir.Model, style: QdqStyle, *, any_x86: bool = True, **switches: bool
) -> dict[str, Correction]:
    return correct(
        model,
        seen_ranges(model, batches()),
        style,
        [batches()],
        float_means(model, batches()),
        any_x86=any_x86,
        threads=1,
        **switches,  # type: ignore[arg-type]  # rounding and bias
    )


def _quantised(
    model: ir.Model, style: QdqStyle, found: Mapping[str, Correction], *, any_x86: bool = True
) -> ir.Model:
    graph = model.clone()
    ranges = seen_ranges(model, batches())
    quantise(graph, ranges, style, any_x86=any_x86, corrections=found)
    return graph


def _output(model: ir.Model, name: str) -> str:
    """A layer's output before anything rounds it; the style u8 renames the graph's own."""
    return f"{name}/float" if f"{name}/float" in producers(model) else name


def _means(model: ir.Model, names: list[str]) -> list[Array]:
    asked = [_output(model, name) for name in names]
    found = tensors(model, asked, batches())
    return [found[n].astype(np.float64).mean((0, *range(2, found[n].ndim))) for n in asked]


def _taking(model: ir.Model) -> list[str]:
    return [name for name in layers(model) if takes_bias(producers(model)[name])]


@pytest.mark.parametrize("style", QdqStyle)
@pytest.mark.parametrize("form", FORMS)
def test_the_mean_of_every_channel_is_the_float_networks_again(form: str, style: QdqStyle) -> None:
    model = prepared(form)
    found = _corrected(model, style)
    names = _taking(model)
    assert set(found) == set(names)
    exact = means_of(model, batches())
    corrected, plain = (_means(_quantised(model, style, one), names) for one in (found, {}))
    left, lost = (
        np.array(
            [np.abs(mean - exact[name]).max() for name, mean in zip(names, means, strict=True)]
        )
        for means in (corrected, plain)
    )
    size = np.array([np.abs(exact[name]).max() for name in names])
    assert (left < 1e-3 * size).all()
    assert left.sum() < 0.1 * lost.sum()


@pytest.mark.parametrize("style", QdqStyle)
def test_the_outputs_come_closer_to_the_float_networks(style: QdqStyle) -> None:
    for form in ("residual", "mixed"):
        model = prepared(form)
        exact = tensors(model, ["logits"], batches())["logits"]
        errors = [
            np.square(
                tensors(_quantised(model, style, found), ["logits"], batches())["logits"] - exact
            ).mean()
            for found in (_corrected(model, style), {})
        ]
        assert errors[0] < 0.7 * errors[1]


def test_without_rounding_there_is_none_and_without_bias_it_is_zero() -> None:
    model = prepared("mixed")
    for found in _corrected(model, S8, rounding=False).values():
        assert found.rounding is None
        assert found.bias.any()
    for found in _corrected(model, S8, bias=False).values():
        assert found.rounding is not None
        assert not found.bias.any()
        assert found.bias.dtype == np.float32
    shapes = {name: one.bias.shape for name, one in _corrected(model, S8, bias=False).items()}
    assert shapes == {name: one.bias.shape for name, one in _corrected(model, S8).items()}


def test_rounding_changes_weights_by_little() -> None:
    found = _corrected(prepared("residual"), U8)
    deltas = np.concatenate([np.asarray(one.rounding).ravel() for one in found.values()])
    assert deltas.dtype == np.int8
    assert deltas.any()
    assert np.abs(deltas).max() < 10
    assert np.mean(np.abs(deltas) <= 1) > 0.95


def test_a_matrix_product_without_a_place_for_a_bias_is_left_out() -> None:
    assert "logits" not in _corrected(prepared("MatMul"), U8)


def test_a_convolution_without_a_bias_gets_one() -> None:
    model = prepared("mixed")
    found = _corrected(model, S8)
    assert found["grouped/conv"].bias.any()
    bias = producers(_quantised(model, S8, found))["grouped/conv"].inputs[2]
    np.testing.assert_array_equal(np.asarray(array_of(bias)), found["grouped/conv"].bias)


@pytest.mark.parametrize("bias", [False, True])
def test_a_bias_of_one_number_for_all_channels_is_corrected_channel_by_channel(
    *, bias: bool
) -> None:
    model = prepared("mixed")
    node = producers(model)["logits"]
    old = node.inputs[2]
    assert old is not None
    old.const_value = ir.tensor(np.full(1, 0.5, np.float32), name=old.name)
    old.shape = ir.Shape([1])
    found = _corrected(model, S8, bias=bias)
    assert found["logits"].bias.shape == (CLASSES,)
    exact = means_of(model, batches())["logits"]
    (mean,) = _means(_quantised(model, S8, found), ["logits"])
    close = bool(np.abs(mean - exact).max() < 1e-4 * np.abs(exact).max())
    assert close is bias


def test_weights_keep_to_what_does_not_saturate_unless_vnni_is_there() -> None:
    model = prepared("residual")
    sums = {}
    for any_x86 in (False, True):
        found = _corrected(model, U8, any_x86=any_x86)
        graph = _quantised(model, U8, found, any_x86=any_x86)
        kernel = np.asarray(array_of(graph.graph.initializers["head/w/folded/quantized"]))
        pairs = kernel.astype(int).reshape(len(kernel), -1, 2)
        alike = np.sign(pairs[:, :, 0]) == np.sign(pairs[:, :, 1])
        sums[any_x86] = np.abs(pairs.sum(axis=2))[alike].max()
    assert sums[True] <= 128 < sums[False]


def _flat(found: Mapping[str, Correction]) -> bytes:
    return b"".join(
        name.encode() + one.bias.tobytes() + np.asarray(one.rounding).tobytes()
        for name, one in found.items()
    )


@pytest.mark.parametrize("style", QdqStyle)
def test_the_same_network_and_pictures_give_the_same_bytes(style: QdqStyle) -> None:
    first, second = (_flat(_corrected(prepared("residual"), style)) for _ in range(2))
    assert first == second


def test_the_network_stays_as_it_is() -> None:
    model = prepared("constants")
    before = ir.serde.serialize_model(model).SerializeToString(deterministic=True)
    _corrected(model, U8)
    assert ir.serde.serialize_model(model).SerializeToString(deterministic=True) == before


def test_progress_counts_the_layers() -> None:
    model, seen = prepared("residual"), []
    correct(
        model,
        seen_ranges(model, batches()),
        U8,
        [batches()],
        float_means(model, batches()),
        threads=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, 6) for i in range(1, 7)]


def test_later_layers_are_corrected_for_what_earlier_ones_do() -> None:
    """Behind a prefix in integers; behind the float network they would not see it."""
    model = prepared("residual")
    ranges = seen_ranges(model, batches())
    clipped = replace(ranges["stem/act"], high=ranges["stem/act"].high * 0.5)
    found = [
        correct(model, one, S8, [batches()], float_means(model, batches()), threads=1)
        for one in (ranges, {**ranges, "stem/act": clipped})
    ]
    np.testing.assert_array_equal(found[0]["stem/norm"].bias, found[1]["stem/norm"].bias)
    change = found[1]["expand/norm"].bias - found[0]["expand/norm"].bias
    assert np.abs(change).max() > 0.01


def test_a_range_of_nothing_but_zero_is_survived() -> None:
    model = prepared("residual")
    ranges = seen_ranges(model, batches())
    ranges["expand/act"] = TensorRange(min=0, max=0, low=0, high=1e-9)
    found = correct(model, ranges, U8, [batches()], float_means(model, batches()), threads=1)
    for one in found.values():
        assert np.isfinite(one.bias).all()


@pytest.mark.parametrize("style", QdqStyle)
def test_the_mean_behind_an_activation_comes_closer_too(style: QdqStyle) -> None:
    """A mean that is right before a ReLU is not right behind it: noise is clipped on one side."""
    model = prepared("mixed")
    ranges = seen_ranges(model, batches())
    for name in ("stem/act", "depthwise/act"):  # steps so long that there is noise
        ranges[name] = replace(ranges[name], high=ranges[name].high * 20)
    names = ["grouped/act", "head/act"]
    exact = tensors(model, names, batches())
    errors = []
    for with_behind in (False, True):
        means = float_means(model, batches(), with_behind=with_behind)
        found = correct(model, ranges, style, [batches()], means, threads=1)
        graph = model.clone()
        quantise(graph, ranges, style, corrections=found)
        seen = tensors(graph, names, batches())
        away = [np.abs((seen[n] - exact[n]).mean(axis=(0, 2, 3))) for n in names]
        errors.append(np.concatenate(away).mean())
    assert errors[1] < 0.7 * errors[0]
