from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgedeploy import model_file, preparing, trt_cache
from edgedeploy.calibration import files
from edgedeploy.calibration.checking import network
from edgedeploy.calibration.converting import (
    export,
    from_trt_cache,
    range_of,
    to_trt_cache,
)
from edgedeploy.calibration.measuring import measure
from edgedeploy.calibration_values import Correction, QdqStyle, TensorRange
from edgedeploy.errors import FileError, UnknownNameError, UsageError
from edgedeploy.graph.encoding import encode_range
from edgedeploy.graph.qdq import quantise
from edgedeploy.graph.tensors import activations
from edgedeploy.images import open_images
from edgedeploy.model_file import ModelHints
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.source_forms import SourceForm
from edgedeploy.trt_cache import scale_of
from tests.calibration.networks import FORMS
from tests.calibration.samples import SCALES, calibration, left_float
from tests.graph.networks import block

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.calibration_values import Calibration
    from edgedeploy.types import OnnxModel

_RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)
_NORMAL = float(np.finfo(np.float32).tiny)


def _bits(value: float) -> bytes:
    return np.float32(value).tobytes()


def _saved(model: ir.Model, folder: Path) -> OnnxModel:
    path = folder / "block.onnx"
    path.write_bytes(ir.serde.serialize_model(model).SerializeToString())
    return model_file.read(path, ModelHints(preprocessing=_RULE))


def _measured(model: OnnxModel, seed: int = 0) -> Calibration:
    """Ranges as they could have been measured: no two alike."""
    draw = np.random.default_rng(seed)
    names = activations(network(model, model.side).graph)
    found = {}
    for name in names:
        high = float(np.float32(draw.uniform(0.1, 9)))
        low = 0.0 if name.endswith("/act") else float(-np.float32(draw.uniform(0.1, 9)))
        found[name] = TensorRange(min=low, max=high, low=low, high=high)
    side = model.side
    assert side is not None
    return calibration(model_sha256=model.sha256, side=side, preprocessing=_RULE, ranges=found)


def _quantised(model: OnnxModel, ranges: Mapping[str, TensorRange]) -> bytes:
    graph = network(model, model.side).graph
    quantise(graph, ranges, QdqStyle.S8)
    return ir.serde.serialize_model(graph).SerializeToString(deterministic=True)


@given(scale=SCALES, positive=st.booleans())
def test_every_scale_of_a_cache_comes_back_bit_for_bit(scale: float, *, positive: bool) -> None:
    found = range_of(scale, never_negative=positive)
    assert _bits(scale_of(found)) == _bits(scale)
    # a graph never divides by a subnormal number
    assert _bits(float(encode_range(found, QdqStyle.S8).scale)) == _bits(max(scale, _NORMAL))
    assert found.low == (0.0 if positive else -found.high)


@given(bits=st.integers(1, 0x7F7FFFFF))
def test_every_positive_float32_comes_back_bit_for_bit(bits: int) -> None:
    scale = float(np.uint32(bits).view(np.float32))
    assert _bits(scale_of(range_of(scale))) == _bits(scale)


@given(low=st.floats(-1e30, 1e30), high=st.floats(-1e30, 1e30))
def test_a_cache_gives_any_range_the_encoding_it_had(low: float, high: float) -> None:
    low, high = sorted((low, high))
    if low < high:
        found = TensorRange(min=low, max=high, low=low, high=high)
        again = range_of(scale_of(found))
        assert encode_range(again, QdqStyle.S8) == encode_range(found, QdqStyle.S8)


def test_relu6_gets_its_six_again() -> None:
    six = TensorRange(min=0, max=6, low=0, high=6)
    assert range_of(scale_of(six), never_negative=True) == six


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("gemm", ["", "Gemm", "MatMul"])
def test_an_exported_cache_gives_the_same_trt_graph_again(
    tmp_path: Path, gemm: str, *, norm: bool
) -> None:
    model = _saved(block(norm=norm, gemm=gemm), tmp_path)
    for seed in range(5):
        before = _measured(model, seed)
        export(before, tmp_path / "m.cache", model=model)
        found = from_trt_cache(trt_cache.read(tmp_path / "m.cache"), model)
        assert (found.unknown, found.only_u8) == ((), ())
        files.write(found.calibration, tmp_path / "c.json")
        after = files.read(tmp_path / "c.json")
        assert _quantised(model, after.ranges) == _quantised(model, before.ranges)
        export(after, tmp_path / "again.cache", model=model)
        first, second = (
            dict(trt_cache.read(tmp_path / n).scales) for n in ("m.cache", "again.cache")
        )
        assert first == second


def test_an_exported_cache_gives_the_same_trt_graph_of_a_real_network(
    shared: Path, tmp_path: Path
) -> None:
    path = shared / "weights" / "onnx" / "mobilenet_v2_1.00_224_imagenet.onnx"
    model = model_file.read(path, ModelHints(preprocessing=_RULE))
    before = _measured(model)
    export(before, tmp_path / "m.cache")
    found = from_trt_cache(trt_cache.read(tmp_path / "m.cache"), model)
    assert _quantised(model, found.calibration.ranges) == _quantised(model, before.ranges)


def _trt_source(model: OnnxModel, found: Calibration) -> bytes:
    """What the backend trt is given."""
    return preparing.source(model, SourceForm(style=QdqStyle.S8), found)


def _there_and_back(model: OnnxModel, before: Calibration, folder: Path) -> tuple[bytes, bytes]:
    """The trt graph of a calibration, and of its cache with the network that belongs to it."""
    cache, changed = export(before, folder / "trt" / "m.cache", model=model)
    other = model_file.read(changed, ModelHints(preprocessing=model.preprocessing))
    after = from_trt_cache(trt_cache.read(cache), other).calibration
    files.write(after, folder / "after.json")
    return _trt_source(model, before), _trt_source(other, files.read(folder / "after.json"))


@pytest.mark.parametrize("form", FORMS)
def test_a_cache_and_its_changed_network_give_the_same_trt_graph_again(
    tmp_path: Path, form: str
) -> None:
    model = _saved(FORMS[form](), tmp_path)
    draw = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        frame = draw.integers(0, 256, size=(16, 16, 3), dtype=np.uint8)
        Image.fromarray(frame).save(tmp_path / "pictures" / f"{number}.png")
    images = open_images(tmp_path / "pictures")
    measured = measure(model, images, side=(16, 16), preprocessing=_RULE, threads=1)
    assert measured.equalisation
    assert any(np.any(one.rounding) for one in measured.corrections["s8"].values())
    files.write(measured, tmp_path / "before.json")
    before, after = _there_and_back(model, files.read(tmp_path / "before.json"), tmp_path)
    assert sha256(before).digest() == sha256(after).digest()


def test_a_real_networks_calibration_gives_the_same_trt_graph_again(
    shared: Path, tmp_path: Path
) -> None:
    path = shared / "weights" / "onnx" / "mobilenet_v1_0.25_224_imagenet.onnx"
    model = model_file.read(path, ModelHints(preprocessing=_RULE))
    model = model_file.with_side(model, (224, 224), source="the test")
    images = open_images(shared / "imagenet-500.zip").evenly(8)
    measured = measure(model, images, side=(224, 224), preprocessing=_RULE, threads=2)
    before, after = _there_and_back(model, measured, tmp_path)
    assert sha256(before).digest() == sha256(after).digest()


def test_what_an_import_does_not_know_is_empty_and_its_origin_is_written_down(
    tmp_path: Path,
) -> None:
    model = _saved(block(), tmp_path)
    cache = to_trt_cache(_measured(model), version="8502", algorithm="MinMaxCalibration")
    found = from_trt_cache(cache, model).calibration
    assert (found.data_digest, found.data_count) == ("", 0)
    assert found.method == "imported:TRT-8502-MinMaxCalibration"
    assert (found.model_sha256, found.side, found.preprocessing) == (model.sha256, (16, 16), _RULE)
    assert to_trt_cache(found).header == cache.header
    assert to_trt_cache(found, version="100300").header == "TRT-100300-MinMaxCalibration"
    assert to_trt_cache(_measured(model)).header == "TRT-8201-EntropyCalibration2"


def test_what_lies_behind_a_relu_begins_at_zero(tmp_path: Path) -> None:
    model = _saved(block(gemm="Gemm", softmax=True), tmp_path)
    found = from_trt_cache(to_trt_cache(_measured(model)), model).calibration.ranges
    positive = {name for name, one in found.items() if one.low == 0}
    assert {"stem/act", "head/act", "pool"} <= positive
    assert positive.isdisjoint({"image", "add", "project/conv", "logits"})


def test_missing_tensors_are_refused_all_at_once(tmp_path: Path) -> None:
    model = _saved(block(), tmp_path)
    cache = to_trt_cache(_measured(model))
    scales = {n: s for n, s in cache.scales.items() if n not in ("image", "stem/act")}
    with pytest.raises(
        FileError, match=r"m\.cache has no scale for 2 of the .*: image, stem/act\n"
    ):
        from_trt_cache(replace(cache, scales=scales), model, source="m.cache")


def test_tensors_of_other_networks_are_left_out_and_named(tmp_path: Path) -> None:
    model = _saved(block(norm=True), tmp_path)
    cache = to_trt_cache(_measured(model))
    scales = {**cache.scales, "(Unnamed Layer* 1)": 1.0, "stem/conv": 1.0, "stem/norm": 1.0}
    found = from_trt_cache(replace(cache, scales=scales), model)
    assert found.unknown == ("(Unnamed Layer* 1)",)  # the others are there, and not needed
    assert set(found.calibration.ranges) == set(cache.scales)


def test_a_cache_of_fused_layers_serves_trt(tmp_path: Path) -> None:
    # TensorRT computes the projection and the addition in one step: it has no scale for between
    model = _saved(block(), tmp_path)
    cache = to_trt_cache(_measured(model))
    scales = {name: scale for name, scale in cache.scales.items() if name != "project/conv"}
    found = from_trt_cache(replace(cache, scales=scales), model)
    assert found.only_u8 == ("project/conv",)
    assert _quantised(model, found.calibration.ranges)


def test_a_model_without_size_or_preprocessing_is_asked_for_them(tmp_path: Path) -> None:
    model = _saved(block(sides=("h", "w")), tmp_path)
    cache = to_trt_cache(calibration())
    with pytest.raises(UsageError, match=r"does not say its size.*\n.*--resolution R"):
        from_trt_cache(cache, model)
    model = replace(_saved(block(), tmp_path), preprocessing=None)
    with pytest.raises(UsageError, match=r"does not say its preprocessing.*\n.*--mean and --std"):
        from_trt_cache(cache, model)


def test_an_unknown_algorithm_or_version_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"'Entropy2'.*\n.*EntropyCalibration"):
        to_trt_cache(calibration(), algorithm="Entropy2")
    with pytest.raises(UsageError, match=r"is '8\.2\.1', a cache holds digits\n.*8201 for 8\.2\.1"):
        to_trt_cache(calibration(), version="8.2.1")


def _corrected(model: OnnxModel) -> Calibration:
    shift = Correction(bias=np.full(8, 0.25, np.float32))
    return replace(_measured(model), corrections={"s8": {"stem/norm": shift}})


def test_a_calibration_with_layers_in_float_has_no_cache(tmp_path: Path) -> None:
    found = calibration(spending={"s8": left_float("conv/b", "conv/c"), "u8": left_float()})
    with pytest.raises(
        UsageError, match=r"leaves 2 layers in float for TensorRT \(conv/b, …\), and a cache quant"
    ):
        export(found, tmp_path / "m.cache")
    assert not list(tmp_path.iterdir())
    export(replace(found, spending={"u8": left_float("conv/b")}), tmp_path / "m.cache")


def test_a_calibration_that_changes_weights_needs_the_model(tmp_path: Path) -> None:
    model = _saved(block(norm=True), tmp_path)
    with pytest.raises(UsageError, match=r"changes weights.*\n.*pass --model MODEL"):
        export(_corrected(model), tmp_path / "m.cache")
    assert not (tmp_path / "m.cache").exists()


def test_the_changed_network_is_written_beside_its_cache(tmp_path: Path) -> None:
    model = _saved(block(norm=True), tmp_path)
    target = tmp_path / "trt" / "m.cache"
    assert export(_corrected(model), target, model=model) == (target, target.with_suffix(".onnx"))
    proto = onnx.load(target.with_suffix(".onnx"))
    onnx.checker.check_model(proto, full_check=True)
    plain = ir.serde.serialize_model(network(model, model.side).graph)
    biases = []
    for found in (plain, proto):
        constants = {c.name: onnx.numpy_helper.to_array(c) for c in found.graph.initializer}
        (stem,) = (node for node in found.graph.node if node.output[0] == "stem/norm")
        biases.append(constants[stem.input[2]])
    assert np.allclose(biases[1] - biases[0], 0.25)


def test_the_changed_network_never_replaces_the_model(tmp_path: Path) -> None:
    model = _saved(block(norm=True), tmp_path)
    before = model.path.read_bytes()
    with pytest.raises(UsageError, match=r"over the model itself\n.*another -o"):
        export(_corrected(model), tmp_path / "block.cache", model=model)
    with pytest.raises(UsageError, match=r"would both be .*m\.onnx"):
        export(_corrected(model), tmp_path / "m.onnx", model=model)
    assert model.path.read_bytes() == before


def test_a_cache_of_a_model_also_has_the_tensors_that_are_fused(tmp_path: Path) -> None:
    model = _saved(block(norm=True, softmax=True), tmp_path)
    found = _measured(model)
    export(found, tmp_path / "few.cache")
    export(found, tmp_path / "all.cache", model=model, version="8502")
    few, every = (trt_cache.read(tmp_path / f"{name}.cache") for name in ("few", "all"))
    assert every.header == "TRT-8502-EntropyCalibration2"
    assert dict(few.scales) == {name: every.scales[name] for name in found.ranges}
    # the file itself is what TensorRT parses: its batch norm is not folded
    tensors = {output for node in onnx.load(model.path).graph.node for output in node.output}
    assert set(every.scales) == {"image", *tensors}
    for name in ("stem", "expand", "depthwise", "head"):
        conv, norm, act = (every.scales[f"{name}/{part}"] for part in ("conv", "norm", "act"))
        assert conv == norm == act
    assert every.scales["probabilities"] == np.float32(1 / 127)


def test_the_cache_of_a_changed_network_has_its_tensors(tmp_path: Path) -> None:
    model = _saved(block(norm=True), tmp_path)
    cache, changed = export(_corrected(model), tmp_path / "trt.cache", model=model)
    nodes = onnx.load(changed).graph.node
    assert set(trt_cache.read(cache).scales) == {"image", *(node.output[0] for node in nodes)}


def test_an_imported_cache_is_exported_with_its_own_header(tmp_path: Path) -> None:
    model = _saved(block(), tmp_path)
    found = replace(_measured(model), method="imported:TRT-8203-MinMaxCalibration")
    for known in (None, model):
        export(found, tmp_path / "m.cache", model=known)
        assert trt_cache.read(tmp_path / "m.cache").header == "TRT-8203-MinMaxCalibration"


def test_another_model_is_refused_with_both_digests(tmp_path: Path) -> None:
    model = _saved(block(), tmp_path)
    foreign = replace(_measured(model), model_sha256="f" * 64)
    with pytest.raises(FileError, match=f"{'f' * 64}, this one has {model.sha256}"):
        export(foreign, tmp_path / "m.cache", model=model)
