from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from edgedeploy.calibration.observing import observe, observe_extremes, observe_histograms
from edgedeploy.errors import FileError
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import activations
from tests.graph.networks import block, kinds, pictures, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.types import Array


def _model(side: int = 16) -> ir.Model:
    model = block(auto_pad=True, sides=("h", "w"))
    fix_size(model, (side, side))
    return model


def _expected(model: ir.Model, name: str, batch: Array) -> Array:
    if name == "image":
        return batch
    values = {v.name: v for node in model.graph for v in node.outputs}
    model.graph.outputs[:] = [values[name]]
    return run(model, batch)


def test_extremes_are_those_of_the_tensors_whatever_the_batches() -> None:
    model, batch = _model(), pictures(6)
    names = activations(model)
    before = kinds(model)
    found = observe_extremes(model, names, [batch[:1], batch[1:4], batch[4:]], threads=1)
    assert kinds(model) == before
    assert list(found) == list(names)
    for name in names:
        expected = _expected(_model(), name, batch)
        assert found[name] == pytest.approx((expected.min(), expected.max()), rel=1e-5, abs=1e-6)


def test_histograms_count_every_value() -> None:
    model, batch = _model(), pictures(3)
    names = activations(model)
    found = observe_histograms(model, names, [batch[:1], batch[1:]], threads=1)
    for name in names:
        expected = _expected(_model(), name, batch)
        assert found[name].counts.sum() == expected.size
        assert found[name].max == pytest.approx(float(expected.max()), rel=1e-5, abs=1e-6)


def test_channels_are_counted_apart_and_batching_changes_no_bit() -> None:
    model, batch = _model(), pictures(3)
    names = activations(model)
    found = observe(model, names, [batch[:1], batch[1:]], threads=1)
    alone = observe(model, names, batch[:, None], threads=1)
    for name in names:
        expected = _expected(_model(), name, batch)
        channels = found[name].channels
        axes = (0, *range(2, expected.ndim))
        np.testing.assert_allclose(channels.min, expected.min(axis=axes), rtol=1e-5, atol=1e-6)
        assert channels.counts.sum() == found[name].histogram.counts.sum() == expected.size
        assert (channels.counts == alone[name].channels.counts).all()
        assert (found[name].histogram.counts == alone[name].histogram.counts).all()


@pytest.mark.parametrize("watch", [observe_extremes, observe_histograms, observe])
def test_memory_does_not_grow_with_the_number_of_images(watch: object) -> None:
    assert callable(watch)
    model = _model(64)
    names = activations(model)

    def peak_bytes(count: int) -> int:
        def batches() -> Iterator[Array]:
            for _ in range(count):
                yield pictures(1, 64)

        tracemalloc.start()
        watch(model, names, batches(), threads=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(2)
    few, many = peak_bytes(4), peak_bytes(40)
    assert many < few + 200_000  # the activations of one image alone are 400 kB


def test_an_activation_that_is_not_finite_is_named() -> None:
    model = _model()
    batch = pictures(1)
    batch[0, 0, 3, 3] = np.nan
    with pytest.raises(FileError, match="the activation image has values that are not finite"):
        observe_extremes(model, ("image", "stem/act"), [batch])
    with pytest.raises(FileError, match="the activation image has values that are not finite"):
        observe_histograms(model, ("image", "stem/act"), [batch])


def test_a_model_that_onnx_runtime_refuses_is_one_error() -> None:
    model = _model()
    model.opset_imports["nobody"] = 1
    model.graph.append(
        ir.node("Unknown", [model.graph.outputs[0]], domain="nobody", outputs=[ir.val("x")])
    )
    with pytest.raises(FileError, match="cannot run the model"):
        observe_extremes(model, ("image",), [pictures(1)])
