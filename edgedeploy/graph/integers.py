"""Which layers of a graph are to run in integers: those whose inputs come out of Q/DQ pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx

_MULTIPLYING = frozenset({"Conv", "Gemm", "MatMul"})
_FUSED = frozenset({"Clip", "Relu"})


@dataclass(frozen=True, slots=True)
class Layers:
    """The convolutions and matrix products of a graph.

    Attributes:
        quantised: How many read both input and weights from a DequantizeLinear, weights also
            through a Transpose.
        floating: Names of the nodes that do not, of their outputs, and of the activations behind
            them, with which they may be fused.
    """

    quantised: int
    floating: frozenset[str]

    def fell_back(self, running_float: Iterable[str]) -> tuple[str, ...]:
        """Return which layers were quantised although an engine runs them in a float type.

        Args:
            running_float: Names as a vendor writes them: of a node or its output, or several
                joined by ``" + "`` where layers were fused.
        """
        return tuple(name for name in running_float if self.floating.isdisjoint(name.split(" + ")))


def layers(graph: onnx.GraphProto, *, implicit: bool = False) -> Layers:
    """Look at the convolutions and matrix products of a graph as a backend is given it.

    Args:
        graph: With Q/DQ pairs.
        implicit: It has none: TensorRT quantises every layer by a calibration cache.
    """
    dequantised: set[str] = set()
    quantised = 0
    floating: set[str] = set()
    for node in graph.node:
        turned = node.op_type == "Transpose" and node.input[0] in dequantised
        if turned or node.op_type == "DequantizeLinear":
            dequantised.add(node.output[0])
        if node.op_type in _FUSED and node.input[0] in floating:
            floating.add(node.output[0])
        if node.op_type not in _MULTIPLYING or node.domain not in ("", "ai.onnx"):
            continue
        if implicit or dequantised.issuperset(node.input[:2]):
            quantised += 1
        else:
            floating.update((node.name, node.output[0]))
    return Layers(quantised, frozenset(floating))
