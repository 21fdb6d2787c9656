from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.errors import BuildError
from edgedeploy.graph.constants import opset
from edgedeploy.graph.opset import convert
from edgedeploy.graph.shapes import fix_size
from tests.graph.networks import block, kinds, mixed, pictures, producers, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ONES = np.ones(4, np.float32)


def _one(
    kind: str,
    version: int,
    *,
    inputs: Sequence[str] = ("x",),
    constants: Mapping[str, Any] | None = None,
    outputs: int = 1,
    dtype: int = TensorProto.FLOAT,
    **attributes: Any,
) -> ir.Model:
    """A network of one node, ``(1, 4, 8, 8)`` in."""
    names = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(kind, inputs, names, name="it", **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 8, 8))],
        [helper.make_tensor_value_info(name, dtype, None) for name in names],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", version)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return ir.serde.deserialize_model(onnx.shape_inference.infer_shapes(proto))


def _answers(proto: onnx.ModelProto) -> list[Any]:
    onnx.checker.check_model(proto, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    draw = np.random.default_rng(0)
    return list(session.run(None, {"x": draw.normal(size=(1, 4, 8, 8)).astype(np.float32)}))


PAD = np.array([0] * 6 + [1, 1])
NORM = {"a": _ONES, "b": _ONES, "c": _ONES, "d": _ONES}

DOWN: dict[str, Callable[[], ir.Model]] = {
    "a newer form of the same": lambda: _one("Relu", 17),
    "two activations": lambda: _one("Add", 17, inputs=["x", "x"]),
    "batch norm": lambda: _one(
        "BatchNormalization",
        15,
        inputs=["x", *NORM],
        constants=NORM,
        training_mode=0,
    ),
    "an attribute that says nothing": lambda: _one(
        "Reshape", 19, inputs=["x", "s"], constants={"s": np.array([1, -1])}, allowzero=0
    ),
    "a cast": lambda: _one("Cast", 19, to=1, saturate=1),
    "a start that is the first": lambda: _one("Shape", 15, dtype=TensorProto.INT64, start=0),
    "dilations of 1": lambda: _one("AveragePool", 19, kernel_shape=[2, 2], dilations=[1, 1]),
    "axes as input": lambda: _one(
        "ReduceMean", 18, inputs=["x", "axes"], constants={"axes": np.array([2, 3])}
    ),
    "all axes": lambda: _one("ReduceMean", 18, keepdims=0),
    "a count of parts": lambda: _one("Split", 18, outputs=2, num_outputs=2, axis=1),
    "padding": lambda: _one("Pad", 18, inputs=["x", "p"], constants={"p": PAD}),
    "a resize": lambda: _one(
        "Resize",
        18,
        inputs=["x", "", "s"],
        constants={"s": np.array([1, 1, 2, 2], np.float32)},
        mode="linear",
        antialias=0,
    ),
    "HardSwish": lambda: _one("HardSwish", 14),
    "a newer HardSwish": lambda: _one("HardSwish", 22),
    "Mish": lambda: _one("Mish", 18),
}
UP: dict[str, Callable[[], ir.Model]] = {
    "axes as attribute": lambda: _one("ReduceMean", 13, axes=[2, 3]),
    "all axes": lambda: _one("ReduceMax", 13),
    "equal parts": lambda: _one("Split", 13, outputs=2, axis=1),
    "other parts": lambda: _one(
        "Split", 13, outputs=2, axis=1, inputs=["x", "s"], constants={"s": np.array([1, 3])}
    ),
    "padding": lambda: _one("Pad", 13, inputs=["x", "p"], constants={"p": PAD}),
    "a cast": lambda: _one("Cast", 13, to=1),
    "HardSwish": lambda: _one("HardSwish", 14),
}


@pytest.mark.parametrize("form", DOWN)
def test_a_node_at_opset_13_answers_as_before(form: str) -> None:
    before = _answers(ir.serde.serialize_model(DOWN[form]()))
    model = convert(DOWN[form](), newest=13, newest_ir=7)
    assert (opset(model), model.ir_version) == (13, 7)
    for found, wanted in zip(_answers(ir.serde.serialize_model(model)), before, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", UP)
def test_a_node_at_opset_19_answers_as_before(form: str) -> None:
    before = _answers(ir.serde.serialize_model(UP[form]()))
    model = convert(UP[form](), oldest=19)
    assert opset(model) == 19
    for found, wanted in zip(_answers(ir.serde.serialize_model(model)), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("version", [13, 15, 17, 19, 20])
@pytest.mark.parametrize("network", [block, mixed])
def test_a_network_keeps_its_names_and_answers_bit_for_bit(
    network: Callable[[], ir.Model], version: int
) -> None:
    model = network()
    fix_size(model, (16, 16))
    wanted, names = run(model, pictures(), optimise=False), list(producers(model))
    up = convert(network(), oldest=version)
    assert up.ir_version >= {13: 7, 15: 8, 17: 8, 19: 9, 20: 9}[version]
    down = convert(up.clone(), newest=13, newest_ir=7)
    for moved, opsets in ((up, version), (down, 13)):
        fix_size(moved, (16, 16))
        assert opset(moved) == opsets
        assert list(producers(moved)) == names
        onnx.checker.check_model(ir.serde.serialize_model(moved), full_check=True)
        np.testing.assert_array_equal(run(moved, pictures(), optimise=False), wanted)


def test_the_real_networks_answer_at_opset_13_and_19_as_they_are(shared: Any) -> None:
    for path in sorted((shared / "weights" / "onnx").glob("*.onnx")):
        proto = onnx.load(path)
        image = pictures(1, int(path.stem.split("_")[3]))
        answers = []
        for wanted in (17, 13, 19):
            model = ir.serde.deserialize_model(proto)
            names = list(producers(model))
            model = convert(model, oldest=wanted, newest=wanted, newest_ir=7 if wanted < 17 else 9)
            fix_size(model, None)
            assert list(producers(model)) == names
            image_name = model.graph.inputs[0].name or ""
            data = ir.serde.serialize_model(model).SerializeToString()
            session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
            answers.append(session.run(None, {image_name: image})[0])
        np.testing.assert_array_equal(answers[1], answers[0])
        np.testing.assert_array_equal(answers[2], answers[0])


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (
            _one("Gelu", 20),
            r"1 node cannot .* opset 13, .* opset 20: Gelu 'it' \(it needs opset 20",
        ),
        (
            _one(
                "LayerNormalization", 17, inputs=["x", "s"], constants={"s": np.ones(8, np.float32)}
            ),
            r"LayerNormalization 'it' \(it needs opset 17",
        ),
        (
            _one("GroupNormalization", 21, inputs=["x", "a", "a"], constants=NORM, num_groups=2),
            r"GroupNormalization 'it' \(it means something else before opset 21",
        ),
        (_one("Shape", 19, dtype=TensorProto.INT64, start=1), r"Shape 'it' \(start needs opset 19"),
        (
            _one("AveragePool", 19, kernel_shape=[2, 2], dilations=[2, 2]),
            r"AveragePool 'it' \(dilations needs opset 19",
        ),
        (
            _one("Pad", 19, inputs=["x", "p"], constants={"p": PAD}, mode="wrap"),
            r"Pad 'it' \(mode wrap needs opset 19",
        ),
        (
            _one(
                "Pad",
                18,
                inputs=["x", "p", "", "a"],
                constants={"p": np.array([0, 0, 1, 1]), "a": np.array([2, 3])},
            ),
            r"Pad 'it' \(input 3 needs opset 18",
        ),
    ],
    ids=["operator", "older operator", "meaning", "attribute", "dilations", "value", "input"],
)
def test_what_opset_13_has_not_is_refused_by_operator_node_and_opset(
    model: ir.Model, problem: str
) -> None:
    with pytest.raises(BuildError, match=problem):
        convert(model, newest=13)


def test_many_are_counted_and_some_named() -> None:
    nodes = [helper.make_node("Gelu", ["x"], [f"y{index}"]) for index in range(7)]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))
    graph = helper.make_graph(nodes, "many", [value], [])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    with pytest.raises(BuildError, match=r"7 nodes .*Gelu 'y4' \(it needs opset 20\); and 2 more"):
        convert(ir.serde.deserialize_model(proto), newest=17)


def test_axes_that_are_computed_stay_an_input_and_are_refused() -> None:
    model = _one("ReduceMean", 18, inputs=["x", "axes"], constants={"axes": np.array([2])})
    shape = ir.node("Shape", [model.graph.inputs[0]])
    model.graph.insert_before(model.graph[0], shape)
    model.graph[1].replace_input_with(1, shape.outputs[0])
    with pytest.raises(BuildError, match=r"ReduceMean 'it' \(input 1 needs opset 18"):
        convert(model, newest=17)


def test_an_output_that_is_gone_is_named() -> None:
    model = _one("BatchNormalization", 13, inputs=["x", *NORM], constants=NORM, outputs=5)
    with pytest.raises(BuildError, match=r"opset 19, .*BatchNormalization 'it' \(output 3 is gone"):
        convert(model, oldest=19)


def test_an_operator_that_onnx_never_had_is_refused() -> None:
    model = _one("Relu", 17)
    model.graph[0].op_type = "Rely"
    with pytest.raises(BuildError, match=r"Rely 'it' \(opset 17 has no such operator"):
        convert(model, newest=13)


def test_a_node_inside_another_is_found() -> None:
    inner = helper.make_graph(
        [helper.make_node("Gelu", ["x"], ["inner"], name="hidden")],
        "inner",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    yes = {"c": np.ones((), bool)}
    model = _one("If", 20, inputs=["c"], constants=yes, then_branch=inner, else_branch=inner)
    with pytest.raises(BuildError, match="Gelu 'hidden'"):
        convert(model, newest=13)


def test_operators_of_others_stay() -> None:
    model = _one("Relu", 17)
    other = ir.node("Thing", [model.graph.inputs[0]], domain="somebody")
    model.opset_imports["somebody"] = 1
    model.graph.append(other)
    assert kinds(convert(model, newest=13)) == ["Relu", "Thing"]


def test_below_opset_13_nothing_is_moved() -> None:
    with pytest.raises(BuildError, match="the model is opset 11 and opset 19 is wanted"):
        convert(_one("Relu", 11), oldest=19)
    assert opset(convert(_one("Relu", 11), newest=13)) == 11


def test_without_limits_nothing_changes() -> None:
    model = block(opset=17)
    before = ir.serde.serialize_model(model).SerializeToString(deterministic=True)
    again = convert(model)
    assert ir.serde.serialize_model(again).SerializeToString(deterministic=True) == before


def test_metadata_of_nodes_goes_where_the_ir_version_has_no_place_for_it() -> None:
    for newest, left in ((10, {"who": "me"}), (9, {})):
        model = _one("Relu", 17)
        model.ir_version = 11
        node = producers(model)["y0"]
        for holder in (node, node.outputs[0], model.graph, model.graph.inputs[0], model):
            holder.metadata_props["who"] = "me"
        model = convert(model, newest_ir=newest)
        assert model.ir_version == newest
        node = producers(model)["y0"]
        for holder in (node, node.outputs[0], model.graph, model.graph.inputs[0]):
            assert holder.metadata_props == left
        assert model.metadata_props == {"who": "me"}


def test_functions_of_the_model_are_opened() -> None:
    proto = helper.make_model(
        helper.make_graph(
            [helper.make_node("Twice", ["x"], ["y0"], domain="ours")],
            "one",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 8, 8))],
            [helper.make_tensor_value_info("y0", TensorProto.FLOAT, (1, 4, 8, 8))],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ours", 1)],
        functions=[
            helper.make_function(
                "ours",
                "Twice",
                ["a"],
                ["b"],
                [helper.make_node("Add", ["a", "a"], ["b"])],
                [helper.make_opsetid("", 17)],
            )
        ],
        ir_version=9,
    )
    wanted = _answers(proto)
    moved = convert(ir.serde.deserialize_model(proto), newest=13, newest_ir=7)
    assert kinds(moved) == ["Add"]
    np.testing.assert_array_equal(_answers(ir.serde.serialize_model(moved)), wanted)
