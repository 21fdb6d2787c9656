from __future__ import annotations

import onnx
import onnx.parser
import pytest

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.graph.integers import Layers, layers
from edgedeploy.types import Family, Precision
from tests.prepared_sources import mobilenet, prepared


@pytest.mark.parametrize("style", QdqStyle)
@pytest.mark.parametrize(("family", "count"), [("mobilenet_v1", 28), ("mobilenet_v2", 53)])
def test_every_layer_of_a_mobilenet_is_quantised_in_either_style(
    family: str, count: int, style: QdqStyle
) -> None:
    model = mobilenet(Family(family))
    found = layers(prepared(model, Precision.INT8, style=style).graph)
    assert (found.quantised, found.floating) == (count, frozenset())
    assert layers(model.graph).quantised == 0
    assert len(layers(model.graph).floating) >= count


def test_layer_with_float_weights_is_floating_under_both_its_names() -> None:
    graph = onnx.parser.parse_graph(
        """g (float[1,3,8,8] x, float[1,3,8,8] w, float s, int8 z) => (float[1,3,6,6] z2) {
            q = QuantizeLinear (x, s, z)
            d = DequantizeLinear (q, s, z)
            y = Conv (d, w)
            z2 = Relu (y)
        }"""
    )
    graph.node[2].name = "stem"
    # and under that of the activation, with which it may be fused
    assert layers(graph) == Layers(0, frozenset({"stem", "y", "z2"}))


def test_float_weights_behind_q_and_dq_count_also_where_they_are_turned() -> None:
    graph = onnx.parser.parse_graph(
        """g (float[1,3] x, float[5,3] w, float s, int8 z) => (float[1,5] y, float[1,5] f) {
            q = QuantizeLinear (x, s, z)
            d = DequantizeLinear (q, s, z)
            wq = QuantizeLinear (w, s, z)
            wd = DequantizeLinear (wq, s, z)
            wt = Transpose (wd)
            y = MatMul (d, wt)
            ft = Transpose (w)
            f = MatMul (d, ft)
        }"""
    )
    assert layers(graph) == Layers(1, frozenset({"", "f"}))


def test_what_fell_back_is_what_was_quantised_and_runs_in_float() -> None:
    found = Layers(2, frozenset({"head", "head_out"}))
    running = ["stem", "head", "w/quantized + head_out + relu", "weights + block_01"]
    assert found.fell_back(running) == ("stem", "weights + block_01")
