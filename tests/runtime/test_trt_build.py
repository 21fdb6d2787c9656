from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import (
    BuildError,
    FileError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)
from edgedeploy.runtime import trt_build
from tests.runtime import fake_engine, fake_trt
from tests.runtime.build_with import ORIN, TABLE, WITH_QDQ, build
from tests.runtime.fake_engine import GENERATIONS, Type
from tests.runtime.fake_trt import LayerType

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_builds_and_is_bound_to_its_gpu_and_version(
    generation: str, source: str, tmp_path: Path
) -> None:
    report = build(source, fake_trt.Library(generation))
    assert (tmp_path / "model.engine").read_bytes() == b"plan"
    assert report.files == ("model.engine",)
    assert report.runs_on == {
        "portable": False,
        "library": "tensorrt",
        "library_version": generation,
        "gpu": "Orin",
        "compute_capability": "8.7",
        "version_compatible": False,
        "hardware_compatible": None,
        "dla_core": None,
    }


@pytest.mark.parametrize("generation", ["8.2.1", "8.4.1", "8.5.2", "8.6.1"])
@pytest.mark.parametrize(
    ("precision", "flags"), [("fp32", set()), ("fp16", {"FP16"}), ("int8", {"FP16", "INT8"})]
)
def test_weakly_typed_builds_set_precision_flags_and_int8_never_without_fp16(
    generation: str, precision: str, flags: set[str], source: str
) -> None:
    trt = fake_trt.Library(generation, layers=WITH_QDQ)
    report = build(source, trt, precision, int8_mode="qdq")
    assert trt.seen.flags == flags
    assert trt.seen.cleared == {"TF32"}
    assert report.int8_mode == ("qdq" if precision == "int8" else None)


@pytest.mark.parametrize("generation", ["10.3.0", "10.13.0", "11.1.0"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_strongly_typed_builds_set_no_precision_flag(
    generation: str, precision: str, source: str
) -> None:
    trt = fake_trt.Library(generation, layers=WITH_QDQ, layer_type=Type.HALF)
    build(source, trt, precision)
    assert trt.seen.flags == set()
    strongly = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    assert trt.seen.network & strongly


def test_qdq_on_tensorrt_10_is_weakly_typed_with_flags(source: str) -> None:
    trt = fake_trt.Library("10.3.0", layers=WITH_QDQ)
    assert build(source, trt, "int8", int8_mode="qdq").int8_mode == "qdq"
    assert trt.seen.flags == {"FP16", "INT8"}
    assert trt.seen.network == 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)


def test_strongly_typed_fp16_of_a_float32_source_is_refused_rather_than_run_in_fp32(
    source: str,
) -> None:
    with pytest.raises(
        BuildError, match=r"fp16 was asked, but source.onnx has no float16"
    ) as caught:
        build(source, fake_trt.Library("11.1.0"), "fp16")
    assert "edgedeploy build MODEL --backend trt --fp16" in caught.value.fix


@pytest.mark.parametrize(
    ("generation", "mode"), [("8.2.1", "qdq"), ("10.3.0", "qdq"), ("11.1.0", "typed")]
)
def test_int8_of_a_source_without_qdq_is_refused(generation: str, mode: str, source: str) -> None:
    with pytest.raises(BuildError, match="has no QuantizeLinear and DequantizeLinear nodes"):
        build(source, fake_trt.Library(generation), "int8", int8_mode=mode)


def test_qdq_of_a_generation_without_it_is_refused(source: str) -> None:
    with pytest.raises(UnsupportedError, match=r"'qdq' was asked for.*11 has typed"):
        build(source, fake_trt.Library("11.1.0", layers=WITH_QDQ), "int8", int8_mode="qdq")


# ---- implicit INT8 ----


@pytest.mark.parametrize(
    ("generation", "header"),
    [
        ("8.2.1", b"TRT-8201-EntropyCalibration2"),
        ("8.4.1", b"TRT-8401-EntropyCalibration2"),
        ("8.6.1", b"TRT-8601-EntropyCalibration2"),
        ("10.13.0", b"TRT-101300-EntropyCalibration2"),
    ],
)
def test_implicit_int8_offers_the_cache_to_a_weakly_typed_build_and_leaves_the_file_alone(
    generation: str, header: bytes, source: str, cache: str, tmp_path: Path
) -> None:
    trt = fake_trt.Library(generation)
    report = build(source, trt, "int8", int8_mode="implicit", cache=cache)
    assert report.int8_mode == "implicit"
    assert trt.seen.flags == {"FP16", "INT8"}
    assert trt.seen.network == 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    assert trt.seen.table == header + b"\ntensor0: 3c010204\n"
    assert trt.seen.calibration_profile == ("image", *[(1, 3, 32, 32)] * 3)
    assert (tmp_path / "calibration.cache").read_bytes() == TABLE
    assert report.floats == ()
    assert report.log == ""


def test_implicit_int8_of_a_fixed_batch_needs_no_profile(source: str, cache: str) -> None:
    trt = fake_trt.Library("8.2.1", input_shape=(4, 3, 32, 32))
    build(source, trt, "int8", cache=cache)
    assert trt.seen.profile is None
    assert not hasattr(trt.seen, "calibration_profile")


def test_a_layer_without_a_range_is_named_in_the_report_and_in_the_log(
    source: str, cache: str, tmp_path: Path
) -> None:
    trt = fake_trt.Library("8.2.1", layers=(LayerType.CONVOLUTION,) * 3)
    report = build(source, trt, "int8", cache=cache)
    assert report.floats == ("convolution1", "convolution2")
    note = "NOTE: no range, so they run in float: convolution1, convolution2\n"
    assert (tmp_path / "build.log").read_text() == note


def test_implicit_int8_without_a_cache_is_refused(source: str) -> None:
    with pytest.raises(UsageError, match="without the calibration cache that it needs"):
        build(source, fake_trt.Library("8.2.1"), "int8")


def test_implicit_int8_of_a_source_with_qdq_is_refused(source: str, cache: str) -> None:
    trt = fake_trt.Library("8.2.1", layers=WITH_QDQ)
    with pytest.raises(BuildError, match=r"'implicit' was asked, but .* beside which ranges"):
        build(source, trt, "int8", cache=cache)


def test_a_cache_that_tensorrt_does_not_take_is_an_error_with_its_words(
    source: str, cache: str, tmp_path: Path
) -> None:
    trt = fake_trt.Library("8.2.1", refuses_cache=True)
    with pytest.raises(BuildError, match="no scaling factors") as caught:
        build(source, trt, "int8", cache=cache)
    assert "it asked for images" in caught.value.problem
    assert not (tmp_path / "model.engine").exists()


# ---- timings and progress ----


def test_the_second_build_starts_with_what_the_first_has_timed(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "timings"
    build(source, fake_trt.Library("10.3.0", timed="conv1"), timing_cache=str(folder))
    second = fake_trt.Library("10.3.0", timed="conv2")
    build(source, second, timing_cache=str(folder))
    assert second.seen.config.get_timing_cache().entries == {"conv1", "conv2"}
    assert [path.name for path in folder.iterdir()] == ["tensorrt-10.3.0-Orin-sm8.7.timing"]


def test_without_a_folder_nothing_is_kept(source: str) -> None:
    trt = fake_trt.Library("10.3.0")
    build(source, trt)
    assert trt.seen.config.get_timing_cache() is None


def test_a_damaged_timing_cache_is_in_the_log_and_costs_no_build(
    source: str, tmp_path: Path
) -> None:
    folder = tmp_path / "timings"
    folder.mkdir()
    (folder / "tensorrt-8.2.1-Orin-sm8.7.timing").write_bytes(b"damaged")
    report = build(source, fake_trt.Library("8.2.1"), timing_cache=str(folder))
    assert report.files == ("model.engine", "build.log")
    assert "is damaged: timed anew" in (tmp_path / "build.log").read_text()


def test_progress_is_passed_on(source: str) -> None:
    told: list[str] = []
    build(source, fake_trt.Library("10.3.0"), progress=lambda *step: told.append(step[0]))
    assert told[0] == "Building engine"


def ctrl_c() -> None:
    """Call what Ctrl-C calls."""
    handler = signal.getsignal(signal.SIGINT)
    assert callable(handler)
    handler(signal.SIGINT, None)


def test_ctrl_c_leaves_nothing(source: str, tmp_path: Path) -> None:
    trt = fake_trt.Library("10.3.0", during=ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        build(source, trt, timing_cache=str(tmp_path / "timings"))
    assert [path.name for path in tmp_path.iterdir()] == ["source.onnx"]


# ---- batches, refusals, files ----


def test_dynamic_batch_gets_a_profile_of_1_to_8_best_at_1(source: str) -> None:
    trt = fake_trt.Library("8.5.2")
    build(source, trt)
    assert trt.seen.profile == ("image", (1, 3, 32, 32), (1, 3, 32, 32), (8, 3, 32, 32))


def test_fixed_batch_gets_no_profile(source: str) -> None:
    trt = fake_trt.Library("8.5.2", input_shape=(1, 3, 32, 32))
    build(source, trt)
    assert trt.seen.profile is None


def test_workspace_fits_a_board_of_4_gb(source: str) -> None:
    trt = fake_trt.Library("8.2.1")
    build(source, trt)
    assert trt.seen.config.max_workspace_size == 256 << 20


def test_a_build_that_returns_nothing_says_what_tensorrt_logged(
    source: str, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match="Could not find any implementation for node c"):
        build(source, fake_trt.Library("10.3.0", plan=None))
    assert not (tmp_path / "model.engine").exists()


def test_warnings_are_kept_beside_the_engine_until_a_build_without_any(
    source: str, tmp_path: Path
) -> None:
    report = build(source, fake_trt.Library("8.6.1", warnings=("weights were clipped",)))
    assert report.files == ("model.engine", "build.log")
    assert (tmp_path / "build.log").read_text() == "WARNING: weights were clipped\n"
    assert build(source, fake_trt.Library("8.6.1")).files == ("model.engine",)
    assert not (tmp_path / "build.log").exists()


def test_tensorrt_without_a_gpu_is_refused_before_it_crashes(source: str) -> None:
    trt = fake_trt.Library("10.3.0")
    with pytest.raises(UnsupportedError, match="it needs an NVIDIA GPU") as caught:
        build(source, trt, find_gpu=lambda: None)
    assert "edgedeploy[trt-rtx]" in caught.value.fix
    assert trt.seen.network is None


def test_tensorrt_that_does_not_start_says_why(source: str) -> None:
    with pytest.raises(UnsupportedError, match="CUDA initialization failure with error: 35"):
        build(source, fake_trt.Library("10.3.0", builder_is_null=True))


LAYERS = """{"Layers": [
  {"Name": "stem", "LayerType": "CaskConvolution",
   "Inputs": [{"Format/Datatype": "Row major linear FP16 format"}]},
  {"Name": "block1", "LayerType": "CaskConvolution",
   "Inputs": [{"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}]}
]}"""


@pytest.mark.parametrize("generation", ["8.2.1", "8.6.1", "10.3.0"])
def test_the_engine_tells_what_it_runs_and_which_layers_stayed_in_float(
    generation: str, source: str
) -> None:
    engine = fake_engine.loadable(generation, fake_engine.FakeGpu(), LAYERS)
    engine.inside.side = 32
    trt = fake_trt.Library(generation, layers=WITH_QDQ, engine=engine)
    report = build(source, trt, "int8", int8_mode="qdq")
    assert report.runs == {"float16": 1, "int8": 1}
    assert report.floats == ("stem",)


def test_a_precision_that_tensorrt_does_not_have_is_refused_by_name(source: str) -> None:
    with pytest.raises(UnknownNameError, match="no TensorRT precision is called 'bf16'"):
        build(source, fake_trt.Library("10.3.0"), "bf16")


def test_a_source_that_is_not_there_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"source.onnx cannot be read: No such file"):
        build(str(tmp_path / "source.onnx"), fake_trt.Library("10.3.0"))


def test_a_folder_that_is_not_there_is_a_file_error_and_leaves_nothing(source: str) -> None:
    with pytest.raises(FileError, match="cannot be written") as caught:
        trt_build.build_engine(
            source,
            source + "/model.engine",
            precision="fp32",
            trt=fake_trt.Library("10.3.0"),
            find_gpu=lambda: ORIN,
        )
    assert "free space" in caught.value.fix


def test_the_engine_is_inspected_with_host_code_off_where_there_is_a_gpu(source: str) -> None:
    trt = fake_trt.Library("10.3.0")
    assert build(source, trt).runs == {}  # this one does not load, so it does not tell
    assert trt.seen.host_code is False
