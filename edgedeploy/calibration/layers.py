"""What the channels of a float network are like: their largest values and their moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper

from edgedeploy.calibration.observing import check_finite, pictures
from edgedeploy.graph.placement import is_weighted
from edgedeploy.graph_session import session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

    from edgedeploy.types import Array


@dataclass(frozen=True, slots=True)
class Channels:
    """Statistics of channels over all pictures and positions.

    Attributes:
        largest: By tensor, ``(channels,)``: the largest magnitude.
        variances: By tensor, ``(channels,)`` float64.
        means: The same, and of every layer's output.
    """

    largest: dict[str, Array]
    variances: dict[str, Array]
    means: dict[str, Array]


def observe_channels(
    model: ir.Model,
    extremes: Sequence[str],
    moments: Sequence[str],
    batches: Iterable[Array],
    *,
    threads: int | None = None,
) -> Channels:
    """Return largest magnitudes, means and variances as asked, and the means of layers' outputs.

    ONNX Runtime reduces the tensors itself, picture by picture.

    Args:
        model: Float, shapes inferred; it stays as it is.
        extremes: Activations with channels on axis 1, whose largest magnitudes are returned.
        moments: The same, whose means and variances are.
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
    reductions = [
        *((name, "Max") for name in dict.fromkeys(extremes)),
        *((name, "Square") for name in dict.fromkeys(moments)),
        *((name, "Mean") for name in dict.fromkeys([*moments, *layers])),
    ]
    outputs = [_reduce(proto, name, kind, axes[name]) for name, kind in reductions]
    loaded = session(proto, threads)
    totals: dict[tuple[str, str], Array] = {}
    count = 0
    for picture in pictures(batches):
        found = loaded.run(outputs, {model.graph.inputs[0].name or "": picture})
        check_finite([name for name, _ in reductions], np.array([v.sum() for v in found]))
        for key, values in zip(reductions, found, strict=True):
            before = totals.get(key, 0.0)
            wide = values.astype(np.float64)
            totals[key] = np.maximum(before, wide) if key[1] == "Max" else before + wide
        count += 1
    means = {name: totals[name, "Mean"] / count for name in dict.fromkeys([*moments, *layers])}
    return Channels(
        largest={name: totals[name, "Max"] for name in extremes},
        variances={
            name: np.maximum(totals[name, "Square"] / count - means[name] ** 2, 0.0)
            for name in moments
        },
        means=means,
    )


def _reduce(proto: onnx.ModelProto, name: str, kind: str, axes: Sequence[int]) -> str:
    """Append the largest magnitude, mean or mean square of each channel; return its name."""
    output, source = f"{name}/{kind} by channel", name
    if kind == "Max":
        source = f"{name}/magnitudes"
        proto.graph.node.append(helper.make_node("Abs", [name], [source]))
    elif kind == "Square":
        source, kind = f"{name}/squares", "Mean"
        proto.graph.node.append(helper.make_node("Mul", [name, name], [source]))
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
