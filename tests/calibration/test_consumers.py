from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedeploy.calibration.consumers import channel_weights
from edgedeploy.graph.constants import array_of
from tests.graph.networks import block, producers

if TYPE_CHECKING:
    import onnx_ir as ir


def _kernel(model: ir.Model, node: str) -> np.ndarray:
    found = array_of(producers(model)[node].inputs[1])
    assert found is not None
    return np.asarray(found, np.float64)


def test_an_error_passes_a_convolution_by_the_squared_weights_that_it_meets() -> None:
    model = block()
    found = channel_weights(model.graph, {"expand/act": 16, "depthwise/act": 16})
    np.testing.assert_allclose(
        found["expand/act"], np.square(_kernel(model, "depthwise/conv")).sum(axis=(1, 2, 3))
    )
    np.testing.assert_allclose(
        found["depthwise/act"], np.square(_kernel(model, "project/conv")).sum(axis=(0, 2, 3))
    )


def test_an_add_and_a_pool_hand_errors_on_as_they_are() -> None:
    model = block()
    found = channel_weights(model.graph, {"stem/act": 8, "project/conv": 8, "head/act": 12})
    stem = 1.0 + np.square(_kernel(model, "expand/conv")).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(found["stem/act"], stem)
    assert found["project/conv"].tolist() == [1.0] * 8
    assert found["head/act"].tolist() == [1.0] * 12


def test_the_answer_has_no_weights_though_softmax_reads_it() -> None:
    model = block(softmax=True)
    names = {"logits": 5, "classifier/conv": 5, "probabilities": 5, "pool": 12}
    assert list(channel_weights(model.graph, names)) == ["pool"]


@pytest.mark.parametrize("gemm", ["Gemm", "GemmNN", "MatMul"])
def test_a_classifier_is_found_behind_flatten(gemm: str) -> None:
    model = block(gemm=gemm)
    classifier = _kernel(model, "logits")
    features = np.square(classifier).sum(axis=0 if gemm == "Gemm" else 1)
    found = channel_weights(model.graph, {"pool": 12, "features": 12})
    np.testing.assert_allclose(found["pool"], features)
    np.testing.assert_allclose(found["features"], features)


def test_features_of_a_channel_count_together_and_what_fits_no_channels_is_spread() -> None:
    model = block(gemm="Gemm")
    squares = np.square(_kernel(model, "logits")).sum(axis=0)
    found = channel_weights(model.graph, {"pool": 4, "features": 5})
    np.testing.assert_allclose(found["pool"], squares.reshape(4, 3).sum(axis=1))
    np.testing.assert_allclose(found["features"], np.full(5, squares.sum() / 5))
