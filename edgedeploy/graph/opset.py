"""The pass that moves a graph to another ONNX opset, up or down, or says which nodes cannot move.

ONNX's own version converter has no way from opset 14 down to 13 for Add, Relu or Reshape, so that
no MobileNetV2 would pass. Here a node stays as it is where the other opset's schema has room for
it, and a few operators are rewritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from edgedeploy.errors import BuildError
from edgedeploy.graph.constants import add_constant, array_of, opset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx.defs import OpSchema

_SHOWN = 5
# The first opset with attributes and inputs of one and the same meaning as the last has: a schema
# does not say so where neither was renamed.
_REDEFINED = {"GridSample": 20, "GroupNormalization": 21, "RoiAlign": 16}
# Values that an attribute took on later than it came.
_LATER_VALUES = {
    ("Pad", "mode", "wrap"): 19,
    ("Resize", "coordinate_transformation_mode", "half_pixel_symmetric"): 19,
    ("ScatterElements", "reduction", "max"): 18,
    ("ScatterElements", "reduction", "min"): 18,
    ("ScatterND", "reduction", "max"): 18,
    ("ScatterND", "reduction", "min"): 18,
}
_REDUCE_AXES_INPUT = 18
_SPLIT_COUNTED = 18
_REDUCTIONS = frozenset(
    f"Reduce{kind}"
    for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
)
# Activations that opset 13 lacks: x times these of x, as ONNX defines them.
_GATES: dict[str, tuple[tuple[str, dict[str, float]], ...]] = {
    "HardSwish": (("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),),
    "Mish": (("Softplus", {}), ("Tanh", {})),
}
# Metadata of nodes and tensors came with this IR version.
_IR_METADATA = 10


def convert(
    model: ir.Model, *, oldest: int = 0, newest: int | None = None, newest_ir: int | None = None
) -> ir.Model:
    """Return the model between two opsets, at the nearest to its own; names of tensors stay.

    Args:
        model: Float; may be changed. Opset 13 or newer where it has to move.
        oldest: Of the result.
        newest: Of the result; None: as it is.
        newest_ir: Newest IR version of the result; None: as it is, or newer where the opset asks.

    Raises:
        BuildError: Nodes cannot be had at that opset; their operators and names, and the opsets
            that they need.
    """
    found = opset(model)
    target = max(found, oldest) if newest is None else min(max(found, oldest), newest)
    if target != found:
        model = _moved(model, target)
    if newest_ir is not None and model.ir_version > newest_ir:
        model.ir_version = newest_ir
        if newest_ir < _IR_METADATA:
            _forget_metadata(model.graph)
    return model


def _moved(model: ir.Model, target: int) -> ir.Model:
    if min(opset(model), target) < 13:
        raise BuildError(
            f"the model is opset {opset(model)} and opset {target} is wanted: below 13 is another "
            "ONNX",
            fix=f"export it again with opset {max(target, 13)}, or convert it with "
            "onnx.version_converter",
        )
    if model.functions:
        InlinePass()(model)
    found = opset(model)
    problems = []
    for node in [node for node in model.graph.all_nodes() if _is_onnx(node)]:
        _rewrite(node, found, target)
        needed = _needed(node, found, target)
        if needed is not None:
            problems.append(f"{node.op_type} {_name(node)!r} ({needed})")
    if problems:
        raise _refusal(problems, found, target)
    model.opset_imports[""] = target
    needs = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", target)])
    model.ir_version = max(model.ir_version, needs)
    return model


def _refusal(problems: list[str], found: int, target: int) -> BuildError:
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    some = "node" if len(problems) == 1 else "nodes"
    return BuildError(
        f"{len(problems)} {some} cannot be had at opset {target}, which is wanted of this model "
        f"of opset {found}: {'; '.join(problems[:_SHOWN])}{more}",
        fix=f"replace these operators in the model, or export it again with opset {target}",
    )


def _needed(node: ir.Node, found: int, target: int) -> str | None:
    """Return what a node needs that the target has not; None if it can stay as it is."""
    here, there = _schema(node, found), _schema(node, target)
    if here is None:
        return f"opset {found} has no such operator"
    if there is not None and here.since_version == there.since_version:
        return None
    older = min(found, target)
    border = _REDEFINED.get(node.op_type)
    if border is not None and older < border <= max(found, target):
        return f"it means something else before opset {border}"
    if there is None or there.deprecated:
        return f"it needs opset {_first(node, older, here.since_version)}"
    lacks = next(_misfits(node, here, there, target), None)
    if lacks is None:
        return None
    return f"{lacks} needs opset {here.since_version}" if target < found else f"{lacks} is gone"


def _misfits(node: ir.Node, here: OpSchema, there: OpSchema, target: int) -> Iterator[str]:
    """Yield what of a node has no place in another opset; drop what says nothing there."""
    for name in tuple(node.attributes):
        value = node.attributes[name].value
        if name not in there.attributes:
            if value == _default(here, name) or (name == "dilations" and set(value) == {1}):
                del node.attributes[name]
            else:
                yield name
        elif _LATER_VALUES.get((node.op_type, name, str(value)), 0) > target:
            yield f"{name} {value}"
    inputs = [index for index, value in enumerate(node.inputs) if value is not None]
    if inputs and inputs[-1] >= there.max_input:
        yield f"input {inputs[-1]}"
    if len(node.outputs) > there.max_output:
        yield f"output {there.max_output}"


def _rewrite(node: ir.Node, found: int, target: int) -> None:
    """Say the same in the other opset's words, for the operators whose words changed."""
    graph = cast("ir.Graph", node.graph)  # a node of a function is in none, and they are opened
    if node.op_type in _GATES and _schema(node, target) is None:
        _to_gate(node, graph)
    elif node.op_type in _REDUCTIONS:
        if target < _REDUCE_AXES_INPUT <= found:
            _axes_to_attribute(node)
        if found < _REDUCE_AXES_INPUT <= target:
            _axes_to_input(node, graph)
    elif node.op_type == "Split":
        if target < _SPLIT_COUNTED <= found:
            node.attributes.pop("num_outputs", None)  # equal parts, if they are; else refused
        if found < _SPLIT_COUNTED <= target and (len(node.inputs) < 2 or node.inputs[1] is None):
            node.attributes["num_outputs"] = ir.AttrInt64("num_outputs", len(node.outputs))


def _axes_to_attribute(node: ir.Node) -> None:
    value = node.inputs[1] if len(node.inputs) > 1 else None
    axes = array_of(value)
    if axes is None or (not axes.size and node.attributes.get_int("noop_with_empty_axes", 0) == 1):
        return
    node.resize_inputs(1)
    if value is not None and value.is_initializer() and not value.uses() and value.graph:
        value.graph.initializers.pop(value.name or "")
    if axes.size:
        node.attributes["axes"] = ir.AttrInt64s("axes", [int(axis) for axis in axes])


def _axes_to_input(node: ir.Node, graph: ir.Graph) -> None:
    axes = node.attributes.pop("axes", None)
    if axes is not None:
        array = np.asarray(axes.as_ints(), np.int64)
        node.resize_inputs(2)
        node.replace_input_with(1, add_constant(graph, f"{node.outputs[0].name}/axes", array))


def _to_gate(node: ir.Node, graph: ir.Graph) -> None:
    """Make a node the product of its input and a gate of it."""
    value, output = node.inputs[0], node.outputs[0]
    for kind, attributes in _GATES[node.op_type]:
        name = f"{output.name}/{kind.lower()}"
        result = ir.Value(name=name, shape=output.shape, type=output.type)
        step = ir.node(kind, [value], attributes, outputs=[result], name=name)
        graph.insert_before(node, step)
        value = result
    node.op_type = "Mul"
    node.resize_inputs(2)
    node.replace_input_with(1, value)


def _schema(node: ir.Node, version: int) -> OpSchema | None:
    try:
        return onnx.defs.get_schema(node.op_type, version, "")
    except onnx.defs.SchemaError:
        return None


def _first(node: ir.Node, after: int, last: int) -> int:
    """Return the first opset after ``after`` that has a node's operator; ``last`` has it."""
    return next(version for version in range(after, last + 1) if _schema(node, version))


def _default(schema: OpSchema, name: str) -> object:
    attribute = schema.attributes.get(name)
    if attribute is None or not attribute.default_value.name:
        return None
    value = onnx.helper.get_attribute_value(attribute.default_value)
    return value.decode() if isinstance(value, bytes) else value


def _is_onnx(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx")


def _name(node: ir.Node) -> str:
    return node.name or node.outputs[0].name or ""


def _forget_metadata(graph: ir.Graph) -> None:
    """Drop what only tools read, of nodes and tensors."""
    graph.metadata_props.clear()
    for node in graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*graph.inputs, *graph.initializers.values()):
        value.metadata_props.clear()
