"""What the channels of a float network are like: their largest values, and the layers' means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper

from edgedeploy.calibration.observing import check_finite, pictures, session
from edgedeploy.graph.placement import is_weighted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

    from edgedeploy.types import Array


@dataclass(frozen=True, slots=True)
class Channels:
    """Statistics of channels over all pictures and positions.

    Attributes:
        largest: By tensor, ``(channels,)``: the largest magnitude.
        means: By a layer's output, ``(channels,)`` float64.
    """

    largest: dict[str, Array]
    means: dict[str, Array]


def observe_channels(
    model: ir.Model, names: Sequence[str], batches: Iterable[Array], *, threads: int | None = None
) -> Channels:
    """Return the largest magnitudes of the named tensors, and the means of all layers' outputs.

    ONNX Runtime reduces the tensors itself, picture by picture.

    Args:
        model: Float, shapes inferred; it stays as it is.
        names: Activations with channels on axis 1.
        batches: Inputs, ``(N, 3, H, W)`` float32.
        threads: Of ONNX Runtime; None leaves it the choice.

    Raises:
        FileError: ONNX Runtime refuses the model, or a mean is not finite.
    """
    proto = ir.serde.serialize_model(model)
    axes = {
        value.name or "": [axis for axis in range(len(value.shape)) if axis != 1]
        for node in model.graph
        for value in node.outputs
        if value.shape is not None and len(value.shape) > 1
    }
    layers = [node.outputs[0].name or "" for node in model.graph if is_weighted(node)]
    layers = [name for name in layers if name in axes]
    outputs = [_reduce(proto, name, "Max", axes[name]) for name in names]
    outputs += [_reduce(proto, name, "Mean", axes[name]) for name in layers]
    loaded = session(proto, threads)
    largest: list[Array] = [np.zeros(1)] * len(names)
    sums: list[Array] = [np.zeros(1)] * len(layers)
    count = 0
    for picture in pictures(batches):
        found = loaded.run(outputs, {model.graph.inputs[0].name: picture})
        tops, means = found[: len(names)], found[len(names) :]
        check_finite(layers, np.array([values.sum() for values in means]))
        largest = [np.maximum(a, b) for a, b in zip(largest, tops, strict=True)]
        sums = [a + b for a, b in zip(sums, means, strict=True)]
        count += 1
    return Channels(
        dict(zip(names, largest, strict=True)),
        {name: total / count for name, total in zip(layers, sums, strict=True)},
    )


def _reduce(proto: onnx.ModelProto, name: str, kind: str, axes: Sequence[int]) -> str:
    """Append the largest magnitude, or the mean, of each channel of a tensor; return its name."""
    output, source = f"{name}/{kind} by channel", name
    if kind == "Max":
        source = f"{name}/magnitudes"
        proto.graph.node.append(helper.make_node("Abs", [name], [source]))
    version = next(entry.version for entry in proto.opset_import if entry.domain == "")
    if version >= 18:  # where the axes of a reduction became an input
        listed = f"{output}/axes"
        proto.graph.initializer.append(
            helper.make_tensor(listed, TensorProto.INT64, [len(axes)], axes)
        )
        node = helper.make_node(f"Reduce{kind}", [source, listed], [output], keepdims=0)
    else:
        node = helper.make_node(f"Reduce{kind}", [source], [output], axes=axes, keepdims=0)
    proto.graph.node.append(node)
    proto.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    return output
