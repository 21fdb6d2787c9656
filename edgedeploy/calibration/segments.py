"""Running a graph piece by piece, on all pictures at once, with the integers between in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from edgedeploy.errors import FileError
from edgedeploy.graph_session import session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgedeploy.graph_session import Session
    from edgedeploy.types import Array

_BATCH = 8  # where the network takes any number
# it would give float weights behind a Q/DQ pair integers of its own, one scale for all channels
_DISABLED = ["WeightBiasQuantization"]


class Segments:
    """A quantised graph, cut before each layer.

    Segment 0 is what comes before the first layer, segment i starts with layer i. What goes from
    one to another are integers wherever there is a Q/DQ pair: the DequantizeLinear is repeated in
    every segment that reads it. Values that no segment to come reads are let go.

    Args:
        model: With Q/DQ pairs behind its activations; float weights. It stays as it is.
        layers: Names of the layers' outputs, in graph order.
        threads: Of ONNX Runtime; None leaves it the choice.
    """

    def __init__(self, model: ir.Model, layers: Sequence[str], threads: int | None) -> None:
        lifted = model.clone()  # a Constant node would be a value that goes between segments
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(lifted)
        self._proto = ir.serde.serialize_model(lifted)
        graph = self._proto.graph
        self._feed = graph.input[0].name
        batch = graph.input[0].type.tensor_type.shape.dim[0]
        self._batch = batch.dim_value if batch.HasField("dim_value") else _BATCH
        self._threads = threads
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._dequantising = {
            node.output[0]: node
            for node in graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] not in self._constants
        }
        self._quantising = {
            node.input[0]: node for node in graph.node if node.op_type == "QuantizeLinear"
        }
        self._pieces = _cut(list(graph.node), set(layers))
        self._reads = [self._external(piece) for piece in self._pieces]
        self._types = {
            value.name: value for value in (*graph.value_info, *graph.output, *graph.input)
        }
        self._live: dict[str, Array] = {}

    def start(self, pictures: Iterable[Array]) -> None:
        """Run segment 0 on inputs, ``(N, 3, H, W)`` float32 each."""
        piece = self._pieces[0]
        wanted = self._wanted(0)
        passed = self._feed in wanted
        outputs = [name for name in wanted if name != self._feed]
        loaded = self._session(piece, [self._feed], outputs, {}) if outputs else None
        parts: dict[str, list[Array]] = {name: [] for name in wanted}
        for picture in pictures:
            if loaded is not None:
                found = loaded.run(outputs, {self._feed: picture})
                for name, values in zip(outputs, found, strict=True):
                    parts[name].append(values)
            if passed:
                parts[self._feed].append(picture)
        self._live = {name: np.concatenate(values) for name, values in parts.items()}

    def input_of(self, layer: str) -> tuple[Array, Array, int]:
        """Return what the next layer reads: integers, their scale, and the one that stands for 0.

        Raises:
            FileError: Its input does not come out of a Q/DQ pair.
        """
        node = next(n for piece in self._pieces for n in piece if n.output[0] == layer)
        pair = self._dequantising.get(node.input[0])
        if pair is None:
            raise FileError(
                f"the layer {layer} reads {node.input[0]}, which is not quantised",
                fix="report the model: each layer's input gets a Q/DQ pair",
            )
        scale, zero = (
            onnx.numpy_helper.to_array(self._constants[name]) for name in pair.input[1:3]
        )
        return self._live[pair.input[0]], scale, int(zero)

    def probe(
        self, number: int, weight: Array, bias: Array, name: str
    ) -> tuple[Array, Array, int] | None:
        """Run the next segment as `run` does, and keep nothing.

        Args:
            number: Of the segment.
            weight: Of its layer.
            bias: Of its layer.
            name: A value that it computes.

        Returns:
            What ``name`` was rounded to, as `input_of` does; None where it is not.
        """
        pair = self._quantising.get(name)
        if pair is None or pair not in self._pieces[number]:
            return None
        constants = _layer_inputs(weight, bias)
        found = self._run_batches(number, [pair.output[0]], constants)
        scale, zero = (
            onnx.numpy_helper.to_array(self._constants[name]) for name in pair.input[1:3]
        )
        return found[pair.output[0]], scale, int(zero)

    def floats_of(self, name: str) -> Array:
        """Return a value that the next layer reads and no Q/DQ pair has rounded."""
        return self._live[name]

    def run(self, number: int, weight: Array, bias: Array | None) -> None:
        """Run segment ``number`` with other weights, float32, and keep what is read later.

        Args:
            number: 1 for the first layer's.
            weight: Of its layer.
            bias: Of its layer; None keeps what it has.
        """
        outputs = self._wanted(number)
        made = {name for node in self._pieces[number] for name in node.output}
        fresh = [name for name in outputs if name in made]
        if fresh:
            self._live |= self._run_batches(number, fresh, _layer_inputs(weight, bias))
        self._live = {name: self._live[name] for name in outputs}

    def _run_batches(
        self, number: int, outputs: list[str], constants: Mapping[int, Array]
    ) -> dict[str, Array]:
        reads = [name for name in self._reads[number] if name in self._live]
        loaded = self._session(self._pieces[number], reads, outputs, constants)
        total = len(self._live[reads[0]])
        found: dict[str, Array] = {}
        for start in range(0, total, self._batch):
            part = slice(start, start + self._batch)
            feeds = {name: self._live[name][part] for name in reads}
            for name, values in zip(outputs, loaded.run(outputs, feeds), strict=True):
                if name not in found:
                    found[name] = np.empty((total, *values.shape[1:]), values.dtype)
                found[name][part] = values
        return found

    def _wanted(self, number: int) -> list[str]:
        """Return the values that later segments read, of those there are after ``number``."""
        later = {name for reads in self._reads[number + 1 :] for name in reads}
        made = [name for node in self._pieces[number] for name in node.output]
        there = dict.fromkeys([*([self._feed] if number == 0 else self._live), *made])
        return [name for name in there if name in later]

    def _external(self, piece: list[onnx.NodeProto]) -> list[str]:
        """Return what a segment reads of others, before the DequantizeLinear if there is one."""
        made = {name for node in piece for name in node.output}
        found: dict[str, None] = {}
        for node in piece:
            for name in node.input:
                if name and name not in made and name not in self._constants:
                    pair = self._dequantising.get(name)
                    found[name if pair is None else pair.input[0]] = None
        return list(found)

    def _session(
        self,
        piece: list[onnx.NodeProto],
        reads: list[str],
        outputs: list[str],
        layer_inputs: Mapping[int, Array],
    ) -> Session:
        made = {name for node in piece for name in node.output}
        repeated = [
            node
            for name, node in self._dequantising.items()
            if name not in made and any(name in other.input for other in piece)
        ]
        first, constants = _with_inputs(piece[0], layer_inputs)
        nodes = [*repeated, first, *piece[1:]]
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "segment",
            [self._typed(name) for name in reads],
            [self._typed(name) for name in outputs],
            [*constants, *(t for name, t in self._constants.items() if name in used)],
        )
        model = helper.make_model(graph, opset_imports=self._proto.opset_import)
        model.ir_version = self._proto.ir_version
        return session(model, self._threads, without=_DISABLED)

    def _typed(self, name: str) -> onnx.ValueInfoProto:
        known = self._types.get(name)
        kind = onnx.TensorProto.FLOAT if known is None else known.type.tensor_type.elem_type
        return helper.make_tensor_value_info(name, kind, None)


def _layer_inputs(weight: Array, bias: Array | None) -> dict[int, Array]:
    return {1: weight} if bias is None else {1: weight, 2: bias}


def _with_inputs(
    node: onnx.NodeProto, arrays: Mapping[int, Array]
) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """Return a copy of ``node`` that reads constants at these positions, and the constants."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input.extend([""] * (max(arrays, default=0) + 1 - len(copy.input)))
    names = {index: f"edgedeploy/input_{index}" for index in arrays}
    for index, name in names.items():
        copy.input[index] = name
    return copy, [onnx.numpy_helper.from_array(arrays[i], name) for i, name in names.items()]


def _cut(nodes: list[onnx.NodeProto], layers: set[str]) -> list[list[onnx.NodeProto]]:
    pieces: list[list[onnx.NodeProto]] = [[]]
    for node in nodes:
        if node.output[0] in layers:
            pieces.append([])
        pieces[-1].append(node)
    return pieces
