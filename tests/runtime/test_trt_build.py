from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import BuildError, FileError, UnknownNameError, UnsupportedError
from edgedeploy.runtime import trt_build
from edgedeploy.runtime.cuda_memory import Gpu
from tests.runtime import fake_trt
from tests.runtime.fake_engine import GENERATIONS, Type
from tests.runtime.fake_trt import LayerType

if TYPE_CHECKING:
    from pathlib import Path

ORIN = Gpu("Orin", "8.7")
WITH_QDQ = (LayerType.QUANTIZE, LayerType.DEQUANTIZE, LayerType.CONVOLUTION)


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "source.onnx"
    path.write_bytes(b"onnx")
    return str(path)


def build(source: str, trt: Any, precision: str = "fp32", **more: Any) -> trt_build.BuildReport:
    engine = source.replace("source.onnx", "model.engine")
    return trt_build.build_engine(
        source, engine, precision=precision, trt=trt, **({"find_gpu": lambda: ORIN} | more)
    )


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


def test_unknown_height_and_width_are_refused_with_the_flag_that_gives_them(source: str) -> None:
    with pytest.raises(BuildError, match=r"shape \(any, 3, any, any\)") as caught:
        build(source, fake_trt.Library("10.3.0", input_shape=(-1, 3, -1, -1)))
    assert "--resolution 224" in caught.value.fix


def test_parser_errors_name_the_nodes_in_new_versions(source: str) -> None:
    errors = tuple(
        SimpleNamespace(
            node_name=lambda name=name: name,
            node_operator=lambda: "Bernoulli",
            node=lambda: 3,
            code=lambda: SimpleNamespace(name="UNSUPPORTED_NODE"),
            desc=lambda: "no importer",
        )
        for name in ("dice", "coin")
    )
    with pytest.raises(BuildError, match=r"'dice' \(Bernoulli\): UNSUPPORTED_NODE: no importer"):
        build(source, fake_trt.Library("10.3.0", parse_errors=errors))
    with pytest.raises(BuildError, match="; node 'coin'"):
        build(source, fake_trt.Library("10.3.0", parse_errors=errors))


def test_parser_errors_give_the_number_of_the_node_in_old_versions(source: str) -> None:
    error = SimpleNamespace(
        node=lambda: 3,
        code=lambda: SimpleNamespace(name="UNSUPPORTED_NODE"),
        desc=lambda: "no importer",
    )
    with pytest.raises(BuildError, match="node number 3: UNSUPPORTED_NODE: no importer"):
        build(source, fake_trt.Library("8.2.1", parse_errors=(error,)))


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
