from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import BuildError, UnsupportedError, UsageError
from edgedeploy.runtime.trt_options import TrtOptions
from tests.runtime import fake_trt
from tests.runtime.build_with import WITH_QDQ, build
from tests.runtime.fake_engine import Type
from tests.runtime.fake_trt import LayerType

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("generation", ["8.6.1", "10.3.0", "11.1.0"])
def test_options_are_said_to_generations_that_have_them(generation: str, source: str) -> None:
    trt = fake_trt.Library(generation)
    options = TrtOptions(
        batch=(2, 4, 16),
        workspace_mb=64,
        optimization_level=5,
        version_compatible=True,
        hardware_compatible="ampere-plus",
    )
    report = build(source, trt, options=options)
    assert trt.seen.profile[1:] == ((2, 3, 32, 32), (4, 3, 32, 32), (16, 3, 32, 32))
    assert trt.seen.pool == ("WORKSPACE", 64 << 20)
    assert trt.seen.config.builder_optimization_level == 5
    # no code in the file: it would have to be run to load it
    assert trt.seen.flags == {"VERSION_COMPATIBLE", "EXCLUDE_LEAN_RUNTIME"}
    assert trt.seen.config.hardware_compatibility_level.name == "AMPERE_PLUS"
    assert report.options == options
    assert report.runs_on["version_compatible"] is True
    assert report.runs_on["hardware_compatible"] == "ampere-plus"


@pytest.mark.parametrize(
    ("generation", "options", "problem"),
    [
        ("8.5.2", TrtOptions(optimization_level=3), "optimisation level 3 was asked for, tensorrt"),
        ("8.5.2", TrtOptions(version_compatible=True), "a version-compatible engine was asked"),
        ("8.2.1", TrtOptions(hardware_compatible="ampere-plus"), "compatible with ampere-plus"),
        (
            "10.3.0",
            TrtOptions(hardware_compatible="same-compute-capability"),
            "compatible with same-compute-capability was asked for, tensorrt 10.3.0",
        ),
    ],
)
def test_options_that_a_generation_lacks_are_refused_with_the_flag(
    generation: str, options: TrtOptions, problem: str, source: str
) -> None:
    with pytest.raises(UnsupportedError, match=problem) as caught:
        build(source, fake_trt.Library(generation), options=options)
    assert "out, or use a TensorRT that has it" in caught.value.fix


def test_same_compute_capability_is_there_from_10_9_on(source: str) -> None:
    trt = fake_trt.Library("10.13.0")
    build(source, trt, options=TrtOptions(hardware_compatible="same-compute-capability"))
    assert trt.seen.config.hardware_compatibility_level.name == "SAME_COMPUTE_CAPABILITY"


def test_a_refused_hardware_compatible_build_says_that_jetsons_have_none(source: str) -> None:
    trt = fake_trt.Library("8.6.1", plan=None)
    with pytest.raises(BuildError) as caught:
        build(source, trt, options=TrtOptions(hardware_compatible="ampere-plus"))
    assert "on a Jetson leave --hardware-compatible out" in caught.value.fix


def test_options_out_of_range_are_refused_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match="the workspace is 0"):
        build("nothing", fake_trt.Library("8.6.1"), options=TrtOptions(workspace_mb=0))


def test_int8_on_a_gpu_that_has_none_is_refused_before_the_build(source: str, cache: str) -> None:
    trt = fake_trt.Library("8.2.1", fast_int8=False)
    with pytest.raises(
        UnsupportedError, match=r"this GPU has no INT8, says tensorrt 8.2.1"
    ) as caught:
        build(source, trt, "int8", cache=cache)
    assert "--fp16" in caught.value.fix
    build(source, trt, "fp16")


# ---- DLA ----

DLA = TrtOptions(batch=(1, 1, 1), dla_core=1)


@pytest.mark.parametrize("generation", ["8.5.2", "8.6.1", "10.3.0"])
def test_a_dla_takes_weakly_typed_networks_and_lists_what_falls_back_to_the_gpu(
    generation: str, source: str, tmp_path: Path
) -> None:
    trt = fake_trt.Library(
        generation,
        layers=(LayerType.CONSTANT, LayerType.CONVOLUTION, LayerType.CONVOLUTION),
        layer_type=Type.HALF,
        dla_cores=2,
        gpu_only=("constant0", "convolution2"),
    )
    report = build(source, trt, "fp16", options=DLA)
    assert report.gpu_fallback == ("convolution2",)  # a constant runs nowhere
    assert report.runs_on["dla_core"] == 1
    assert trt.seen.config.DLA_core == trt.seen.runtime_dla_core == 1
    assert trt.seen.flags == {"FP16", "GPU_FALLBACK"}
    assert "does not run them: convolution2" in (tmp_path / "build.log").read_text()


def test_int8_on_a_dla_of_tensorrt_10_is_implicit(source: str, cache: str) -> None:
    trt = fake_trt.Library("10.3.0", dla_cores=2)
    report = build(source, trt, "int8", options=DLA, cache=cache)
    assert report.int8_mode == "implicit"
    assert report.gpu_fallback == ()
    assert trt.seen.flags == {"FP16", "INT8", "GPU_FALLBACK"}


def test_a_dla_of_tensorrt_11_takes_strongly_typed_networks(source: str) -> None:
    trt = fake_trt.Library("11.1.0", layers=WITH_QDQ, dla_cores=2)
    assert build(source, trt, "int8", options=DLA).int8_mode == "typed"
    assert trt.seen.flags == {"GPU_FALLBACK"}


def test_a_dla_core_that_is_not_there_is_refused_with_their_number(source: str) -> None:
    trt = fake_trt.Library("8.6.1", dla_cores=1)
    with pytest.raises(UnsupportedError, match="DLA core 1 was asked for, this machine has 1"):
        build(source, trt, "fp16", options=DLA)


def test_fp32_on_a_dla_is_refused(source: str) -> None:
    with pytest.raises(UsageError, match="fp32 was asked of DLA core 1"):
        build(source, fake_trt.Library("8.6.1", dla_cores=2), "fp32", options=DLA)


def test_several_sizes_of_batch_on_a_dla_are_refused_with_one_that_works(source: str) -> None:
    options = TrtOptions(batch=(1, 4, 8), dla_core=0)
    with pytest.raises(UsageError, match="with the batch sizes 1, 4, 8") as caught:
        build(source, fake_trt.Library("8.6.1", dla_cores=2), "fp16", options=options)
    assert caught.value.fix == "pass --batch 4"
