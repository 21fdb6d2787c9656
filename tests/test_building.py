from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.numpy_helper
import onnx_ir as ir
import pytest

from edgedeploy import artifact, backends, building, devices, model_file, preparing
from edgedeploy.calibration import files as calibrations
from edgedeploy.calibration_values import Calibration, Correction, QdqStyle, TensorRange
from edgedeploy.errors import BuildError, FileError, UnknownNameError, UnsupportedError, UsageError
from edgedeploy.graph.tensors import activations
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.runtime.runtime import Runtime
from edgedeploy.source_forms import SourceForm
from edgedeploy.types import BuildSpec, Precision
from tests.graph.networks import block, ranges
from tests.models import save, stem

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.types import Array, OnnxModel

RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)
FP32 = BuildSpec(backend="ort")


@pytest.fixture
def model(tmp_path: Path) -> OnnxModel:
    return model_file.read(save(stem(), tmp_path / "stem.onnx"))


@pytest.fixture
def calibration(model: OnnxModel, tmp_path: Path) -> Calibration:
    ranges = {
        "image": TensorRange(-1, 1, -1, 1),
        "r": TensorRange(0, 6, 0, 6),
        "p": TensorRange(0, 5, 0, 5),
    }
    measured = Calibration(
        model_sha256=model.sha256,
        data_digest="00",
        data_count=1,
        method="minmax",
        side=(8, 8),
        preprocessing=RULE,
        ranges=ranges,
        versions={},
    )
    calibrations.write(measured, tmp_path / "stem.json")
    return calibrations.read(tmp_path / "stem.json")


def test_artifact_says_what_it_was_built_from(model: OnnxModel, tmp_path: Path) -> None:
    result = building.build(model, FP32, out=tmp_path / "build", command=["edgedeploy", "build"])
    assert result.folder == tmp_path / "build" / "stem" / "ort-fp32"
    raw = json.loads((result.folder / "manifest.json").read_text())
    assert raw["model_sha256"] == model.sha256
    assert raw["precision"] == {"asked": "fp32", "runs": {"float32": 1}}
    assert raw["inputs"] == [{"name": "image", "shape": [None, 3, 8, 8], "dtype": "float32"}]
    assert raw["built"]["command"] == ["edgedeploy", "build"]
    assert raw["files"][0]["size_bytes"] == (result.folder / "model.onnx").stat().st_size


def test_second_build_does_nothing_until_something_changes(
    model: OnnxModel, tmp_path: Path
) -> None:
    first = building.build(model, FP32, out=tmp_path)
    before = (first.folder / "manifest.json").stat().st_mtime_ns
    assert building.build(model, FP32, out=tmp_path).up_to_date
    assert (first.folder / "manifest.json").stat().st_mtime_ns == before
    assert not building.build(replace(model, labels=("a",) * 4), FP32, out=tmp_path).up_to_date
    (first.folder / "model.onnx").write_bytes(b"damaged")
    assert not building.build(replace(model, labels=("a",) * 4), FP32, out=tmp_path).up_to_date


def test_new_calibration_rebuilds_int8_only(
    model: OnnxModel, calibration: Calibration, tmp_path: Path
) -> None:
    int8 = BuildSpec(backend="ort", precision=Precision.INT8)
    for spec in (FP32, int8):
        building.build(model, spec, out=tmp_path, calibration=calibration)
    other = replace(calibration, sha256="another")
    assert building.build(model, FP32, out=tmp_path, calibration=other).up_to_date
    assert not building.build(model, int8, out=tmp_path, calibration=other).up_to_date


@pytest.mark.parametrize(
    ("backend", "precision"),
    [
        *(("ort", precision) for precision in Precision if precision is not Precision.BF16),
        *(("openvino", precision) for precision in Precision),
    ],
)
def test_same_inputs_give_the_same_artifact(
    model: OnnxModel, calibration: Calibration, tmp_path: Path, backend: str, precision: Precision
) -> None:
    if backends.package(backend) is None:
        pytest.skip(f"{backend} is not installed")
    spec = BuildSpec(backend=backend, precision=precision)
    first, second = (
        building.build(model, spec, out=tmp_path / name, calibration=calibration).manifest
        for name in ("one", "two")
    )
    assert first.sha256 == second.sha256


def test_int8_keeps_the_answers_of_fp32_and_runs_in_int8(
    model: OnnxModel, calibration: Calibration, tmp_path: Path
) -> None:
    batch = np.random.default_rng(0).uniform(-1, 1, (5, 3, 8, 8)).astype(np.float32)
    outputs = {}
    for precision in (Precision.FP32, Precision.INT8):
        spec = BuildSpec(backend="ort", precision=precision)
        result = building.build(model, spec, out=tmp_path, calibration=calibration)
        with Runtime.load(str(result.folder)) as runtime:
            outputs[precision] = runtime.infer(batch)
            runs = runtime.manifest.runs
            quantised = runtime.manifest.quantised
        assert runs == {"int8" if precision is Precision.INT8 else "float32": 1}
        assert quantised == (1 if precision is Precision.INT8 else None)
    np.testing.assert_allclose(outputs[Precision.INT8], outputs[Precision.FP32], atol=0.2)


def test_int8_without_calibration_says_how_to_get_one(model: OnnxModel, tmp_path: Path) -> None:
    spec = BuildSpec(backend="ort", precision=Precision.INT8)
    with pytest.raises(UsageError, match=r"has no calibration[^\n]*\n.*edgedeploy calibrate"):
        building.build(model, spec, out=tmp_path)


@pytest.mark.parametrize(
    ("hints", "more"),
    [
        (model_file.ModelHints(), "--mean MEAN --std STD --resolution R"),
        (
            model_file.ModelHints(preprocessing=RULE, side=(8, 8)),
            "--mean 127.5,127.5,127.5 --std 127.5,127.5,127.5 --input-shape 3x8x8",
        ),
    ],
)
def test_the_command_to_calibrate_says_what_the_model_does_not(
    hints: model_file.ModelHints, more: str, tmp_path: Path
) -> None:
    path = save(stem(("N", 3, "H", "W")), tmp_path / "my stem.onnx")
    model = model_file.read(path, hints)
    spec = BuildSpec(backend="ort", precision=Precision.INT8)
    with pytest.raises(UsageError) as caught:
        building.build(model, spec, out=tmp_path)
    command = f"edgedeploy calibrate '{path}' --data IMAGES {more}"
    assert caught.value.fix == f"measure them: {command}"


def test_full_weights_are_a_need_that_the_manifest_states_and_another_build(
    model: OnnxModel, calibration: Calibration, tmp_path: Path
) -> None:
    anywhere = BuildSpec(backend="ort", precision=Precision.INT8)
    with_vnni = replace(anywhere, x86="vnni")

    def build(spec: BuildSpec) -> building.BuildResult:
        return building.build(model, spec, out=tmp_path, calibration=calibration)

    first, second = build(anywhere), build(with_vnni)
    assert (first.manifest.needs, second.manifest.needs) == ({}, {"x86": "vnni"})
    assert first.folder == second.folder
    assert first.manifest.sha256 != second.manifest.sha256  # the weights differ
    assert build(with_vnni).up_to_date
    assert not build(anywhere).up_to_date


def test_full_weights_have_one_scale_step_more_than_bounded_ones(
    model: OnnxModel, calibration: Calibration
) -> None:
    largest = {}
    for x86 in building.X86:
        data = preparing.source(model, SourceForm(style=QdqStyle.U8), calibration, x86=x86)
        constants = {c.name: c for c in onnx.ModelProto.FromString(data).graph.initializer}
        largest[x86] = np.abs(onnx.numpy_helper.to_array(constants["w/quantized"])).max()
    assert largest["vnni"] == 127
    assert largest["any"] < 127


def _constants(
    model: OnnxModel, calibration: Calibration, style: QdqStyle, x86: str = "any"
) -> dict[str, Array]:
    """The constants of what a backend is given for INT8, by name."""
    data = preparing.source(model, SourceForm(style=style), calibration, x86=x86)
    tensors = onnx.ModelProto.FromString(data).graph.initializer
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in tensors}


@pytest.mark.parametrize("named", ["u8", "u8-vnni", "s8"])
def test_corrections_serve_the_style_that_they_were_measured_in(
    model: OnnxModel, calibration: Calibration, named: str
) -> None:
    delta = np.zeros((4, 3, 3, 3), np.int8)
    delta[1, 1, 1, 1] = 1
    shift = np.array([1.0, 0.0, -2.0, 0.0], np.float32)
    corrected = replace(
        calibration, corrections={named: {"c": Correction(bias=shift, rounding=delta)}}
    )
    for style, x86, name in (
        (QdqStyle.U8, "any", "u8"),
        (QdqStyle.U8, "vnni", "u8-vnni"),
        (QdqStyle.S8, "any", "s8"),
    ):
        before = _constants(model, calibration, style, x86)
        after = _constants(model, corrected, style, x86)
        rounded = after["w/quantized"].astype(int) - before["w/quantized"]
        np.testing.assert_array_equal(rounded, delta if name == named else 0 * delta)
        moved = _bias(after) - _bias(before)
        expected = shift if name == named else 0 * shift
        np.testing.assert_allclose(moved, expected, atol=1e-3)


def _bias(constants: dict[str, Array]) -> Array:
    """The only bias, in float; 0 where there is none."""
    for name, array in constants.items():
        if array.shape == (4,) and array.dtype == np.int32 and array.any():
            return array * constants[name.replace("/quantized", "/scale")]
        if name.endswith(("c/input_2", "/b")) and array.dtype == np.float32:
            return array
    return np.zeros(4, np.float32)


def test_int8_is_of_the_equalised_network_and_float_is_not(
    tmp_path: Path, calibration: Calibration
) -> None:
    path = tmp_path / "block.onnx"
    path.write_bytes(ir.serde.serialize_model(block(gemm="Gemm")).SerializeToString())
    model = model_file.read(path)
    scale = np.linspace(1, 4, 16).astype(np.float32)
    scaled = replace(
        calibration,
        model_sha256=model.sha256,
        side=(16, 16),
        ranges=ranges(activations(block(gemm="Gemm"))),
        equalisation={"expand/act": scale},
    )
    plain = replace(scaled, equalisation={})
    scales = [_constants(model, found, QdqStyle.S8)["expand/w/scale"] for found in (scaled, plain)]
    np.testing.assert_allclose(scales[0], scales[1] * scale, rtol=1e-5)
    floats = [preparing.source(model, SourceForm(), found) for found in (scaled, plain)]
    assert floats[0] == floats[1]


def test_a_calibration_that_fits_no_layer_is_refused_and_leaves_no_artifact(
    model: OnnxModel, calibration: Calibration, tmp_path: Path
) -> None:
    int8 = BuildSpec(backend="ort", precision=Precision.INT8)
    ones = np.ones(4, np.float32)
    for change, problem in (
        ({"equalisation": {"r": ones}}, "equalises r, which this model cannot"),
        ({"corrections": {"u8": {"r": Correction(bias=ones)}}}, "corrects r, which is no layer"),
        ({"corrections": {"u8": {"c": Correction(bias=ones[1:])}}}, r"bias of \(3,\)"),
    ):
        wrong = replace(calibration, **change)
        with pytest.raises(BuildError, match=problem):
            building.build(model, int8, out=tmp_path / "build", calibration=wrong)
        assert not (tmp_path / "build" / "stem").exists()


@pytest.mark.parametrize(
    ("backend", "precision"),
    [("ort", Precision.FP32), ("openvino", Precision.FP16), ("trt", Precision.INT8)],
)
def test_full_weights_are_refused_where_there_are_none(
    model: OnnxModel, calibration: Calibration, tmp_path: Path, backend: str, precision: Precision
) -> None:
    if backends.package(backend) is None:
        pytest.skip(f"{backend} is not installed")
    spec = BuildSpec(backend=backend, precision=precision, x86="vnni")
    words = rf"vnni was asked for, and {backend} {precision.value}[^\n]*\n.*leave --x86 out"
    with pytest.raises(UsageError, match=words):
        building.build(model, spec, out=tmp_path / "build", calibration=calibration)
    assert not (tmp_path / "build").exists()


def test_unknown_kind_of_x86_gets_the_known_ones(
    model: OnnxModel, calibration: Calibration, tmp_path: Path
) -> None:
    spec = BuildSpec(backend="ort", precision=Precision.INT8, x86="vnn")
    with pytest.raises(UnknownNameError, match=r"'vnn'[^\n]*\n.*did you mean 'vnni'"):
        building.build(model, spec, out=tmp_path, calibration=calibration)


def test_precision_that_the_backend_lacks_is_refused(model: OnnxModel, tmp_path: Path) -> None:
    spec = BuildSpec(backend="ort", precision=Precision.BF16)
    with pytest.raises(UnsupportedError, match=r"cannot build bf16\n.*--fp16 or --fp32 or --int8"):
        building.build(model, spec, out=tmp_path)


def test_int8_on_a_board_without_it_is_refused_before_anything_is_built(
    model: OnnxModel, calibration: Calibration, tmp_path: Path
) -> None:
    if backends.package("trt") is None:
        pytest.skip("neither tensorrt nor tensorrt_rtx is installed")
    spec = BuildSpec(backend="trt", precision=Precision.INT8)
    nano = devices.find("jetson-nano")
    out = tmp_path / "build"
    with pytest.raises(UnsupportedError, match=r"(?i)nano[^\n]*int8[^\n]*\n.*--fp16"):
        building.build(model, spec, out=out, calibration=calibration, device=nano)
    assert not out.exists()


def test_unknown_backend_gets_a_suggestion(model: OnnxModel, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'openvino'"):
        building.build(model, BuildSpec(backend="openvno"), out=tmp_path)


def test_refused_model_leaves_no_artifact(tmp_path: Path) -> None:
    proto = stem()
    proto.graph.node[1].CopyFrom(
        onnx.helper.make_node("FromNowhere", ["c"], ["r"], domain="com.example")
    )
    proto.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    model = model_file.read(save(proto, tmp_path / "m.onnx"))
    with pytest.raises(BuildError, match=r"ONNX Runtime .* refused"):
        building.build(model, FP32, out=tmp_path / "build")
    assert not (tmp_path / "build" / "m").exists()


def test_interrupted_build_leaves_no_artifact(
    model: OnnxModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(artifact, "write_manifest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        building.build(model, FP32, out=tmp_path / "build")
    assert not (tmp_path / "build" / "stem").exists()


def test_output_folder_that_cannot_be_made_is_told(model: OnnxModel, tmp_path: Path) -> None:
    (tmp_path / "build").write_bytes(b"a file")
    with pytest.raises(FileError, match="cannot be written"):
        building.build(model, FP32, out=tmp_path / "build")
