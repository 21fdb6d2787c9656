from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.calibration_values import QdqStyle, TensorRange
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.placement import place
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensor_ranges import every_range, float_tensors
from edgedeploy.graph.tensors import activations
from tests.graph.networks import block, mixed, ranges

if TYPE_CHECKING:
    from collections.abc import Callable

FORMS: dict[str, Callable[[], ir.Model]] = {
    "block": block,
    "norm": lambda: block(norm=True),
    "Gemm": lambda: block(gemm="Gemm", softmax=True),
    "MatMul": lambda: block(gemm="MatMul", norm=True),
    "mixed": mixed,
    "constants": lambda: mixed(constants=True),
}


def _of(low: float, high: float) -> TensorRange:
    return TensorRange(min=low, max=high, low=low, high=high)


def _chain(*nodes: tuple[str, list[str], str], **constants: object) -> ir.Model:
    """Nodes ``(operator, inputs, output)`` of ``x``, ``(1, 4, 8, 8)``; the last is the output."""
    made = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes]
    graph = helper.make_graph(
        made,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 8, 8))],
        [helper.make_tensor_value_info(nodes[-1][2], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    model = ir.serde.deserialize_model(proto)
    for value in (*model.graph.inputs, *(v for n in model.graph for v in n.outputs)):
        value.type = ir.TensorType(ir.DataType.FLOAT)
    return model


@pytest.mark.parametrize("style", ["both", "s8"])
@pytest.mark.parametrize("form", FORMS)
def test_every_float_tensor_gets_a_range_also_with_those_that_s8_needs_alone(
    form: str, style: str
) -> None:
    model = FORMS[form]()
    fix_size(model, (16, 16))
    whole = FORMS[form]()
    fix_size(whole, (16, 16))
    fold_batch_norm(model)
    names = set(activations(model))
    if style == "s8":
        points = place(model.graph, QdqStyle.S8).points
        names = {source.name or "" for _, source in points}
    known = ranges(names)
    for graph in (model, whole):  # batch norm folded, and as the file has it
        found, unknown = every_range(graph, known)
        every = [value.name for value in float_tensors(graph.graph)]
        missing = set(every) - set(found)
        # a classifier's logits that s8 leaves in float are nobody's neighbour
        assert (
            missing == set(unknown) <= ({"logits", "classifier/conv"} if style == "s8" else set())
        )
        assert list(found) == [name for name in every if name in found]
        assert all(found[name] == known[name] for name in names if name in found)


def test_what_lies_before_an_activation_has_its_range() -> None:
    model = block(norm=True)
    fix_size(model, (16, 16))
    found, _ = every_range(model, {"stem/act": _of(0, 6), "head/act": _of(0, 9)})
    assert [found[f"stem/{part}"] for part in ("conv", "norm", "act")] == [_of(0, 6)] * 3
    assert found["head/conv"] == _of(0, 9)
    assert found["pool"] == _of(0, 9)


@pytest.mark.parametrize(
    ("nodes", "known", "wanted"),
    [
        ([("Relu", ["x"], "y")], {"x": _of(-3, 5)}, {"y": _of(0, 5)}),
        ([("Clip", ["x", "zero", "six"], "y")], {"x": _of(-3, 5)}, {"y": _of(0, 5)}),
        ([("Clip", ["x", "zero", "six"], "y")], {"x": _of(-3, 50)}, {"y": _of(0, 6)}),
        ([("Clip", ["x"], "y")], {"x": _of(-3, 50)}, {"y": _of(-3, 50)}),
        ([("Softmax", ["x"], "y")], {}, {"y": _of(0, 1)}),
        ([("Tanh", ["x"], "y")], {}, {"y": _of(-1, 1)}),
        ([("Add", ["x", "x"], "y")], {"x": _of(-1, 2)}, {"y": _of(-2, 4)}),
        ([("Add", ["x", "six"], "y")], {"x": _of(-1, 2)}, {"y": _of(5, 8)}),
        ([("Add", ["x", "six"], "y")], {"y": _of(5, 8)}, {"x": _of(-1, 2)}),
        ([("GlobalAveragePool", ["x"], "y")], {"x": _of(-1, 2)}, {"y": _of(-1, 2)}),
        ([("GlobalAveragePool", ["x"], "y")], {"y": _of(-1, 2)}, {}),
        ([("Pad", ["x", "pads"], "y")], {"x": _of(-1, 2)}, {"y": _of(-1, 2)}),
        ([("Pad", ["x", "pads", "six"], "y")], {"x": _of(-1, 2)}, {}),
        ([("Pad", ["x", "pads", "six"], "y")], {"y": _of(-1, 6)}, {"x": _of(-1, 6)}),
        ([("Concat", ["x", "x"], "y")], {"y": _of(-1, 6)}, {"x": _of(-1, 6)}),
        ([("Relu", ["x"], "r"), ("Exp", ["x"], "y")], {"r": _of(0, 6)}, {}),
        ([("Exp", ["x"], "e"), ("Relu", ["e"], "y")], {"y": _of(0, 7)}, {"e": _of(0, 7)}),
    ],
)
def test_ranges_follow_what_operators_do(
    nodes: list[tuple[str, list[str], str]],
    known: dict[str, TensorRange],
    wanted: dict[str, TensorRange],
) -> None:
    model = _chain(
        *nodes, zero=np.float32(0), six=np.float32(6), pads=np.array([0, 0, 1, 1, 0, 0, 1, 1])
    )
    found, unknown = every_range(model, known)
    assert {name: found[name] for name in found if name not in known} == wanted
    tensors = {value.name for value in float_tensors(model.graph)}
    assert set(unknown) == tensors - set(known) - set(wanted)


def test_integers_and_constants_are_no_activations() -> None:
    model = mixed(constants=True)
    shape = ir.node("Shape", [model.graph.inputs[0]])
    shape.outputs[0].name = "shape"
    model.graph.append(shape)
    fix_size(model, (16, 16))
    names = [value.name for value in float_tensors(model.graph)]
    assert "shape" not in names
    assert not [name for name in names if name and name.endswith("/w")]
    assert names[0] == "image"
