"""A Keras configuration as a list of layers: Keras 2 and 3, functional and sequential."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedeploy.zoo.rows import Activation

_EXPRESSIBLE = (
    "export takes MobileNets of 3×3 and 1×1 convolutions with batch norm and ReLU or ReLU6, "
    "then global average pooling and one classifier; for another network convert the Keras model "
    "to ONNX (tf2onnx) and build that"
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as its configuration has it.

    Attributes:
        name: Unique in the model.
        kind: The class's name, e.g. ``"DepthwiseConv2D"``.
        config: The constructor's arguments; empty where only weights are known.
        inputs: Names of the layers that it reads.
    """

    name: str
    kind: str
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()


@dataclass(slots=True)
class Convolution:
    """One convolution with the layers that belong to it.

    Attributes:
        layer: ``Conv2D`` or ``DepthwiseConv2D``.
        pads: Zeros (before, after) of a ``ZeroPadding2D`` in front of it, or None.
        side: Side of the map that the padding or the convolution reads, None while unknown.
        norm: Its ``BatchNormalization``.
        activation: Behind it.
        adds: Name of the layer that a skip connection adds.
        output: Name of the last of its layers.
    """

    layer: Layer
    pads: tuple[int, int] | None
    side: int | None
    output: str
    norm: Layer | None = None
    activation: Activation | None = None
    adds: str | None = None

    @property
    def kernel(self) -> int:
        """Side of its square kernel."""
        return int(self.layer.config["kernel_size"][0])

    @property
    def stride(self) -> int:
        """Its step in both directions."""
        return int(self.layer.config["strides"][0])

    @property
    def depthwise(self) -> bool:
        """Whether every channel has its own kernel."""
        return self.layer.kind == "DepthwiseConv2D"

    def out_side(self) -> int | None:
        """Return the side of the map that it writes."""
        if self.side is None:
            return None
        if self.layer.config["padding"] == "same":
            return -(-self.side // self.stride)
        return (self.side + sum(self.pads or ()) - self.kernel) // self.stride + 1


def refuse(layer: Layer, why: str, *, source: str) -> FileError:
    """Return the error for a layer that rows cannot express."""
    return FileError(
        f"{source}: layer {layer.name!r} ({layer.kind}) {why}",
        fix=_EXPRESSIBLE,
    )


def layers(document: str | bytes, *, source: str) -> tuple[Layer, ...]:
    """List the layers of the JSON that Keras stores as ``model_config`` or ``config.json``.

    Raises:
        FileError: A layer is used twice.
        ValueError: It is no JSON.
        KeyError, TypeError, AttributeError: It is of another shape.
    """
    config = json.loads(document)["config"]
    entries = config["layers"] if isinstance(config, dict) else config  # Keras 2.0's Sequential
    functional = any(entry.get("inbound_nodes") for entry in entries)
    found: list[Layer] = []
    for entry in entries:
        name = entry["config"].get("name") or entry["name"]
        if functional:
            inputs = _inputs(entry.get("inbound_nodes") or [], name, source)
        else:
            inputs = (found[-1].name,) if found else ()
        found.append(Layer(name, entry["class_name"], entry["config"], inputs))
    return tuple(found)


def _inputs(nodes: Sequence[Any], name: str, source: str) -> tuple[str, ...]:
    if len(nodes) > 1:
        raise FileError(
            f"{source}: layer {name!r} is used {len(nodes)} times, the rows use each once",
            fix=_EXPRESSIBLE,
        )
    return tuple(_tensors(nodes[0])) if nodes else ()


def _tensors(node: Any) -> list[str]:
    """List the layers that a node reads: ``[["a", 0, 0, {}], …]`` (Keras 2) or ``{"args": …}``."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            return [node["config"]["keras_history"][0]]
        node = node.get("args", [])
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str):
            return [node[0]]
        return [name for item in node for name in _tensors(item)]
    return []
