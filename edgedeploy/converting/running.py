"""Running a network while it is converted: its answers, and the means of its channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper

from edgedeploy.errors import FileError
from edgedeploy.graph.constants import opset
from edgedeploy.graph_session import session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx

    from edgedeploy.types import Array

_AXES_ARE_INPUT = 18  # the opset where the axes of ReduceMean became one


@dataclass(frozen=True, slots=True)
class _Probe:
    """What is read of one tensor.

    Attributes:
        name: Of the tensor.
        nodes: What is computed of it, in float32; the last one's output is read.
        constants: That they read.
    """

    name: str
    nodes: tuple[onnx.NodeProto, ...]
    constants: tuple[onnx.TensorProto, ...] = ()

    @property
    def output(self) -> str:
        return str(self.nodes[-1].output[0])


def answers(model: ir.Model, pictures: Sequence[Array], threads: int | None) -> Array:
    """Return what a network answers, before a Softmax at its end: ``(pictures, …)`` float64.

    Raises:
        FileError: ONNX Runtime refuses the model, or an answer is not finite.
    """
    last = model.graph.outputs[0]
    producer = last.producer()
    if producer is not None and producer.op_type == "Softmax" and producer.inputs[0] is not None:
        last = producer.inputs[0]
    probe = _floats(last.name or "")
    found = np.concatenate([one for (one,) in _run(model, [probe], pictures, threads)])
    _check_finite(probe.name, found)
    return found


def channel_means(
    model: ir.Model, sizes: Mapping[str, int], pictures: Sequence[Array], threads: int | None
) -> dict[str, Array]:
    """Return the mean of each channel of some tensors over all pictures, ``(channels,)`` float64.

    Args:
        model: It stays as it is; what none of the tensors depends on is not computed.
        sizes: By tensor, how many axes it has; channels are axis 1.
        pictures: Inputs, ``(1, 3, H, W)`` float32.
        threads: Of ONNX Runtime; None leaves it the choice.

    Raises:
        FileError: ONNX Runtime refuses the model, or a mean is not finite.
    """
    probes = [_mean(name, axes, opset(model)) for name, axes in sizes.items()]
    found = [sum(several) for several in zip(*_run(model, probes, pictures, threads), strict=True)]
    means = {name: np.asarray(one) / len(pictures) for name, one in zip(sizes, found, strict=True)}
    for name, mean in means.items():
        _check_finite(name, mean)
    return means


def activity(
    model: ir.Model, name: str, axes: int, pictures: Sequence[Array], threads: int | None
) -> tuple[Array, Array]:
    """Return the mean of each channel behind an activation, and its share of values that are not 0.

    Args:
        model: It stays as it is.
        name: What a ReLU or Clip puts out.
        axes: How many axes it has.
        pictures: As for `channel_means`.
        threads: As for `channel_means`.
    """
    probes = [_mean(name, axes, opset(model)), _share(name, axes, opset(model))]
    mean, share = (
        sum(several) for several in zip(*_run(model, probes, pictures, threads), strict=True)
    )
    _check_finite(name, np.asarray(mean))
    return np.asarray(mean) / len(pictures), np.asarray(share) / len(pictures)


def _floats(name: str) -> _Probe:
    node = helper.make_node("Cast", [name], [f"{name}/float"], to=int(TensorProto.FLOAT))
    return _Probe(name, (node,))


def _mean(name: str, axes: int, version: int) -> _Probe:
    return _reduced(_floats(name), "mean", axes, version)


def _share(name: str, axes: int, version: int) -> _Probe:
    """Return the share of values that are not 0."""
    found, ones = f"{name}/is_active", f"{name}/active"
    nodes = (
        helper.make_node("Cast", [name], [found], to=int(TensorProto.BOOL)),
        helper.make_node("Cast", [found], [ones], to=int(TensorProto.FLOAT)),
    )
    return _reduced(_Probe(name, nodes), "share", axes, version)


def _reduced(probe: _Probe, word: str, axes: int, version: int) -> _Probe:
    """Return the mean by channel of what a probe computes."""
    others = [axis for axis in range(axes) if axis != 1]
    output, listed = f"{probe.name}/{word}", f"{probe.name}/{word}/axes"
    if version < _AXES_ARE_INPUT:
        node = helper.make_node("ReduceMean", [probe.output], [output], axes=others, keepdims=0)
        return _Probe(probe.name, (*probe.nodes, node))
    node = helper.make_node("ReduceMean", [probe.output, listed], [output], keepdims=0)
    constant = helper.make_tensor(listed, TensorProto.INT64, [len(others)], others)
    return _Probe(probe.name, (*probe.nodes, node), (constant,))


def _run(
    model: ir.Model, probes: Sequence[_Probe], pictures: Sequence[Array], threads: int | None
) -> Iterator[list[Array]]:
    """Yield what the probes read of each picture, float64."""
    proto = ir.serde.serialize_model(model)
    del proto.graph.output[:]  # what only they depend on is not computed
    for probe in probes:
        proto.graph.node.extend(probe.nodes)
        proto.graph.initializer.extend(probe.constants)
        proto.graph.output.append(
            helper.make_tensor_value_info(probe.output, TensorProto.FLOAT, None)
        )
    loaded = session(proto, threads)
    names = [probe.output for probe in probes]
    for picture in pictures:
        found = loaded.run(names, {model.graph.inputs[0].name or "": picture})
        yield [np.asarray(one, np.float64) for one in found]


def _check_finite(name: str, values: Array) -> None:
    if not np.isfinite(values).all():
        raise FileError(
            f"{name} has values that are not finite", fix="check the weights, and --mean and --std"
        )
