from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgedeploy.calibration.layers import observe_channels
from edgedeploy.errors import FileError
from edgedeploy.graph.shapes import fix_size
from tests.calibration.networks import FORMS, batches, layers, means_of, prepared, tensors
from tests.graph.networks import block

NAMES = ["stem/act", "head/act", "pool"]


@pytest.mark.parametrize("form", FORMS)
def test_statistics_are_those_of_every_picture_and_position(form: str) -> None:
    model = prepared(form)
    found = observe_channels(model, NAMES, NAMES, [batches()], threads=1)
    exact = tensors(model, NAMES, batches())
    for name in NAMES:
        by_channel = np.moveaxis(exact[name].astype(np.float64), 1, 0)
        by_channel = by_channel.reshape(len(by_channel), -1)
        np.testing.assert_allclose(
            found.largest[name], np.abs(by_channel).max(axis=1), rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(found.variances[name], by_channel.var(axis=1), atol=1e-4)
    means = means_of(model, batches())
    assert set(found.means) == {*layers(model), *NAMES}
    for name, mean in means.items():
        np.testing.assert_allclose(found.means[name], mean, atol=1e-5)
        assert found.means[name].dtype == np.float64


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
def test_the_axes_of_a_reduction_are_written_as_the_opset_wants_them(opset: int) -> None:
    model = block(opset=opset)
    fix_size(model, (16, 16))
    found = observe_channels(model, NAMES, NAMES, [batches()], threads=1)
    np.testing.assert_allclose(
        found.means["stem/conv"], means_of(model, batches())["stem/conv"], atol=1e-5
    )


def test_magnitudes_are_of_negative_values_too() -> None:
    model = prepared("residual")
    found = observe_channels(model, ["project/norm"], [], [batches()], threads=1)
    exact = tensors(model, ["project/norm"], batches())["project/norm"]
    assert (exact.max(axis=(0, 2, 3)) < np.abs(exact).max(axis=(0, 2, 3))).any()
    np.testing.assert_allclose(
        found.largest["project/norm"], np.abs(exact).max(axis=(0, 2, 3)), rtol=1e-4, atol=1e-6
    )


def test_no_bit_depends_on_how_pictures_are_batched() -> None:
    model = prepared("residual")
    first, second = (
        observe_channels(
            model, NAMES, NAMES, (batches()[i : i + size] for i in range(0, 12, size)), threads=1
        )
        for size in (1, 5)
    )
    for part in ("largest", "variances", "means"):
        one, two = getattr(first, part), getattr(second, part)
        assert {n: a.tobytes() for n, a in one.items()} == {n: a.tobytes() for n, a in two.items()}


def test_the_network_stays_as_it_is() -> None:
    model = prepared("residual")
    before = ir.serde.serialize_model(model).SerializeToString(deterministic=True)
    observe_channels(model, NAMES, NAMES, [batches()], threads=1)
    assert ir.serde.serialize_model(model).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_told(value: float) -> None:
    batch = batches()
    batch[7, 1, 3, 3] = value
    with pytest.raises(FileError, match=r"the activation stem/\w+ has values that are not finite"):
        observe_channels(prepared("residual"), [], [], [batch], threads=1)
