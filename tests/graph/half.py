"""Models whose weights are stored as float16."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.models import stem


def pair() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A model whose weights are stored as float16, and the same with them written as float32."""
    stored, wide = stem(), stem()
    for model in (stored, wide):
        (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == "w")
        half = numpy_helper.to_array(weight).astype(np.float16)
        if model is wide:
            weight.CopyFrom(numpy_helper.from_array(half.astype(np.float32), "w"))
            continue
        weight.CopyFrom(numpy_helper.from_array(half, "w/half"))
        cast = helper.make_node("Cast", ["w/half"], ["w"], to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
    return stored, wide
