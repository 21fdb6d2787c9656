from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy.errors import ArtifactError, UnsupportedError
from edgedeploy.runtime import cuda_memory, trt, trt_api, trt_lean
from tests.runtime import fake_engine, fake_trt
from tests.runtime.fake_engine import FakeGpu, FakeRuntime
from tests.runtime.test_trt_session import images
from tests.runtime.trt_artifacts import trt_artifact, waiting_artifact

if TYPE_CHECKING:
    from pathlib import Path

GENERATIONS = pytest.mark.parametrize("generation", fake_engine.GENERATIONS)


@GENERATIONS
def test_artifact_of_this_machine_loads_and_infers(tmp_path: Path, generation: str) -> None:
    gpu = FakeGpu()
    library = fake_trt.Library(generation, engine=fake_engine.loadable(generation, gpu))
    folder, known = trt_artifact(tmp_path, library_version=generation)
    loaded = trt.open_session(library, gpu, folder, known)
    assert loaded.described == {
        "library": f"tensorrt {generation}",
        "device": "Orin",
        "threads": None,
        "compute_capability": "8.7",
        "cuda": "fake",
        "memory_bytes": fake_engine.WORKING_BYTES,
        "largest_batch": 8,
        "zero_copy": False,
        "cuda_graph": {"used": False, "reason": "no batch has come twice in a row yet"},
    }
    batch = images(3)
    np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)
    assert library.seen.host_code is False


def test_engine_without_memory_for_its_context_is_unsupported(tmp_path: Path) -> None:
    gpu = FakeGpu()
    engine = fake_engine.loadable("10.3.0", gpu)
    engine.create_execution_context = lambda: None
    folder, known = trt_artifact(tmp_path)
    with pytest.raises(
        UnsupportedError, match=r"it works in 3\.0 MiB, 1024 of 1024 MiB are free"
    ) as caught:
        trt.open_session(fake_trt.Library("10.3.0", engine=engine), gpu, folder, known)

    assert "smaller --batch" in caught.value.fix


@pytest.mark.parametrize(
    "words", ["Error Code 2: OutOfMemory (Requested size was 9 bytes.)", "Cuda (out of memory)"]
)
def test_engine_without_memory_to_be_loaded_is_no_reason_to_rebuild_it(
    tmp_path: Path, words: str
) -> None:
    library = fake_trt.Library("10.3.0")
    log = trt_api.logger(library)
    runtime = FakeRuntime(None)
    runtime.deserialize_cuda_engine = (  # type: ignore[method-assign]
        lambda _plan: log.lines.append(f"ERROR: {words}")
    )
    library.Runtime = lambda log: runtime  # type: ignore[assignment]
    with pytest.raises(UnsupportedError, match=r"does not load .*emory") as caught:
        trt.open_session(library, FakeGpu(), *trt_artifact(tmp_path))
    assert "end what else uses the GPU" in caught.value.fix


def test_graphs_are_left_alone_where_they_are_switched_off(tmp_path: Path) -> None:
    gpu = FakeGpu()
    library = fake_trt.Library("10.3.0", engine=fake_engine.loadable("10.3.0", gpu))
    loaded = trt.open_session(library, gpu, *trt_artifact(tmp_path), graphs=False)
    for _ in range(3):
        loaded.run(images(1))
    assert "capture" not in gpu.calls
    assert loaded.described["cuda_graph"] == {"used": False, "reason": "it was switched off"}


@pytest.mark.parametrize("graphs", [False, True])
def test_tensorrt_rtx_captures_its_own_graphs(tmp_path: Path, *, graphs: bool) -> None:
    gpu = FakeGpu()
    engine = fake_engine.loadable("11.1.0", gpu)
    context = engine.create_execution_context()
    strategies = SimpleNamespace(DISABLED=0, WHOLE_GRAPH_CAPTURE=1)
    asked: list[Any] = []
    engine.create_runtime_config = lambda: SimpleNamespace(cuda_graph_strategy=0)

    def create(config: Any = None) -> Any:
        asked.append(config)
        return context

    engine.create_execution_context = create
    library = fake_trt.Library("11.1.0", engine=engine)
    library.CudaGraphStrategy = strategies  # type: ignore[attr-defined]
    folder, known = trt_artifact(tmp_path, library_version="11.1.0")
    loaded = trt.open_session(library, gpu, folder, known, graphs=graphs)
    for _ in range(3):
        loaded.run(images(1))
    assert "capture" not in gpu.calls
    assert loaded.described["cuda_graph"]["used"] is graphs
    (config,) = asked
    assert (config is not None and config.cuda_graph_strategy == 1) is graphs


def test_runtime_config_without_graphs_of_its_own_leaves_them_to_us(tmp_path: Path) -> None:
    gpu = FakeGpu()
    engine = fake_engine.loadable("11.1.0", gpu)
    engine.create_runtime_config = SimpleNamespace
    library = fake_trt.Library("11.1.0", engine=engine)
    loaded = trt.open_session(library, gpu, *trt_artifact(tmp_path, library_version="11.1.0"))
    loaded.run(images(1))
    loaded.run(images(1))
    assert loaded.described["cuda_graph"] == {"used": True, "reason": None}


def test_waiting_artifact_is_refused_before_any_library_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="has no engine yet"):
        trt.load(*waiting_artifact(tmp_path), 1)


# ---- engines of an older version, and engines for a DLA ----


def older(
    tmp_path: Path, lean: str, **runs_on: Any
) -> tuple[fake_trt.Library, FakeRuntime, FakeGpu, tuple[str, Any]]:
    gpu = FakeGpu()
    engine = fake_engine.loadable("10.13.0", gpu)
    library = fake_trt.Library("10.13.0", engine=engine)
    runtime = FakeRuntime(engine, lean=lean)
    library.Runtime = lambda log: runtime  # type: ignore[assignment]
    return library, runtime, gpu, trt_artifact(tmp_path, **runs_on)


def test_version_compatible_engine_runs_through_the_lean_runtime_of_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(trt_lean.VARIABLE, "/lean/10.3.0")
    library, runtime, gpu, artifact = older(tmp_path, "/lean/10.3.0", version_compatible=True)
    loaded = trt.open_session(library, gpu, *artifact)
    (used,) = runtime.deserialised_by
    assert used.name == "/lean/10.3.0"
    assert (used.engine_host_code_allowed, runtime.engine_host_code_allowed) == (False, False)
    assert loaded.run(images(1)).shape == (1, 3)


@pytest.mark.parametrize(
    ("path", "state"),
    [("", r"there is no libnvinfer_lean.so.10.3.0 here"), ("/other", "/other does not load")],
)
def test_version_compatible_engine_without_its_lean_runtime_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, state: str
) -> None:
    monkeypatch.setenv(trt_lean.VARIABLE, path)
    library, _, gpu, artifact = older(tmp_path, "/lean/10.3.0", version_compatible=True)
    with pytest.raises(ArtifactError, match=state) as caught:
        trt.open_session(library, gpu, *artifact)
    assert trt_lean.VARIABLE in caught.value.fix
    assert "trt_rebuild" in caught.value.fix


def test_version_compatible_engine_of_this_version_needs_no_lean_runtime(tmp_path: Path) -> None:
    library, runtime, gpu, artifact = older(
        tmp_path, "", version_compatible=True, library_version="10.13.0"
    )
    trt.open_session(library, gpu, *artifact)
    assert runtime.deserialised_by == [runtime]


def test_engine_for_a_dla_is_given_its_core(tmp_path: Path) -> None:
    library, runtime, gpu, artifact = older(tmp_path, "", dla_core=1)
    trt.open_session(library, gpu, *artifact)
    assert runtime.DLA_core == 1


def test_engine_for_a_dla_that_is_not_here_is_refused(tmp_path: Path) -> None:
    library, _, gpu, artifact = older(tmp_path, "", dla_core=2)
    with pytest.raises(ArtifactError, match="built for DLA core 2, this machine has 2"):
        trt.open_session(library, gpu, *artifact)


def test_device_by_name_is_refused(tmp_path: Path) -> None:
    folder, known = trt_artifact(tmp_path)
    with pytest.raises(UnsupportedError, match="device 'cuda:1' was asked for") as caught:
        trt.load(folder, known, 1, "cuda:1")
    assert "CUDA_VISIBLE_DEVICES" in caught.value.fix


# ---- with TensorRT-RTX itself ----


@pytest.fixture
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx")


def test_load_without_a_gpu_says_so_in_one_error(tmp_path: Path, rtx: Any) -> None:
    if cuda_memory.find_gpu() is not None:
        pytest.skip("there is a GPU here")
    folder, known = trt_artifact(tmp_path, library="tensorrt_rtx", library_version=rtx.__version__)
    with pytest.raises(UnsupportedError, match="no NVIDIA GPU can be used here"):
        trt.load(folder, known, 1)


def test_load_of_an_engine_of_a_library_that_is_not_here_says_what_is(
    tmp_path: Path, rtx: Any
) -> None:
    if trt_api.installed("tensorrt"):
        pytest.skip("tensorrt is here")
    folder, known = trt_artifact(tmp_path)
    with pytest.raises(ArtifactError, match=f"this machine has tensorrt_rtx {rtx.__version__}"):
        trt.load(folder, known, 1)


@pytest.mark.parametrize("content", [b"", b"no engine at all" * 100])
def test_engine_that_tensorrt_does_not_take_is_an_error_that_says_why(
    tmp_path: Path, rtx: Any, content: bytes
) -> None:
    folder, known = trt_artifact(tmp_path)
    (tmp_path / "trt-int8" / "model.engine").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"does not load .*model.engine: .*ERROR") as caught:
        trt.deserialize(rtx, trt_api.logger(rtx), folder, known)
    assert "trt_rebuild" in caught.value.fix


def test_engine_that_is_gone_is_an_error(tmp_path: Path, rtx: Any) -> None:
    folder, known = trt_artifact(tmp_path)
    (tmp_path / "trt-int8" / "model.engine").unlink()
    with pytest.raises(ArtifactError, match=r"model.engine cannot be read: No such file"):
        trt.deserialize(rtx, trt_api.logger(rtx), folder, known)
