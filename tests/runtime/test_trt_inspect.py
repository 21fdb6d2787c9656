from __future__ import annotations

import json
from typing import Any

import pytest

from edgedeploy.runtime import trt_api, trt_inspect
from tests.runtime import fake_engine, fake_trt


def document(*layers: Any) -> str:
    return json.dumps({"Layers": list(layers), "Bindings": ["image", "logits"]})


def layer(kind: str, *formats: str, **more: str) -> dict[str, Any]:
    return {"LayerType": kind, "Inputs": [{"Format/Datatype": text} for text in formats], **more}


# As TensorRT 8, 8.5 and 10 write them (samples of the developer guide, of torch-tensorrt and of
# TREx); the type of a convolution is that of its first input, whatever is added to it later.
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Row major linear FP32", "float32"),
        ("Row major linear FP16 format", "float16"),
        ("Thirty-two wide channel vectorized row major Int8 format.", "int8"),
        ("Two wide channel vectorized row major FP16 format", "float16"),
        ("Float", "float32"),
        ("Half", "float16"),
        ("Int8", "int8"),
        ("BFloat16", "bfloat16"),
        ("BF16", "bfloat16"),
    ],
)
def test_types_are_read_in_the_words_of_every_version(text: str, kind: str) -> None:
    layers = trt_inspect.read(document(layer("CaskConvolution", text, "Float")))
    assert trt_inspect.count(layers) == {kind: 1}


def test_convolutions_and_matrix_products_are_counted_and_nothing_else() -> None:
    text = document(
        layer("CaskConvolution", "Int8"),
        layer("CaskDepthwiseConvolution", "Int8"),
        layer("gemm", "Half"),
        layer("MatrixMultiply", "Half"),
        layer("Myelin", "Half", ParameterType="Convolution"),
        layer("Reformat", "Float"),
        layer("PointWiseV2", "Float"),
    )
    assert trt_inspect.count(trt_inspect.read(text)) == {"float16": 3, "int8": 2}


def test_layers_are_listed_with_the_names_that_tensorrt_gave_them() -> None:
    text = document(layer("CaskConvolution", "Int8", Name="conv1 + relu1"), layer("gemm", "Half"))
    assert trt_inspect.read(text) == [("conv1 + relu1", "int8"), ("", "float16")]


@pytest.mark.parametrize(
    "text",
    [
        '{"Layers": ["conv1 + relu1", "conv2"], "Bindings": []}',  # verbosity: names only
        document({"LayerType": "CaskConvolution", "Inputs": []}),
        document(layer("CaskConvolution", "N/A due to dynamic shapes")),
        document(layer("ForeignNode", "Half")),
        "conv1 + relu1",
        "[]",
        "",
    ],
)
def test_what_the_inspector_does_not_tell_is_not_counted(text: str) -> None:
    assert trt_inspect.read(text) == []


@pytest.mark.parametrize("generation", ["8.2.1", "8.5.2", "11.1.0"])
def test_engine_is_inspected_at_a_known_shape(generation: str) -> None:
    # without one, TensorRT answers "N/A due to dynamic shapes"
    text = document(layer("CaskConvolution", "Int8", Name="conv1"))
    engine = fake_engine.loadable(generation, fake_engine.FakeGpu(), text)
    trt = fake_trt.Library(generation, engine=engine)
    found = trt_inspect.running_layers(trt, trt_api.logger(trt), b"plan", (1, 3, 4, 4))
    assert found == [("conv1", "int8")]
    assert engine.inside.shape == (1, 3, 4, 4)


def test_engine_without_memory_for_its_context_tells_nothing() -> None:
    engine = fake_engine.loadable("10.3.0", fake_engine.FakeGpu())
    engine.create_execution_context = lambda: None
    trt = fake_trt.Library("10.3.0", engine=engine)
    assert trt_inspect.running_layers(trt, trt_api.logger(trt), b"plan", (1, 3, 4, 4)) == []
