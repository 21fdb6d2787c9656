"""`Runtime.load(rebuild=True)`, with TensorRT and PyCUDA acted out as installed packages."""

from __future__ import annotations

import ctypes
import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy import Runtime
from edgedeploy.errors import ArtifactError, UnsupportedError
from edgedeploy.runtime import manifest, trt
from tests.artifacts import SIDE, write_artifact
from tests.runtime import fake_engine, fake_trt
from tests.runtime.fake_engine import FakeGpu
from tests.runtime.test_cuda_memory import FakeDriver
from tests.runtime.trt_artifacts import trt_artifact, waiting_artifact

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.types import Array

VERSION = "8.6.1"


class HostGpu(FakeGpu):
    """Computes where `FakeDriver` has its memory: on the host."""

    def infer(self, source: int, result: int, shape: tuple[int, ...]) -> None:
        images = np.ctypeslib.as_array((ctypes.c_float * int(np.prod(shape))).from_address(source))
        means = images.reshape(shape).mean(axis=(2, 3)).reshape(-1)
        np.ctypeslib.as_array((ctypes.c_float * means.size).from_address(result))[:] = means


@pytest.fixture
def tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fake_trt.Library:
    """TensorRT and PyCUDA, installed as far as an import can tell."""
    engine = fake_engine.loadable(VERSION, HostGpu(), side=SIDE)
    library = fake_trt.Library(
        VERSION, engine=engine, plan=b"made here", input_shape=(-1, 3, SIDE, SIDE)
    )
    library.__spec__ = ModuleSpec("tensorrt", None)
    pycuda = ModuleType("pycuda")
    monkeypatch.setitem(sys.modules, "tensorrt", library)
    monkeypatch.setitem(sys.modules, "pycuda", pycuda)
    monkeypatch.setitem(sys.modules, "pycuda.driver", FakeDriver())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return library


def images(count: int) -> Array:
    return np.random.default_rng(0).normal(size=(count, 3, SIDE, SIDE)).astype(np.float32)


def load(folder: object, **more: Any) -> Runtime:
    # graphs of a real CUDA runtime, if there is one, would not know PyCUDA's acted-out streams
    return Runtime.load(str(folder), cuda_graphs=False, **more)


@pytest.mark.usefixtures("tensorrt")
def test_artifact_prepared_for_a_board_is_built_there_when_it_is_loaded(tmp_path: Path) -> None:
    folder, _ = waiting_artifact(tmp_path)
    with pytest.raises(ArtifactError, match="has no engine yet") as caught:
        load(folder)
    assert "Runtime.load(path, rebuild=True)" in caught.value.fix
    with load(folder, rebuild=True, labels=["a", "b", "c", "d"]) as runtime:
        assert runtime.info["rebuilt"] is True
        assert runtime.info["labels"] == 4
        assert runtime.info["engine"]["cuda_graph"]["reason"] == "it was switched off"
        batch = images(3)
        np.testing.assert_allclose(runtime.infer(batch), batch.mean(axis=(2, 3)), rtol=1e-5)
    with load(folder) as runtime:
        assert runtime.info["rebuilt"] is False
        assert not runtime.manifest.waiting


@pytest.mark.parametrize(
    "runs_on",
    [
        {"library_version": "10.3.0"},
        {"library_version": VERSION, "gpu": "Xavier", "compute_capability": "7.2"},
    ],
    ids=["another version", "another GPU"],
)
@pytest.mark.usefixtures("tensorrt")
def test_engine_of_another_machine_is_built_again(tmp_path: Path, runs_on: dict[str, Any]) -> None:
    folder, _ = trt_artifact(tmp_path, precision="fp16", **runs_on)
    with pytest.raises(ArtifactError, match="this machine has"):
        load(folder)
    with load(folder, rebuild=True) as runtime:
        assert runtime.info["rebuilt"] is True
        assert runtime.manifest.runs_on["library_version"] == VERSION


def test_engine_that_tensorrt_does_not_take_is_built_again(
    tmp_path: Path, tensorrt: fake_trt.Library
) -> None:
    folder, _ = trt_artifact(tmp_path, precision="fp16", library_version=VERSION)
    engine = tensorrt.engine
    tensorrt.engine = None
    with pytest.raises(ArtifactError, match=r"tensorrt 8\.6\.1 does not load .*model\.engine"):
        load(folder)
    tensorrt.during = lambda: setattr(tensorrt, "engine", engine)
    with load(folder, rebuild=True) as runtime:
        assert runtime.info["rebuilt"] is True


@pytest.mark.usefixtures("tensorrt")
def test_damaged_engine_is_built_again(tmp_path: Path) -> None:
    folder, _ = trt_artifact(tmp_path, precision="fp16", library_version=VERSION)
    (tmp_path / "trt-int8" / "model.engine").write_bytes(b"half a pl")
    with load(folder, rebuild=True) as runtime:
        assert runtime.info["rebuilt"] is True


@pytest.mark.usefixtures("tensorrt")
def test_engine_that_loads_is_not_built_again(tmp_path: Path) -> None:
    folder, before = trt_artifact(tmp_path, precision="fp16", library_version=VERSION)
    with load(folder, rebuild=True) as runtime:
        assert runtime.info["rebuilt"] is False
    assert manifest.read(folder) == before


@pytest.mark.usefixtures("tensorrt")
def test_without_its_source_an_artifact_cannot_be_rebuilt_and_says_so(tmp_path: Path) -> None:
    folder, _ = trt_artifact(tmp_path, source=False)
    with pytest.raises(
        ArtifactError,
        match=r"was built by tensorrt 10\.3\.0.*; it cannot be rebuilt, for it has no",
    ) as caught:
        load(folder, rebuild=True)
    assert caught.value.fix.endswith("edgedeploy build small.onnx --backend trt --int8")


def test_artifact_that_cannot_be_rebuilt_gives_way_to_the_next(
    tmp_path: Path, tensorrt: fake_trt.Library
) -> None:
    waiting_artifact(tmp_path)
    write_artifact(tmp_path / "ort-fp32")
    tensorrt.plan = None
    with load(tmp_path, rebuild=True) as runtime:
        assert (runtime.info["backend"], runtime.info["rebuilt"]) == ("ort", False)
        (left,) = runtime.info["passed_over"]
    assert "built no engine from source.onnx" in left["reason"]


def test_driver_that_is_missing_is_told_before_anything_is_built(
    tmp_path: Path, tensorrt: fake_trt.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycuda.driver", FakeDriver(broken="init"))
    folder, _ = waiting_artifact(tmp_path)
    with pytest.raises(UnsupportedError, match="no NVIDIA GPU can be used here: cuInit"):
        load(folder, rebuild=True)
    assert tensorrt.seen.network is None


@pytest.mark.usefixtures("tensorrt")
def test_info_follows_what_the_session_does(tmp_path: Path) -> None:
    folder, _ = trt_artifact(tmp_path, precision="fp16", library_version=VERSION)
    with load(folder) as runtime:
        info = runtime.info
        assert json.loads(json.dumps(info)) == info
        info["engine"]["cuda_graph"]["reason"] = "changed by the caller"
        assert runtime.info["engine"]["cuda_graph"]["reason"] == "it was switched off"


@pytest.mark.usefixtures("tensorrt")
def test_runtime_times_the_stages_of_what_it_has_loaded(tmp_path: Path) -> None:
    folder, _ = trt_artifact(tmp_path, precision="fp16", library_version=VERSION)
    with load(folder) as runtime:
        times = runtime.stage_times(images(2), runs=3)
        assert times == {"h2d": [0.25] * 3, "compute": [0.25] * 3, "d2h": [0.25] * 3}
    with Runtime.load(write_artifact(tmp_path / "ort-fp32")) as runtime:
        assert runtime.stage_times(images(2)) is None


@pytest.mark.usefixtures("tensorrt")
def test_version_is_that_of_the_library() -> None:
    assert trt.version() == VERSION
