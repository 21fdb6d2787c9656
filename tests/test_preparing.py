from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto

from edgedeploy import model_file, preparing, trt_cache
from edgedeploy.calibration import files
from edgedeploy.calibration_values import Correction, QdqStyle
from edgedeploy.errors import BuildError, UnknownNameError, UsageError
from edgedeploy.graph.bias import takes_bias
from edgedeploy.graph.constants import array_of
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.placement import is_weighted, output_axis
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensor_ranges import float_tensors
from edgedeploy.model_file import ModelHints
from edgedeploy.runtime import trt_dialects
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.source_forms import SourceForm, trt_form
from edgedeploy.types import PUBLISHED, Family, Precision
from tests.calibration.samples import calibration, left_float
from tests.graph.networks import run
from tests.models import save
from tests.prepared_sources import images, mobilenet, ranges

if TYPE_CHECKING:
    from typing import Any

    from edgedeploy.calibration_values import Calibration
    from edgedeploy.types import OnnxModel

_RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)
FAMILIES = [family.value for family in PUBLISHED]
# every form that a generation of TensorRT is given
INT8 = [
    (dialect.name, mode)
    for dialect in trt_dialects.DIALECTS
    for mode in (*dialect.int8, *([dialect.dla_int8] if dialect.dla_int8 else []))
]


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A MobileNet of random weights and a calibration of it."""
    proto = mobilenet(Family(request.param))
    path = save(proto, tmp_path_factory.mktemp("models") / f"{request.param}.onnx")
    model = model_file.read(path, ModelHints(preprocessing=_RULE))
    return model, _calibration(model, proto)


def _calibration(model: OnnxModel, proto: onnx.ModelProto) -> Calibration:
    graph = ir.serde.deserialize_model(proto)
    fix_size(graph, model.side)
    fold_batch_norm(graph)
    draw = np.random.default_rng(0)
    found = {}
    for node in (node for node in graph.graph if is_weighted(node) and takes_bias(node)):
        weight = np.asarray(array_of(node.inputs[1]))
        others = tuple(i for i in range(weight.ndim) if i != output_axis(node))
        largest = np.abs(weight) == np.abs(weight).max(axis=others, keepdims=True)
        found[node.outputs[0].name or ""] = Correction(
            bias=np.asarray(draw.normal(size=weight.shape[output_axis(node)]) / 99, np.float32),
            rounding=(~largest & (draw.random(weight.shape) < 0.1)).astype(np.int8),
        )
    assert model.side is not None
    return calibration(
        model_sha256=model.sha256,
        side=model.side,
        preprocessing=_RULE,
        ranges=ranges(proto),
        corrections={"s8": found},
    )


def _form(dialect: str, mode: str, precision: Precision = Precision.INT8) -> SourceForm:
    return trt_form(trt_dialects.find(dialect), precision, mode)


def _read(source: bytes) -> onnx.ModelProto:
    proto = onnx.ModelProto.FromString(source)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _run(source: bytes, side: int = 32) -> Any:
    model = ir.serde.deserialize_model(onnx.ModelProto.FromString(source))
    model.graph.inputs[0].name = "image"
    return run(model, images(4, side), optimise=False)


@pytest.mark.parametrize(("dialect", "mode"), sorted(set(INT8)))
def test_each_generation_gets_an_opset_and_an_ir_version_that_it_reads(
    pair: Any, dialect: str, mode: str
) -> None:
    model, found = pair
    form = _form(dialect, mode)
    source = preparing.source(model, form, found)
    proto = _read(source)
    (imported,) = proto.opset_import
    row = trt_dialects.find(dialect)
    assert max(13, form.oldest_opset) <= imported.version <= row.opset
    assert proto.ir_version <= row.ir_version
    assert [v.name for v in (*proto.graph.input, *proto.graph.output)] == ["image", "logits"]
    ends = [v.type.tensor_type.elem_type for v in (*proto.graph.input, *proto.graph.output)]
    assert ends == [TensorProto.FLOAT] * 2
    assert source == preparing.source(model, form, found)


def test_qdq_for_the_old_and_for_the_new_are_one_network(pair: Any) -> None:
    model, found = pair
    old = preparing.source(model, _form("8.5", "qdq"), found)
    new = preparing.source(model, SourceForm(style=QdqStyle.S8), found)
    int8 = [t for t in _read(old).graph.initializer if t.data_type == TensorProto.INT8]
    assert all(not any(onnx.numpy_helper.to_array(tensor).flat) for tensor in int8)
    np.testing.assert_array_equal(_run(old), _run(new))


def test_a_typed_source_is_float16_between_int8_and_answers_alike(pair: Any) -> None:
    model, found = pair
    typed = preparing.source(model, _form("11", "typed"), found)
    graph = _read(typed).graph
    floats = [t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT]
    assert floats == ["image/scale/float32"]
    wanted = _run(preparing.source(model, SourceForm(style=QdqStyle.S8), found))
    assert np.abs(_run(typed) - wanted).mean() < 0.03 * np.abs(wanted).max()


def test_tensorrt_rtx_types_a_typed_source_as_half_and_builds_it(pair: Any) -> None:
    trt = pytest.importorskip("tensorrt_rtx", exc_type=ImportError)
    model, found = pair
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    assert parser.parse(preparing.source(model, _form("rtx", "typed"), found))
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    floats = [
        (layer.type.name, layer.get_output(0).name)
        for layer in layers
        if layer.get_output(0).dtype == trt.DataType.FLOAT and layer.type.name != "CONSTANT"
    ]
    assert floats == [("CAST", "logits")]
    kinds = {layer.type.name for layer in layers if layer.get_output(0).dtype == trt.DataType.HALF}
    assert {"CONVOLUTION", "REDUCE"} <= kinds
    assert ("ELEMENTWISE" in kinds) == ("v2" in model.name)
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("image", *[(n, 3, 32, 32) for n in (1, 1, 8)])
    config.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, config) is not None


def test_fp16_is_half_where_types_come_from_the_source_only(pair: Any) -> None:
    model, _ = pair
    types = {}
    for name in ("8.2", "11"):
        proto = _read(preparing.source(model, _form(name, "", Precision.FP16)))
        types[name] = {t.data_type for t in proto.graph.initializer} - {TensorProto.INT64}
    assert types == {"8.2": {TensorProto.FLOAT}, "11": {TensorProto.FLOAT16}}


def test_implicit_int8_is_float_with_the_calibrations_weights(pair: Any) -> None:
    model, found = pair
    source = preparing.source(model, _form("8.2", "implicit"), found)
    assert {node.op_type for node in _read(source).graph.node}.isdisjoint(
        {"QuantizeLinear", "BatchNormalization"}
    )
    again = replace(model, path=save(_read(source), model.path.with_suffix(".corrected.onnx")))
    plain = replace(found, corrections={})
    np.testing.assert_array_equal(
        _run(preparing.source(again, SourceForm(style=QdqStyle.S8), plain)),
        _run(preparing.source(model, SourceForm(style=QdqStyle.S8), found)),
    )


def test_a_cache_has_a_scale_for_every_float_tensor_of_its_source(pair: Any) -> None:
    model, found = pair
    source = preparing.source(model, _form("8.2", "implicit"), found)
    data = preparing.calibration_cache(source, found, version="8201")
    cache = trt_cache.parse(data)
    assert cache.header == "TRT-8201-EntropyCalibration2"
    graph = ir.serde.deserialize_model(_read(source))
    assert list(cache.scales) == [value.name for value in float_tensors(graph.graph)]
    assert data == preparing.calibration_cache(source, found, version="8201")
    for node in graph.graph:
        if node.op_type == "Clip":
            before, behind = node.inputs[0], node.outputs[0]
            assert before is not None
            assert cache.scales[before.name or ""] == cache.scales[behind.name or ""]
    for name, wanted in found.ranges.items():
        assert cache.scales[name] == trt_cache.scale_of(wanted)


def test_a_cache_names_every_tensor_that_the_vendors_parser_names(pair: Any) -> None:
    trt = pytest.importorskip("tensorrt_rtx", exc_type=ImportError)
    model, found = pair
    source = preparing.source(model, _form("8.2", "implicit"), found)
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    assert parser.parse(source)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    outputs = [layer.get_output(0) for layer in layers if layer.type.name != "CONSTANT"]
    names = {"image"} | {t.name for t in outputs if t.dtype == trt.DataType.FLOAT}
    scales = trt_cache.parse(preparing.calibration_cache(source, found, version="8201")).scales
    assert names == set(scales)


def test_what_nobody_knows_a_range_of_is_warned_of(
    pair: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model, found = pair
    few = replace(found, ranges={"image": found.ranges["image"]}, corrections={})
    source = preparing.source(model, _form("8.2", "implicit"), few)
    with caplog.at_level(logging.WARNING):
        data = preparing.calibration_cache(source, few, version="8201")
    assert next(iter(trt_cache.parse(data).scales)) == "image"
    (record,) = caplog.records
    assert "tells no range of stem/conv, " in record.getMessage()
    assert "more: TensorRT runs what computes them in float" in record.getMessage()


def test_layers_left_in_float_cannot_be_said_in_a_cache(pair: Any) -> None:
    model, found = pair
    name = next(iter(found.corrections["s8"]))
    budgeted = replace(found, max_drop=0.5, spending={"s8": left_float(name)})
    with pytest.raises(UsageError, match=rf"1 layers in float for TensorRT \({name}") as caught:
        preparing.source(model, _form("8.2", "implicit"), budgeted)
    assert "--int8-mode qdq; or calibrate without --max-drop" in str(caught.value.fix)
    with pytest.raises(UsageError, match="a cache quantises all of them"):
        preparing.calibration_cache(b"", budgeted, version="8201")
    for mode in ("qdq", "typed"):
        _read(preparing.source(model, _form("10", mode), budgeted))


def test_a_cache_is_for_digits_and_an_algorithm_that_there_is(pair: Any) -> None:
    model, found = pair
    source = preparing.source(model, _form("8.2", "implicit"), found)
    with pytest.raises(UsageError, match=r"'8\.2\.1', a cache holds digits"):
        preparing.calibration_cache(source, found, version="8.2.1")
    with pytest.raises(UnknownNameError, match="Entropy"):
        preparing.calibration_cache(source, found, version="8201", algorithm="Entropy")


def test_an_operator_that_the_board_lacks_is_named_with_its_node(tmp_path: Path) -> None:
    proto = onnx.version_converter.convert_version(mobilenet(Family.MOBILENET_V1), 20)
    (node,) = [node for node in proto.graph.node if node.output[0] == "stem/relu6"]
    node.op_type, node.name = "Gelu", "stem/gelu"
    del node.input[1:]
    model = model_file.read(save(proto, tmp_path / "gelu.onnx"), ModelHints(preprocessing=_RULE))
    for name, wanted in (("8.2", 13), ("8.6", 17)):
        problem = rf"opset {wanted}, .*: Gelu 'stem/gelu' \(it needs opset 20\)"
        with pytest.raises(BuildError, match=problem):
            preparing.source(model, _form(name, "", Precision.FP16))
    _read(preparing.source(model, _form("10", "", Precision.FP32)))


def test_real_networks_answer_alike_in_the_forms_of_every_generation(shared: Path) -> None:
    for name in ("mobilenet_v1_0.25_224", "mobilenet_v2_1.00_224"):
        path = shared / "weights" / "onnx" / f"{name}_imagenet.onnx"
        proto = onnx.load(path)
        model = model_file.read(path, ModelHints(preprocessing=_RULE, side=(224, 224)))
        known = _real_ranges(model, proto)
        exact = _run(preparing.source(model, SourceForm(style=QdqStyle.S8), known), 224)
        for dialect, mode in sorted(set(INT8)):
            source = preparing.source(model, _form(dialect, mode), known)
            assert _read(source).graph.input[0].name == proto.graph.input[0].name
            if mode == "qdq":
                np.testing.assert_array_equal(_run(source, 224), exact)
            if mode == "implicit":
                cache = preparing.calibration_cache(source, known, version="8201")
                graph = ir.serde.deserialize_model(_read(source))
                tensors = [value.name for value in float_tensors(graph.graph)]
                assert list(trt_cache.parse(cache).scales) == tensors


def _real_ranges(model: OnnxModel, proto: onnx.ModelProto) -> Calibration:
    """Ranges of a fixed-size copy, on noise."""
    graph = ir.serde.deserialize_model(proto)
    fix_size(graph, (224, 224))
    return calibration(
        model_sha256=model.sha256,
        side=(224, 224),
        preprocessing=_RULE,
        ranges=ranges(ir.serde.serialize_model(graph)),
    )


def test_the_shipped_models_have_every_form() -> None:
    for path in sorted((Path(__file__).parents[1] / "models").glob("*.onnx"))[:1]:
        model = model_file.read(path)
        found = files.read(path.parents[1] / "calib" / f"{path.stem}.json")
        for dialect, mode in sorted(set(INT8)):
            _read(preparing.source(model, _form(dialect, mode), found))
