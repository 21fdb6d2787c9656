"""A small VGG that `convert` has something to do with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgedeploy import model_file
from edgedeploy.images import open_images
from tests.graph.networks import Sketch

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.images import ImageSet
    from edgedeploy.types import OnnxModel

LAYERS = ("a/conv", "b/conv", "c/conv")


def vgg(*, norm: bool = False, softmax: bool = False, opset: int = 13) -> ir.Model:
    """Three 3×3 convolutions, ``a/conv`` to ``c/conv``, one pool, a 1×1 classifier."""
    graph = Sketch(norm=norm)
    value = graph.convolve("image", "a", (8, 3, 3, 3), act="Relu")
    value = graph.node("MaxPool", [value], "pool", kernel_shape=[2, 2], strides=[2, 2])
    value = graph.convolve(value, "b", (16, 8, 3, 3), act="Relu")
    value = graph.convolve(value, "c", (16, 16, 3, 3), act="Relu")
    value = graph.node("GlobalAveragePool", [value], "mean")
    value = graph.convolve(value, "classifier", (4, 16, 1, 1), act="", bias=False)
    value = graph.node("Flatten", [value], "logits")
    if softmax:
        value = graph.node("Softmax", [value], "probabilities", axis=1)
    return graph.model(value, opset=opset, output_shape=("n", 4))


def stored_as_float16(model: ir.Model) -> ir.Model:
    """The same network with its kernels stored as float16 behind a Cast, as small files are."""
    proto = ir.serde.serialize_model(model)
    for tensor in proto.graph.initializer:
        if len(tensor.dims) == 4:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}/half"))
            cast = helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT)
            proto.graph.node.insert(0, cast)
    del proto.graph.value_info[:]  # most files do not say the type of what a Cast makes
    return ir.serde.deserialize_model(proto)


def saved(model: ir.Model, path: Path, **metadata: object) -> OnnxModel:
    """Write a model with preprocessing and other metadata, and read it."""
    metadata.setdefault("preprocess", {"mean": [127.5] * 3, "std": [127.5] * 3})
    for key, value in metadata.items():
        if value is not None:
            model.metadata_props[f"edgedeploy.{key}"] = json.dumps(value)
    path.write_bytes(ir.serde.serialize_model(model).SerializeToString())
    return model_file.read(path)


def draw_images(folder: Path, count: int = 12) -> ImageSet:
    """Smooth pictures of different brightness."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(5)
    for number in range(count):
        small = draw.integers(number * 10, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(small).resize((16, 16)).save(folder / f"{number:02}.png")
    return open_images(folder)
