"""Layers that run in INT8 are counted as the vendors' libraries report them, the others named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy import backends
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.graph.integers import layers
from edgedeploy.runtime import cuda_memory
from edgedeploy.types import PUBLISHED, BuildSpec, Family, Precision
from tests.models import save
from tests.prepared_sources import mobilenet, prepared

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from edgedeploy.types import Built

COUNTS = [(Family.MOBILENET_V1, 28), (Family.MOBILENET_V2, 53)]


def build(name: str, source: onnx.ModelProto, folder: Path) -> Built:
    if backends.package(name) is None:
        pytest.skip(f"{name} is not installed")
    folder.mkdir()
    path = save(source, folder.parent / "source.onnx")
    spec = BuildSpec(backend=name, precision=Precision.INT8)
    return backends.get(name).build(path, spec, folder)


@pytest.mark.parametrize("name", ["ort", "openvino"])
@pytest.mark.parametrize(("family", "count"), COUNTS)
def test_every_quantised_layer_runs_in_int8(
    tmp_path: Path, name: str, family: Family, count: int
) -> None:
    source = prepared(mobilenet(family), Precision.INT8, style=QdqStyle.U8)
    built = build(name, source, tmp_path / name)
    assert built.runs == {"int8": count}
    assert built.floats == ()
    assert layers(source.graph).quantised == count


@pytest.mark.parametrize("name", ["ort", "openvino"])
def test_layer_that_falls_back_is_named_as_in_the_source(tmp_path: Path, name: str) -> None:
    source = prepared(mobilenet(Family.MOBILENET_V1), Precision.INT8, style=QdqStyle.U8)
    asked = layers(source.graph)
    names = _float_input(source)
    built = build(name, source, tmp_path / name)
    assert built.runs == {"float32": 1, "int8": 27}
    assert set(built.floats) <= names
    assert asked.fell_back(built.floats) == built.floats
    assert layers(source.graph).fell_back(built.floats) == ()  # the changed source says so itself


@pytest.mark.parametrize("name", ["ort", "openvino"])
@pytest.mark.parametrize("family", PUBLISHED)
def test_layer_left_in_float_runs_in_float(tmp_path: Path, name: str, family: Family) -> None:
    """ONNX Runtime would quantise its weights by itself, with one scale for all channels."""
    model = mobilenet(family)
    convolutions = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    floats = {convolutions[0], convolutions[4], convolutions[5], convolutions[-2]}
    source = prepared(model, Precision.INT8, style=QdqStyle.U8, floats=floats)
    built = build(name, source, tmp_path / name)
    assert built.runs == {"float32": 4, "int8": dict(COUNTS)[family] - 4}
    assert layers(source.graph).quantised == dict(COUNTS)[family] - 4
    assert layers(source.graph).fell_back(built.floats) == ()


def test_tensorrt_builds_a_network_with_layers_in_float(tmp_path: Path) -> None:
    if backends.package("trt") != "tensorrt_rtx":
        pytest.skip("only TensorRT-RTX builds without a GPU")
    model = mobilenet(Family.MOBILENET_V2)
    convolutions = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    floats = {convolutions[0], convolutions[4], convolutions[5], convolutions[-2]}
    source = prepared(model, Precision.INT8, floats=floats)
    assert layers(source.graph).quantised == 53 - 4
    assert build("trt", source, tmp_path / "trt").engine == "model.engine"


def _float_input(source: onnx.ModelProto) -> set[str]:
    """Let the first convolution read the image itself; return the names that it goes by."""
    first = next(node for node in source.graph.node if node.op_type == "Conv")
    first.input[0] = "image"
    return {first.name, first.output[0]}


def test_tensorrt_without_a_gpu_does_not_tell_what_it_runs(tmp_path: Path) -> None:
    if backends.package("trt") != "tensorrt_rtx":
        pytest.skip("only TensorRT-RTX builds without a GPU")
    if cuda_memory.find_gpu() is not None:
        pytest.skip("there is a GPU")
    source = prepared(mobilenet(Family.MOBILENET_V1), Precision.INT8)
    built = build("trt", source, tmp_path / "trt")
    assert (built.runs, built.floats) == ({}, ())
    assert layers(source.graph).quantised == 28
