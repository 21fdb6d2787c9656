"""The input's size: fixed where it is known, with every shape behind it inferred."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveInitializersFromInputsPass

from edgedeploy.errors import BuildError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PADDED = frozenset({"AveragePool", "Conv", "MaxPool"})


def fix_size(model: ir.Model, side: tuple[int, int] | None) -> None:
    """Fix the input's height and width, and infer the shapes of everything else.

    A batch axis of any length is called ``N``, an unknown height and width ``H`` and ``W``, also
    where the file gives both one name. ``auto_pad`` becomes explicit pads where the size is known.

    Args:
        model: One image input, ``(N, 3, H, W)``.
        side: Height and width in pixels; None leaves what is unknown unknown.

    Raises:
        UsageError: The model has another size.
        BuildError: The shapes do not fit each other at that size.
    """
    RemoveInitializersFromInputsPass()(model)
    image = model.graph.inputs[0]
    image.shape = ir.Shape(_image_shape(image, side))
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.shape = None
    _infer(model, side)
    for node in model.graph:
        _pad_explicitly(node)


def _image_shape(image: ir.Value, side: tuple[int, int] | None) -> list[int | str]:
    found: list[object] = list(image.shape or ())
    if len(found) != 4:
        found = [None, 3, None, None]
    known = [n if isinstance(n, int) and n > 0 else None for n in found]
    if side is not None and any(
        have not in (None, want) for have, want in zip(known[2:], side, strict=True)
    ):
        raise UsageError(
            f"the model takes {known[2] or 'any'}x{known[3] or 'any'} pixels, "
            f"{side[0]}x{side[1]} were asked for",
            fix="leave the size out, or export the model at that size",
        )
    height, width = side or (known[2] or "H", known[3] or "W")
    return [known[0] or "N", known[1] or 3, height, width]


def _infer(model: ir.Model, side: tuple[int, int] | None) -> None:
    """Write ONNX's inferred shapes and types into the graph."""
    try:
        proto = onnx.shape_inference.infer_shapes(
            ir.serde.serialize_model(model), check_type=True, strict_mode=True, data_prop=True
        )
    except onnx.shape_inference.InferenceError as error:
        size = "any size" if side is None else f"{side[0]}x{side[1]}"
        raise BuildError(
            f"the shapes of the model do not fit at {size}: {str(error).strip().splitlines()[0]}",
            fix="pass the size that the model was made for: --resolution R",
        ) from error
    inferred = {info.name: info.type for info in (*proto.graph.value_info, *proto.graph.output)}
    for node in model.graph:
        for value in node.outputs:
            if value.name in inferred:
                value.shape = ir.serde.deserialize_type_proto_for_shape(inferred[value.name])
                value.type = ir.serde.deserialize_type_proto_for_type(inferred[value.name])


def _pad_explicitly(node: ir.Node) -> None:
    """Replace ``auto_pad`` by the pads it stands for, where the input's size decides them."""
    rule = node.attributes.get_string("auto_pad", "NOTSET")
    if node.op_type not in _PADDED or rule == "NOTSET":
        return
    sides = [] if node.inputs[0] is None else list(node.inputs[0].shape or ())[2:]
    kernel = _kernel(node)
    pads = list(_pads(node, sides, kernel, upper=rule == "SAME_UPPER"))
    if rule == "VALID":
        pads = [(0, 0)] * len(kernel)
    if any(pair is None for pair in pads):
        return
    begin, end = zip(*pads, strict=True)
    node.attributes.pop("auto_pad")
    node.attributes.add(ir.AttrInt64s("pads", [*begin, *end]))


def _pads(
    node: ir.Node, sides: Sequence[object], kernel: list[int], *, upper: bool
) -> Iterator[tuple[int, int] | None]:
    """Yield the zeros (before, after) every axis; None where the length is not known.

    Source:
        ONNX operators, Conv, ``auto_pad``: the output is ceil(input / stride) long.
    """
    strides = node.attributes.get_ints("strides", [1] * len(kernel))
    dilations = node.attributes.get_ints("dilations", [1] * len(kernel))
    for axis, (length, step, dilation) in enumerate(zip(kernel, strides, dilations, strict=True)):
        reach = (length - 1) * dilation + 1
        side = sides[axis] if axis < len(sides) else None
        if step == 1:
            total = reach - 1
        elif isinstance(side, int):
            total = max((-(-side // step) - 1) * step + reach - side, 0)
        else:
            yield None
            continue
        small, large = total // 2, total - total // 2
        yield (small, large) if upper else (large, small)


def _kernel(node: ir.Node) -> list[int]:
    if "kernel_shape" in node.attributes:
        return list(node.attributes["kernel_shape"].as_ints())
    weight = node.inputs[1]
    shape = () if weight is None or weight.shape is None else weight.shape[2:]
    return [int(n) for n in shape if isinstance(n, int)]
