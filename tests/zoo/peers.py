"""Independent implementations that the zoo is compared with."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

from edgedeploy.types import Family
from edgedeploy.zoo import networks
from edgedeploy.zoo.rows import Activation, Padding, Style
from edgedeploy.zoo.torch_module import NetworkModule, tensors
from edgedeploy.zoo.weights import Weights, check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.types import Array

V1, V2 = Family.MOBILENET_V1, Family.MOBILENET_V2
torch.set_num_threads(1)  # maps this small are slower on several
STYLE = Style(activation=Activation.RELU6, padding=Padding.SYMMETRIC, eps=1e-5)


def images(count: int, side: int, seed: int = 0) -> Array:
    """Return ``(count, 3, side, side)`` float32 between -1 and 1."""
    draw = np.random.default_rng(seed)
    return draw.uniform(-1, 1, (count, 3, side, side)).astype(np.float32)


def relative_error(found: Array, wanted: Array) -> float:
    """Return the largest difference over the largest wanted value."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def session(model: onnx.ModelProto) -> Callable[[Array], Array]:
    """Load a model on ONNX Runtime's CPU provider; the result runs its first output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    loaded = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = loaded.get_inputs()[0].name
    return lambda batch: np.asarray(loaded.run(None, {name: batch})[0])


def run_onnx(model: onnx.ModelProto, batch: Array) -> Array:
    """Run a model once."""
    return session(model)(batch)


def run_torch(weights: Weights, batch: Array) -> Array:
    """Run the rows as a torch module with these weights."""
    module = torch_module(weights)
    with torch.inference_mode():
        return np.asarray(module(torch.from_numpy(batch)).numpy())


def torch_module(weights: Weights) -> NetworkModule:
    """Return the rows as a torch module with these weights, in eval mode."""
    module = NetworkModule(weights.network)
    with torch.no_grad():
        for name, tensor in tensors(module).items():
            tensor.copy_(torch.from_numpy(weights.tensors[name]))
    return module.eval()


def keras() -> Any:
    """Import Keras on torch, without letting it write to the home folder."""
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ.setdefault("KERAS_HOME", os.devnull)
    import keras as module

    return module


def keras_model(family: Family, *, alpha: float, side: int, seed: int = 0, **options: Any) -> Any:
    """Return a Keras applications model that ends in logits, all its numbers drawn anew."""
    library = keras()
    make = library.applications.MobileNet if family is V1 else library.applications.MobileNetV2
    model = make(
        input_shape=(side, side, 3),
        alpha=alpha,
        weights=None,
        **{"classes": 7, "classifier_activation": None, **options},
    )
    draw = np.random.default_rng(seed)
    for layer in model.layers:
        arrays = layer.get_weights()
        if len(arrays) == 4:  # batch norm: scale, shift, mean, variance
            size = arrays[0].shape
            arrays = [
                draw.uniform(0.8, 1.2, size),
                draw.normal(0, 0.2, size),
                draw.normal(0, 0.2, size),
                draw.uniform(0.6, 1.4, size),
            ]
        else:
            arrays = [_drawn(array.shape, draw) for array in arrays]
        layer.set_weights(arrays)
    return model


def load_keras_2(path: Path) -> Any:
    """Load a whole model of Keras 2; Keras 3 refuses one argument of its depthwise layers."""
    library = keras()

    def depthwise(groups: int, **options: Any) -> Any:
        assert groups == 1
        return library.layers.DepthwiseConv2D(**options)

    return library.models.load_model(
        path, compile=False, custom_objects={"DepthwiseConv2D": depthwise}
    )


def run_keras(model: Any, batch: Array) -> Array:
    """Run a Keras model on NCHW images."""
    result = model(batch.transpose(0, 2, 3, 1), training=False)
    return np.asarray(result.detach().cpu().numpy())


def from_published_onnx(path: Path, family: Family, alpha: float) -> Weights:
    """Read the convolutions of a real, folded ImageNet model into rows, in their order."""
    model = onnx.load(path)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    style = replace(STYLE, padding=Padding.SAME, eps=1e-3)
    network = networks.network(family, alpha=alpha, classes=1001, style=style)
    found: dict[str, Array] = {}
    names = [*(row.name for row in network.rows), "classifier"]
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    for name, node in zip(names, convolutions, strict=True):
        weight, bias = (constants[value] for value in node.input[1:])
        found[f"{name}/weight"] = weight[:, :, 0, 0] if name == "classifier" else weight
        found[f"{name}/bias"] = bias
    check(network, found, source=str(path))
    return Weights(network=network, tensors=found)


def published_logits(path: Path) -> onnx.ModelProto:
    """Return a real ImageNet model that ends before its softmax."""
    model = onnx.load(path)
    softmax = model.graph.node[-1]
    assert softmax.op_type == "Softmax"
    model.graph.node.remove(softmax)
    model.graph.output[0].name = softmax.input[0]
    return model


def _drawn(shape: tuple[int, ...], draw: np.random.Generator) -> Array:
    if len(shape) == 1:
        return draw.normal(0, 0.1, shape)
    depthwise = len(shape) == 4 and shape[-1] == 1
    fan_in = np.prod(shape[:2] if depthwise else shape[:-1])
    return draw.normal(0, np.sqrt(2 / fan_in), shape)
