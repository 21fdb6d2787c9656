"""What loads, what is refused, and what is built again where it is to run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy import Runtime
from edgedeploy.errors import ArtifactError
from edgedeploy.runtime import trt_rebuild
from edgedeploy.types import Family, Precision, Target
from tests.gpu.making import SIDE, Made, distance, make
from tests.prepared_sources import images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.runtime.cuda_memory import Cuda


@pytest.fixture
def copy(made: Callable[[Precision], Made], tmp_path: Path) -> Made:
    """An FP32 artifact that a test may damage."""
    first = made(Precision.FP32)
    folder = tmp_path / "artifact"
    shutil.copytree(first.folder, folder)
    return Made(folder, first.model, first.calibration)


def test_the_engine_tells_the_gpu_that_built_it(
    cuda: Cuda, made: Callable[[Precision], Made]
) -> None:
    session = made(Precision.FP32).load()
    runs_on = made(Precision.FP32).manifest.runs_on
    assert session.described["device"] == cuda.gpu.name
    session.close()
    if runs_on["library"] == "tensorrt":
        assert (runs_on["gpu"], runs_on["compute_capability"]) == tuple(cuda.gpu)


@pytest.mark.parametrize(
    "precision", [Precision.FP32, Precision.FP16, Precision.INT8], ids=lambda p: p.value
)
def test_an_artifact_prepared_for_a_board_is_built_when_it_is_loaded(
    cuda: Cuda, library: Any, tmp_path: Path, precision: Precision
) -> None:
    if library.__name__ != "tensorrt":
        pytest.skip("boards have TensorRT, and what is prepared for them is not for TensorRT-RTX")
    target = Target(
        device="jetson-agx-orin",
        jetpack="any",
        tensorrt=str(library.__version__),
        compute_capability=cuda.gpu.compute_capability,
    )
    made = make(tmp_path, Family.MOBILENET_V1, precision, target=target)
    before = made.manifest
    assert before.waiting
    with pytest.raises(ArtifactError):
        Runtime.load(made.folder)
    batch = images(3, SIDE)
    with Runtime.load(made.folder, rebuild=True) as runtime:
        assert runtime.info["rebuilt"] is True
        found = runtime.infer(batch)
    assert not made.manifest.waiting
    assert distance(found, made.answers(batch)) < 0.5
    with Runtime.load(made.folder, rebuild=True) as runtime:  # it is whole now
        assert runtime.info["rebuilt"] is False
        np.testing.assert_allclose(runtime.infer(batch), found, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"library_version": "8.2.1.8"},
        {"gpu": "NVIDIA Tegra X1", "compute_capability": "5.3"},
    ],
    ids=["another version", "another GPU"],
)
def test_an_engine_of_another_machine_is_refused_and_can_be_rebuilt(
    cuda: Cuda, copy: Made, changes: dict[str, str]
) -> None:
    copy.edit(**changes)
    with pytest.raises(ArtifactError, match=next(iter(changes.values()))) as caught:
        Runtime.load(copy.folder)
    assert "rebuild" in caught.value.fix
    with Runtime.load(copy.folder, rebuild=True) as runtime:
        batch = images(2, SIDE)
        assert distance(runtime.infer(batch), copy.answers(batch)) < 1e-4


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_engine_is_an_error_that_says_why(cuda: Cuda, copy: Made, share: float) -> None:
    engine = copy.folder / copy.manifest.engine
    whole = engine.read_bytes()
    engine.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ArtifactError, match=str(engine)) as caught:
        copy.load()
    assert "it gave no reason" not in caught.value.problem


def test_a_file_that_is_no_engine_is_an_error_that_says_why(cuda: Cuda, copy: Made) -> None:
    engine = copy.folder / copy.manifest.engine
    engine.write_bytes(np.random.default_rng(0).bytes(100_000))
    with pytest.raises(ArtifactError, match=str(engine)):
        copy.load()


def test_a_damaged_engine_is_built_again_where_that_is_asked(cuda: Cuda, copy: Made) -> None:
    engine = copy.folder / copy.manifest.engine
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=str(engine)):
        Runtime.load(copy.folder)
    with Runtime.load(copy.folder, rebuild=True) as runtime:
        batch = images(2, SIDE)
        assert distance(runtime.infer(batch), copy.answers(batch)) < 1e-4


def test_a_rebuilt_artifact_loads(cuda: Cuda, copy: Made) -> None:
    trt_rebuild.rebuild(str(copy.folder))
    session = copy.load()
    batch = images(2, SIDE)
    assert distance(session.run(batch), copy.answers(batch)) < 1e-4
    session.close()
