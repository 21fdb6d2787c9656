"""Running a model on images and watching its activations; nothing is kept but the statistics."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

from edgedeploy.calibration.channels import Channels
from edgedeploy.calibration.histogram import Histogram
from edgedeploy.errors import FileError
from edgedeploy.graph_session import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from edgedeploy.types import Array

_MOST_THREADS = 4  # NumPy counts on one at a time, and rounds beside it

Extremes = dict[str, tuple[float, float]]


def observe_extremes(
    model: ir.Model, names: Sequence[str], batches: Iterable[Array], *, threads: int | None = None
) -> Extremes:
    """Return the smallest and largest value of each named tensor.

    Pictures are fed one at a time, whatever batches they came in, so that no bit depends on those.
    ONNX Runtime reduces the tensors itself, so that their memory is reused as in plain inference.

    Args:
        model: Float; it stays as it is.
        names: Activations, the graph's input among them or not.
        batches: Inputs, ``(N, 3, H, W)`` float32.
        threads: Of ONNX Runtime; None leaves it the choice.

    Raises:
        FileError: ONNX Runtime refuses the model, or a value is not finite.
    """
    proto = ir.serde.serialize_model(model)
    # the mean only tells whether all values are finite: a maximum may pass over a NaN
    outputs = [_reduce(proto, names, kind) for kind in ("ReduceMin", "ReduceMax", "ReduceMean")]
    loaded = session(proto, threads)
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    feed = model.graph.inputs[0].name or ""
    for picture in pictures(batches):
        smallest, largest, mean = loaded.run(outputs, {feed: picture})
        check_finite(names, mean)
        low, high = np.minimum(low, smallest), np.maximum(high, largest)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}


def observe_histograms(
    model: ir.Model, names: Sequence[str], batches: Iterable[Array], *, threads: int | None = None
) -> dict[str, Histogram]:
    """Return a histogram of each named tensor; see `observe_extremes` for the arguments."""
    histograms = {name: Histogram() for name in names}
    _watch(model, batches, {name: found.add for name, found in histograms.items()}, threads)
    return histograms


class Observation:
    """What was seen of one tensor.

    Attributes:
        histogram: Of all its values.
        channels: Of each of its channels, those of axis 1; a tensor without one has one channel.
    """

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.channels = Channels(0)

    def add(self, values: Array) -> None:
        """Count one picture's float32 values, ``(1, C, …)``.

        Raises:
            ValueError: One of them is not finite.
        """
        count = values.shape[1] if values.ndim > 1 else 1
        if self.channels.count == 0:
            self.channels = Channels(count)
        self.histogram.add(values)
        self.channels.add(values.reshape(count, -1))


def observe(
    model: ir.Model, names: Sequence[str], batches: Iterable[Array], *, threads: int | None = None
) -> dict[str, Observation]:
    """Return what is seen of each named tensor, whole and by channel.

    See `observe_extremes` for the arguments.
    """
    found = {name: Observation() for name in names}
    _watch(model, batches, {name: seen.add for name, seen in found.items()}, threads)
    return found


def _watch(
    model: ir.Model,
    batches: Iterable[Array],
    watchers: Mapping[str, Callable[[Array], None]],
    threads: int | None,
) -> None:
    """Call each tensor's watcher with its values of each picture, one picture after the other.

    Watchers of different tensors run side by side, the same one never.
    """
    proto = ir.serde.serialize_model(model)
    feed = model.graph.inputs[0].name or ""
    present = {value.name for value in proto.graph.output}
    watched = [name for name in watchers if name != feed]
    proto.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in watched
        if name not in present
    )
    loaded = session(proto, threads)
    found: dict[str, Array] = {}

    def see(name: str) -> None:
        try:
            watchers[name](found.pop(name))  # freed before the next picture's are made
        except ValueError as error:
            raise _not_finite(name) from error

    with ThreadPoolExecutor(min(threads or os.cpu_count() or 1, _MOST_THREADS)) as pool:
        for picture in pictures(batches):
            found.update(zip(watched, loaded.run(watched, {feed: picture}), strict=True))
            found[feed] = picture
            for _ in pool.map(see, watchers):
                pass  # an error in a watcher is raised here


def pictures(batches: Iterable[Array]) -> Iterator[Array]:
    """Take batches apart into pictures, ``(1, 3, H, W)``, each a view."""
    for batch in batches:
        yield from np.split(batch, len(batch))


def _reduce(proto: onnx.ModelProto, names: Sequence[str], kind: str) -> str:
    """Append ``kind`` of each tensor, and of all of them one vector; return its name."""
    singles = [f"{name}/{kind}" for name in names]
    for name, single in zip(names, singles, strict=True):
        flat = f"{single}/flat"  # one axis: the form that ONNX Runtime reduces in parallel
        proto.graph.node.append(helper.make_node("Flatten", [name], [flat], axis=0))
        proto.graph.node.append(helper.make_node(kind, [flat], [single], keepdims=0))
        proto.graph.node.append(
            helper.make_node("Unsqueeze", [single, "edgedeploy/axis"], [f"{single}/1d"])
        )
    if all(tensor.name != "edgedeploy/axis" for tensor in proto.graph.initializer):
        proto.graph.initializer.append(
            helper.make_tensor("edgedeploy/axis", TensorProto.INT64, [1], [0])
        )
    output = f"edgedeploy/{kind}"
    parts = [f"{single}/1d" for single in singles]
    proto.graph.node.append(helper.make_node("Concat", parts, [output], axis=0))
    proto.graph.output.append(
        helper.make_tensor_value_info(output, TensorProto.FLOAT, [len(names)])
    )
    return output


def check_finite(names: Sequence[str], means: Array) -> None:
    """Refuse tensors that hold an infinity or no number.

    Args:
        names: Of the tensors.
        means: One number of each, finite only if all its values are.

    Raises:
        FileError: One is not finite.
    """
    finite = np.isfinite(means)
    if not finite.all():
        raise _not_finite(names[int(np.argmin(finite))])


def _not_finite(name: str) -> FileError:
    return FileError(
        f"the activation {name} has values that are not finite",
        fix="check the weights, and --mean and --std",
    )
