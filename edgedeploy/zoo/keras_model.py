"""A Keras configuration, read into convolutions; whatever rows cannot express is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError
from edgedeploy.zoo import keras_config
from edgedeploy.zoo.keras_config import Convolution, refuse
from edgedeploy.zoo.rows import Activation

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedeploy.zoo.keras_config import Layer

_AS_IT_IS = frozenset({"Dropout", "SpatialDropout2D"})  # identities once training is over
_ACTIVATIONS = {"relu": Activation.RELU, "relu6": Activation.RELU6}
_NO_ACTIVATION = ("linear", None)
_NESTED = frozenset({"Functional", "Model", "Sequential"})
_TOPS = ("linear", "softmax", None)


@dataclass(frozen=True, slots=True)
class KerasModel:
    """A configuration that could be rows.

    Attributes:
        layers: All layers, in the model's order.
        convolutions: In the order they run.
        classifier: The ``Dense``, or the 1×1 ``Conv2D`` behind the pooling.
    """

    layers: tuple[Layer, ...]
    convolutions: tuple[Convolution, ...]
    classifier: Layer


def read(document: str | bytes, *, source: str) -> KerasModel:
    """Read the JSON that Keras 2 and 3 store as ``model_config`` or ``config.json``.

    Raises:
        FileError: It is damaged, or has a layer that rows cannot express; the layer is named.
    """
    try:
        layers = keras_config.layers(document, source=source)
        return _Walk(layers, source).model()
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise FileError(
            f"{source}: its model configuration cannot be read: {type(error).__name__}: {error}",
            fix="save the model again with model.save('model.keras')",
        ) from error


class _Walk:
    """Follows the layers from the input to the classifier."""

    def __init__(self, layers: tuple[Layer, ...], source: str) -> None:
        self.layers = layers
        self.source = source
        self.at: str | None = None  # the layer whose output is the current map
        self.side: int | None = None
        self.pads: tuple[int, int] | None = None
        self.convolutions: list[Convolution] = []
        self.pooled = False
        self.classifier: Layer | None = None

    def model(self) -> KerasModel:
        for layer in self.layers:
            self._follow(layer)
            if layer.kind in _STEPS:
                _STEPS[layer.kind](self, layer)
            elif layer.kind in _NESTED:
                raise FileError(
                    f"{self.source}: layer {layer.name!r} is a model inside the model",
                    fix="build on its output with the same trained layers, "
                    "keras.Model(base.input, dense(pool(base.output))), and save that",
                )
            elif layer.kind not in _AS_IT_IS:
                raise self._refuse(layer, "is of a kind that the rows do not have")
            self.at = layer.name
        if self.classifier is None:
            raise FileError(
                f"{self.source}: the model ends without a classifier (include_top=False?)",
                fix="save the whole model, with its pooling and its last Dense layer",
            )
        return KerasModel(self.layers, tuple(self.convolutions), self.classifier)

    def _refuse(self, layer: Layer, why: str) -> FileError:
        return refuse(layer, why, source=self.source)

    def _follow(self, layer: Layer) -> None:
        if layer.kind == "InputLayer":
            if self.at is not None:
                raise self._refuse(layer, "is a second input")
        elif self.at is None:
            if "batch_input_shape" in layer.config:  # Keras 2's Sequential has no InputLayer
                self.input(layer)
        elif layer.kind == "Add":
            if len(layer.inputs) != 2 or self.at not in layer.inputs:
                raise self._refuse(layer, f"adds {', '.join(layer.inputs)}")
        elif layer.inputs != (self.at,):
            raise self._refuse(layer, f"reads {', '.join(layer.inputs)}, not {self.at}")
        if self.pads is not None and layer.kind not in ("Conv2D", "DepthwiseConv2D"):
            raise self._refuse(layer, "follows a ZeroPadding2D")

    def input(self, layer: Layer) -> None:
        shape = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
        if not shape or len(shape) != 4 or shape[3] != 3:
            raise self._refuse(layer, f"has shape {shape}, wanted (any, H, W, 3)")
        self.side = shape[1] if shape[1] == shape[2] else None

    def padding(self, layer: Layer) -> None:
        self._channels_last(layer)
        rows, columns = layer.config["padding"]
        if list(rows) != list(columns):
            raise self._refuse(layer, f"pads rows {rows} and columns {columns}")
        self.pads = (int(rows[0]), int(rows[1]))

    def convolution(self, layer: Layer) -> None:
        if self.pooled:
            self.dense(layer)
            return
        self._plain(layer)
        if layer.config.get("groups", 1) != 1:
            raise self._refuse(layer, f"has {layer.config['groups']} groups, wanted 1")
        self._add(layer)

    def depthwise(self, layer: Layer) -> None:
        self._plain(layer)
        if layer.config.get("depth_multiplier", 1) != 1:
            multiplier = layer.config["depth_multiplier"]
            raise self._refuse(layer, f"has depth multiplier {multiplier}, wanted 1")
        self._add(layer)

    def _plain(self, layer: Layer) -> None:
        self._channels_last(layer)
        config = layer.config
        if self.pooled:
            raise self._refuse(layer, "comes after the pooling")
        for key in ("kernel_size", "strides"):
            if config[key][0] != config[key][1]:
                raise self._refuse(layer, f"has {key} {config[key]}, wanted a square")
        if any(step != 1 for step in config.get("dilation_rate") or ()):
            raise self._refuse(layer, f"has dilation {config['dilation_rate']}, wanted 1")
        if config["padding"] not in ("same", "valid"):
            raise self._refuse(layer, f"has padding {config['padding']!r}")

    def _add(self, layer: Layer) -> None:
        convolution = Convolution(layer, self.pads, self.side, layer.name)
        convolution.activation = self._activation(layer)
        self.side, self.pads = convolution.out_side(), None
        self.convolutions.append(convolution)

    def norm(self, layer: Layer) -> None:
        last = self._last(layer)
        if last.norm is not None or last.activation is not None:
            raise self._refuse(layer, f"does not directly follow {last.layer.name}")
        axis = layer.config.get("axis", -1)
        if (axis if isinstance(axis, int) else axis[0]) not in (3, -1):
            raise self._refuse(layer, f"normalises axis {axis}, wanted channels last")
        last.norm, last.output = layer, layer.name

    def relu(self, layer: Layer) -> None:
        config = layer.config
        limit = config.get("max_value")
        bent = any(config.get(key) for key in ("negative_slope", "threshold"))
        if bent or limit not in (None, 6):
            raise self._refuse(layer, "is neither ReLU nor ReLU6")
        self._activate(layer, Activation.RELU if limit is None else Activation.RELU6)

    def activation(self, layer: Layer) -> None:
        if self.classifier is not None:
            self._top(layer)
            return
        activation = self._activation(layer)
        if activation is not None:
            self._activate(layer, activation)

    def softmax(self, layer: Layer) -> None:
        if self.classifier is None:
            raise self._refuse(layer, "comes before the classifier")

    def _activate(self, layer: Layer, activation: Activation) -> None:
        last = self._last(layer)
        if last.activation is not None or last.adds is not None:
            raise self._refuse(layer, f"is a second activation behind {last.layer.name}")
        last.activation, last.output = activation, layer.name

    def _activation(self, layer: Layer) -> Activation | None:
        name = layer.config.get("activation")
        if name in _NO_ACTIVATION:
            return None
        if not isinstance(name, str) or name not in _ACTIVATIONS:
            raise self._refuse(layer, f"has activation {name!r}, wanted relu or relu6")
        return _ACTIVATIONS[name]

    def skip(self, layer: Layer) -> None:
        last = self._last(layer)
        other = next((name for name in layer.inputs if name != self.at), None)
        if other is None or last.adds is not None or last.activation is not None:
            raise self._refuse(layer, "is no skip connection around a linear bottleneck")
        last.adds, last.output = other, layer.name

    def _last(self, layer: Layer) -> Convolution:
        if not self.convolutions or self.pooled:
            raise self._refuse(layer, "does not follow a convolution")
        return self.convolutions[-1]

    def global_pooling(self, layer: Layer) -> None:
        self._last(layer)
        self._channels_last(layer)
        self.pooled = True

    def average_pooling(self, layer: Layer) -> None:
        self._last(layer)
        pool = list(layer.config["pool_size"])
        if self.side is None or pool != [self.side, self.side]:
            raise self._refuse(layer, f"pools {pool} of a map of {self.side}, wanted all of it")
        self.pooled = True

    def reshape(self, layer: Layer) -> None:
        if not self.pooled:
            raise self._refuse(layer, "comes before the pooling")

    def dense(self, layer: Layer) -> None:
        if not self.pooled or self.classifier is not None:
            raise self._refuse(layer, "is not the one classifier behind the pooling")
        kernel = list(layer.config.get("kernel_size", (1, 1)))
        if kernel != [1, 1]:
            raise self._refuse(layer, f"has kernel {kernel} behind the pooling, wanted [1, 1]")
        self.classifier = layer
        self._top(layer)

    def _top(self, layer: Layer) -> None:
        name = layer.config.get("activation")
        if name not in _TOPS:
            raise self._refuse(layer, f"ends in {name!r}, wanted softmax or linear")

    def _channels_last(self, layer: Layer) -> None:
        if layer.config.get("data_format", "channels_last") not in ("channels_last", None):
            raise self._refuse(layer, f"is {layer.config['data_format']}, wanted channels_last")


_STEPS: dict[str, Callable[[_Walk, Layer], None]] = {
    "InputLayer": _Walk.input,
    "ZeroPadding2D": _Walk.padding,
    "Conv2D": _Walk.convolution,
    "DepthwiseConv2D": _Walk.depthwise,
    "BatchNormalization": _Walk.norm,
    "ReLU": _Walk.relu,
    "Activation": _Walk.activation,
    "Softmax": _Walk.softmax,
    "Add": _Walk.skip,
    "GlobalAveragePooling2D": _Walk.global_pooling,
    "AveragePooling2D": _Walk.average_pooling,
    "Reshape": _Walk.reshape,
    "Dense": _Walk.dense,
    "Flatten": _Walk.reshape,
}
