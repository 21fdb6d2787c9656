from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.errors import BuildError
from edgedeploy.graph.constants import array_of, replace_constant
from edgedeploy.graph.equalise import Link, equalise, links
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.shapes import fix_size
from tests.graph.networks import Sketch, block, kinds, mixed, pictures, producers, run

if TYPE_CHECKING:
    from edgedeploy.types import Array


def _prepared(model: ir.Model) -> ir.Model:
    fix_size(model, (16, 16))
    fold_batch_norm(model)
    return model


def _linked(model: ir.Model) -> dict[str, Link]:
    return {link.name: link for link in links(model.graph)}


def _bytes(model: ir.Model) -> bytes:
    return ir.serde.serialize_model(model).SerializeToString(deterministic=True)


def _answers(model: ir.Model) -> Array:
    """The float answers, once no channel behind a ceiling needs more than a 50th of it."""
    for link in links(model.graph):
        if link.ceiling is not None:
            _weaken(model, link.producer)
    return run(model, pictures())


def _weaken(model: ir.Model, node: ir.Node) -> None:
    for index in range(1, len(node.inputs)):
        weak = np.asarray(array_of(node.inputs[index])) * np.float32(0.02)
        replace_constant(model.graph, node, index, weak)


def _outputs(model: ir.Model) -> list[Array]:
    """All outputs of a model, by ONNX Runtime."""
    session = ort.InferenceSession(ir.serde.serialize_model(model).SerializeToString())
    found: list[Array] = session.run(None, {"image": pictures()})
    return found


def _scales(model: ir.Model, seed: int, low: float, high: float) -> dict[str, Array]:
    draw = np.random.default_rng(seed)
    found = {}
    for name, link in _linked(model).items():
        shape = link.producer.outputs[0].shape
        assert shape is not None
        size = int(shape[1])  # type: ignore[arg-type]  # fixed by fix_size
        least = max(low, 1.0) if link.ceiling is not None else low
        found[name] = draw.uniform(least, high, size).astype(np.float32)
    return found


def test_layers_are_linked_through_what_does_not_mind_a_scale() -> None:
    found = _linked(_prepared(mixed()))
    assert {name: link.consumer.outputs[0].name for name, link in found.items()} == {
        "stem/act": "depthwise/conv",
        "depthwise/act": "grouped/conv",
        "head/act": "logits",
    }
    assert found["head/act"].tensors == ("head/conv", "head/act", "pool", "features")
    assert {name: link.ceiling for name, link in found.items()} == {
        "stem/act": 6.0,
        "depthwise/act": None,
        "head/act": None,
    }
    assert [found[name].depthwise for name in found] == [True, False, False]


def test_what_a_residual_reads_too_is_not_linked() -> None:
    found = _linked(_prepared(block(norm=True)))
    # stem/act is read by expand and the sum, project by the sum
    assert set(found) == {"expand/act", "depthwise/act", "head/act"}
    assert found["expand/act"].depthwise


def test_what_the_graph_returns_is_not_linked() -> None:
    model = _prepared(block())
    model.graph.outputs.append(producers(model)["expand/act"].outputs[0])
    assert "expand/act" not in _linked(model)


@pytest.mark.parametrize("constants", [False, True])
@pytest.mark.parametrize("classifier", ["Gemm", "MatMul"])
@settings(max_examples=10)
@given(seed=st.integers(0, 999))
def test_a_scaled_network_computes_what_it_did(
    classifier: str, seed: int, *, constants: bool
) -> None:
    model = _prepared(mixed(classifier=classifier, constants=constants))
    expected = _answers(model)
    equalise(model, _scales(model, seed, 1.0, 30.0))
    onnx.checker.check_model(ir.serde.serialize_model(model), full_check=True)
    np.testing.assert_allclose(run(model, pictures()), expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("gemm", ["", "Gemm", "GemmNN", "MatMul"])
@pytest.mark.parametrize("norm", [False, True])
def test_a_residual_network_computes_what_it_did(gemm: str, *, norm: bool) -> None:
    model = _prepared(block(norm=norm, gemm=gemm))
    expected = _answers(model)
    equalise(model, _scales(model, 0, 1.0, 30.0))
    np.testing.assert_allclose(run(model, pictures()), expected, rtol=2e-4, atol=2e-4)


def test_channels_behind_relu_may_also_shrink() -> None:
    model = _prepared(mixed())
    expected = run(model, pictures())
    scales = _scales(model, 1, 0.02, 5.0)
    del scales["stem/act"]  # behind ReLU6
    assert min(scale.min() for scale in scales.values()) < 0.5
    equalise(model, scales)
    np.testing.assert_allclose(run(model, pictures()), expected, rtol=2e-4, atol=2e-4)


def test_a_channel_is_multiplied_by_its_scale() -> None:
    model = _prepared(mixed())
    for name in ("depthwise/act", "pool"):
        model.graph.outputs.append(producers(model)[name].outputs[0])
    before = _outputs(model)
    scale = np.linspace(1, 3, 8).astype(np.float32)
    model.graph.outputs.pop(1)  # or it is no link
    equalise(model, {"depthwise/act": scale})
    model.graph.outputs.insert(1, producers(model)["depthwise/act"].outputs[0])
    after = _outputs(model)
    np.testing.assert_allclose(
        after[1], before[1] * scale[None, :, None, None], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(after[2], before[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("constants", [False, True])
def test_relu6_stays(*, constants: bool) -> None:
    model = _prepared(mixed(constants=constants))
    equalise(model, _scales(model, 0, 1.0, 4.0))
    # weights that were Constant nodes are initialisers now
    assert [kind for kind in kinds(model) if kind != "Constant"] == kinds(mixed())
    clip = producers(model)["stem/act"]
    assert clip.op_type == "Clip"
    assert [v.name for v in clip.inputs if v is not None] == ["stem/conv", "low", "high"]


def test_a_weight_that_two_layers_share_is_scaled_for_one() -> None:
    sketch = Sketch()
    value = sketch.convolve("image", "first", (3, 3, 1, 1), act="Relu", bias=False)
    for name in ("second", "third"):
        value = sketch.node("Conv", [value, "first/w"], f"{name}/conv")
        value = sketch.node("Relu", [value], f"{name}/act")
    model = _prepared(sketch.model(value))
    expected = run(model, pictures())
    assert set(_linked(model)) == {"first/act", "second/act"}
    equalise(model, _scales(model, 0, 0.1, 10.0))
    np.testing.assert_allclose(run(model, pictures()), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("LeakyRelu", {}), ("Sigmoid", {}), ("Softmax", {"axis": 1}), ("HardSwish", {})],
)
def test_what_a_scale_changes_links_nothing(kind: str, attributes: dict[str, int]) -> None:
    sketch = Sketch()
    value = sketch.convolve("image", "first", (4, 3, 1, 1), act="")
    value = sketch.node(kind, [value], "between", **attributes)
    model = sketch.model(sketch.convolve(value, "second", (4, 4, 1, 1)), opset=17)
    assert links(model.graph) == ()


@pytest.mark.parametrize(("low", "high"), [(-1, 6), (0.5, 6)])
def test_a_clip_that_does_not_begin_at_0_links_nothing(low: float, high: float) -> None:
    sketch = Sketch()
    value = sketch.convolve("image", "first", (4, 3, 1, 1), act="")
    bounds = [sketch.constant("a", low), sketch.constant("b", high)]
    value = sketch.node("Clip", [value, *bounds], "between")
    model = sketch.model(sketch.convolve(value, "second", (4, 4, 1, 1)))
    assert links(model.graph) == ()


def test_a_clip_without_an_upper_bound_is_none() -> None:
    sketch = Sketch()
    value = sketch.convolve("image", "first", (4, 3, 1, 1), act="")
    value = sketch.node("Clip", [value, "low"], "between")
    model = sketch.model(sketch.convolve(value, "second", (4, 4, 1, 1)))
    assert links(model.graph) == ()


def test_a_pad_with_anything_but_zeros_links_nothing() -> None:
    for index, mode in ((1, "constant"), (0, "edge")):
        sketch = Sketch()
        value = sketch.convolve("image", "first", (4, 3, 1, 1), act="Relu")
        pads = onnx.numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1]), "pads")
        sketch.constants.append(pads)
        filler = [sketch.constant("filler", 1.0)] if index else []
        value = sketch.node("Pad", [value, "pads", *filler], "pad", mode=mode)
        model = sketch.model(sketch.convolve(value, "second", (4, 4, 3, 3)))
        assert links(model.graph) == ()


def test_a_matrix_that_reads_columns_and_not_channels_links_nothing() -> None:
    sketch = Sketch()
    value = sketch.convolve("image", "first", (16, 3, 1, 1), act="Relu")
    weight = sketch.constant("w", sketch.rng.normal(size=(16, 5)))
    model = _prepared(sketch.model(sketch.node("MatMul", [value, weight], "logits")))
    assert links(model.graph) == ()


def test_a_matrix_that_computes_the_last_axis_links_nothing_to_channels() -> None:
    sketch = Sketch()
    weight = sketch.constant("w", sketch.rng.normal(size=(16, 3)))
    value = sketch.node("MatMul", ["image", weight], "columns")
    value = sketch.node("Relu", [value], "act")
    model = _prepared(sketch.model(sketch.convolve(value, "second", (4, 3, 1, 1))))
    assert links(model.graph) == ()


def test_features_that_flatten_mixes_with_positions_link_nothing() -> None:
    sketch = Sketch()
    value = sketch.convolve("image", "first", (4, 3, 1, 1), act="Relu")
    value = sketch.node("AveragePool", [value], "pool", kernel_shape=[8, 8], strides=[8, 8])
    value = sketch.node("Flatten", [value], "features")
    weight = sketch.constant("w", sketch.rng.normal(size=(16, 5)))
    model = _prepared(sketch.model(sketch.node("MatMul", [value, weight], "logits")))
    assert links(model.graph) == ()


@pytest.mark.parametrize(
    ("scales", "problem"),
    [
        ({"stem/act": np.full(8, 0.5)}, r"a channel of stem/act by 0\.5: behind a Clip at 6 it"),
        ({"stem/act": np.ones(7)}, r"7 equalisation scales for stem/act, which has 8 channels"),
        ({"stem/act": np.ones((8, 1))}, "8 equalisation scales for stem/act"),
        ({"stem/conv": np.ones(8)}, "equalises stem/conv, which this model cannot"),
        ({"grouped/act": np.ones(12)}, "equalises grouped/act, which this model cannot"),
        ({"nowhere": np.ones(8)}, "equalises nowhere, which this model cannot"),
        ({"depthwise/act": np.zeros(8)}, "scales a channel of depthwise/act by 0"),
        ({"depthwise/act": np.full(8, -1.0)}, "scales a channel of depthwise/act by -1"),
        ({"stem/act": np.full(8, np.nan)}, "scales a channel of stem/act by nan"),
        ({"depthwise/act": np.full(8, np.inf)}, "scales a channel of depthwise/act by inf"),
    ],
)
def test_scales_that_do_not_fit_are_refused_and_nothing_is_changed(
    scales: dict[str, Array], problem: str
) -> None:
    model = _prepared(mixed())
    before = _bytes(model)
    fitting = {"head/act": np.full(10, 2.0, np.float32)}
    with pytest.raises(BuildError, match=problem):
        equalise(model, {**fitting, **{n: s.astype(np.float32) for n, s in scales.items()}})
    assert _bytes(model) == before


def test_no_scales_change_nothing() -> None:
    model = _prepared(mixed())
    before = _bytes(model)
    equalise(model, {})
    assert _bytes(model) == before
