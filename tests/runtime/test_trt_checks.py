from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import ArtifactError
from edgedeploy.runtime import trt_checks
from edgedeploy.runtime.cuda_device import Gpu
from tests.runtime.trt_artifacts import trt_artifact, waiting_artifact

if TYPE_CHECKING:
    from pathlib import Path

ORIN = Gpu("Orin", "8.7")


def test_artifact_that_waits_for_its_board_is_refused_with_how_to_build_it(tmp_path: Path) -> None:
    folder, known = waiting_artifact(tmp_path)
    with pytest.raises(
        ArtifactError, match=r"prepared for jetson-orin-nano \(TensorRT 10.3.0\) and has no engine"
    ) as caught:
        trt_checks.check_built(folder, known)
    assert f"python3 -m edgedeploy.runtime.trt_rebuild {folder}" in caught.value.fix
    assert "Runtime.load(path, rebuild=True)" in caught.value.fix
    trt_checks.check_built(*trt_artifact(tmp_path))


def test_another_version_is_refused_with_the_command_that_rebuilds(tmp_path: Path) -> None:
    folder, known = trt_artifact(tmp_path)
    trt_checks.check_library(folder, known, "tensorrt", "10.3.0")
    with pytest.raises(
        ArtifactError, match=r"was built by tensorrt 10.3.0, this machine has tensorrt 10.9.0"
    ) as caught:
        trt_checks.check_library(folder, known, "tensorrt", "10.9.0")
    assert f"python3 -m edgedeploy.runtime.trt_rebuild {folder}" in caught.value.fix


def test_another_library_is_refused(tmp_path: Path) -> None:
    folder, known = trt_artifact(tmp_path, version_compatible=True)
    with pytest.raises(ArtifactError, match=r"this machine has tensorrt_rtx 10.3.0"):
        trt_checks.check_library(folder, known, "tensorrt_rtx", "10.3.0")


@pytest.mark.parametrize(
    ("built", "here", "loads"),
    [
        ("8.6.1", "8.6.3", True),
        ("8.6.1", "10.3.0", True),
        ("8.6.1", "11.1.0", False),
        ("10.3.0", "10.3.0", True),
        ("10.3.0", "10.13.2", True),
        ("10.13.2", "10.3.0", False),
        ("10.3.0", "11.1.0", True),
        ("10.3.0", "12.0.0", False),
        ("11.1.0", "10.16.0", False),
    ],
)
def test_version_compatible_engine_is_for_later_versions(
    tmp_path: Path, built: str, here: str, *, loads: bool
) -> None:
    folder, known = trt_artifact(tmp_path, library_version=built, version_compatible=True)
    if loads:
        trt_checks.check_library(folder, known, "tensorrt", here)
        return
    with pytest.raises(ArtifactError, match=rf"tensorrt {built} for itself and later versions, "):
        trt_checks.check_library(folder, known, "tensorrt", here)


def test_without_its_source_the_fix_is_to_build_from_the_model(tmp_path: Path) -> None:
    folder, known = trt_artifact(tmp_path, source=False)
    fix = trt_checks.rebuild_fix(folder, known)
    assert "no source.onnx to build from" in fix
    assert fix.endswith("edgedeploy build small.onnx --backend trt --int8")


@pytest.mark.parametrize("here", [Gpu("Orin", "8.6"), Gpu("Xavier", "8.7")])
def test_another_gpu_is_refused_with_both_names(tmp_path: Path, here: Gpu) -> None:
    folder, known = trt_artifact(tmp_path)
    trt_checks.check_gpu(folder, known, ORIN)
    with pytest.raises(
        ArtifactError, match=r"built for Orin \(compute capability 8.7\), this"
    ) as caught:
        trt_checks.check_gpu(folder, known, here)
    assert f"{here.name} ({here.compute_capability})" in caught.value.problem


def test_engine_of_tensorrt_rtx_runs_on_any_gpu(tmp_path: Path) -> None:
    folder, known = trt_artifact(tmp_path, gpu=None, compute_capability=None)
    trt_checks.check_gpu(folder, known, Gpu("NVIDIA GeForce RTX 4090", "8.9"))


@pytest.mark.parametrize(
    ("level", "here", "loads"),
    [
        ("same-compute-capability", Gpu("AGX Orin", "8.7"), True),
        ("same-compute-capability", Gpu("RTX 3060", "8.6"), False),
        ("ampere-plus", Gpu("A100", "8.0"), True),
        ("ampere-plus", Gpu("Thor", "11.0"), True),
        ("ampere-plus", Gpu("Xavier", "7.2"), False),
    ],
)
def test_hardware_compatible_engine_is_for_the_gpus_that_it_names(
    tmp_path: Path, level: str, here: Gpu, *, loads: bool
) -> None:
    folder, known = trt_artifact(tmp_path, hardware_compatible=level)
    if loads:
        trt_checks.check_gpu(folder, known, here)
        return
    words = r"Orin \(compute capability 8.7\) and other GPUs (of|from) compute capability 8\.[07]"
    with pytest.raises(ArtifactError, match=words):
        trt_checks.check_gpu(folder, known, here)
