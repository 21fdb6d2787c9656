from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy.errors import ArtifactError, EdgeDeployError, UnsupportedError
from edgedeploy.runtime import cuda_memory, manifest, trt, trt_api, trt_engine
from edgedeploy.runtime.cuda_memory import Gpu
from edgedeploy.runtime.trt import TrtSession
from tests.artifacts import write_artifact
from tests.runtime import fake_engine, fake_trt
from tests.runtime.fake_engine import FakeContext, FakeGpu

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.types import Array

GENERATIONS = pytest.mark.parametrize("generation", fake_engine.GENERATIONS)


def images(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 3, 4, 4)).astype(np.float32)


def session(
    generation: str = "10.3.0", gpu: FakeGpu | None = None, **more: Any
) -> tuple[TrtSession, FakeContext]:
    gpu = gpu or FakeGpu()
    engine, context, inside = fake_engine.engine(generation, gpu, **more)
    return TrtSession(trt_engine.wrap(engine, context), gpu, {"device": "Orin"}), inside


# ---- inference, on both generations of the API ----


@GENERATIONS
@pytest.mark.parametrize("count", [1, 2, 8, 9, 17])
def test_any_size_of_batch_gives_its_own_results(generation: str, count: int) -> None:
    loaded, _ = session(generation)
    batch = images(count)
    np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)


@GENERATIONS
def test_engine_of_a_fixed_batch_takes_fewer_and_more_images(generation: str) -> None:
    loaded, _ = session(generation, batches=(4, 4))
    for count in (1, 4, 7):
        batch = images(count, seed=count)
        np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)


@GENERATIONS
def test_outputs_survive_the_next_call(generation: str) -> None:
    loaded, _ = session(generation)
    first = loaded.run(images(2))
    kept = first.copy()
    loaded.run(images(2, seed=1))
    np.testing.assert_array_equal(first, kept)


@GENERATIONS
@pytest.mark.parametrize("count", [1, 8, 11])
def test_bound_call_copies_infers_and_waits_and_does_nothing_else(
    generation: str, count: int
) -> None:
    gpu = FakeGpu()
    loaded, _ = session(generation, gpu)
    call = loaded.bind(images(count))
    gpu.calls.clear()
    call()
    pieces = -(-count // 8)
    assert gpu.calls == ["upload", "infer", "download"] * pieces + ["synchronize"]


def test_bound_call_still_works_after_a_batch_of_another_size() -> None:
    gpu = FakeGpu()
    loaded, inside = session(gpu=gpu)
    call = loaded.bind(images(1))
    loaded.run(images(5))
    call()
    assert inside.shape == (1, 3, 4, 4)


def test_described_tells_the_largest_batch() -> None:
    assert session()[0].described == {"device": "Orin", "largest_batch": 8}


def test_inference_that_tensorrt_refuses_is_an_error() -> None:
    loaded, inside = session()
    inside.enqueues = False
    with pytest.raises(EdgeDeployError, match=r"did not run a batch of shape \(1, 3, 4, 4\)"):
        loaded.run(images(1))


def test_close_frees_what_was_allocated() -> None:
    gpu = FakeGpu()
    loaded, _ = session(gpu=gpu)
    loaded.bind(images(9))
    loaded.close()
    assert (gpu.device, gpu.pinned, gpu.streams) == ({}, [], [])


def test_load_that_runs_out_of_memory_frees_what_it_has_taken() -> None:
    gpu = FakeGpu(budget_bytes=8 * 3 * 4 * 4 * 4)  # the input fits, the output does not
    with pytest.raises(MemoryError):
        session(gpu=gpu)
    assert (gpu.device, gpu.pinned, gpu.streams) == ({}, [], [])


# ---- checks before loading ----


def artifact(folder: Path, *, source: bool = True, **runs_on: Any) -> tuple[str, manifest.Manifest]:
    bound = {
        "portable": False,
        "library": "tensorrt",
        "library_version": "10.3.0",
        "gpu": "Orin",
        "compute_capability": "8.7",
    }
    content = {"model.engine": b"plan"} | ({"source.onnx": b"onnx"} if source else {})
    made = write_artifact(
        folder / "trt-int8",
        backend="trt",
        precision="int8",
        content=content,
        runs_on=bound | runs_on,
    )
    return str(made), manifest.read(str(made))


def test_another_version_is_refused_with_the_command_that_rebuilds(tmp_path: Path) -> None:
    folder, known = artifact(tmp_path)
    trt.check_library(folder, known, "tensorrt", "10.3.0")
    with pytest.raises(
        ArtifactError, match=r"was built by tensorrt 10.3.0, this machine has tensorrt 10.9.0"
    ) as caught:
        trt.check_library(folder, known, "tensorrt", "10.9.0")
    assert f"python3 -m edgedeploy.runtime.trt_rebuild {folder}" in caught.value.fix


def test_another_library_is_refused(tmp_path: Path) -> None:
    folder, known = artifact(tmp_path)
    with pytest.raises(ArtifactError, match=r"this machine has tensorrt_rtx 10.3.0"):
        trt.check_library(folder, known, "tensorrt_rtx", "10.3.0")


def test_without_its_source_the_fix_is_to_build_from_the_model(tmp_path: Path) -> None:
    folder, known = artifact(tmp_path, source=False)
    assert trt.rebuild_fix(folder, known) == (
        "rebuild it here: edgedeploy build small.onnx --backend trt --int8"
    )


@pytest.mark.parametrize("here", [Gpu("Orin", "8.6"), Gpu("Xavier", "8.7")])
def test_another_gpu_is_refused_with_both_names(tmp_path: Path, here: Gpu) -> None:
    folder, known = artifact(tmp_path)
    trt.check_gpu(folder, known, Gpu("Orin", "8.7"))
    with pytest.raises(ArtifactError, match=r"built for Orin \(compute capability 8.7\)") as caught:
        trt.check_gpu(folder, known, here)
    assert f"{here.name} ({here.compute_capability})" in caught.value.problem


def test_engine_of_tensorrt_rtx_runs_on_any_gpu(tmp_path: Path) -> None:
    folder, known = artifact(tmp_path, gpu=None, compute_capability=None)
    trt.check_gpu(folder, known, Gpu("NVIDIA GeForce RTX 4090", "8.9"))


@GENERATIONS
def test_artifact_of_this_machine_loads_and_infers(tmp_path: Path, generation: str) -> None:
    gpu = FakeGpu()
    library = fake_trt.Library(generation, engine=fake_engine.loadable(generation, gpu))
    folder, known = artifact(tmp_path, library_version=generation)
    loaded = trt.open_session(library, gpu, folder, known)
    assert loaded.described == {
        "library": f"tensorrt {generation}",
        "device": "Orin",
        "threads": None,
        "compute_capability": "8.7",
        "cuda": "fake",
        "largest_batch": 8,
    }
    batch = images(3)
    np.testing.assert_allclose(loaded.run(batch), batch.mean(axis=(2, 3)), rtol=1e-6)
    assert library.seen.host_code is False


def test_engine_without_memory_for_its_context_is_unsupported(tmp_path: Path) -> None:
    gpu = FakeGpu()
    engine = fake_engine.loadable("10.3.0", gpu)
    engine.create_execution_context = lambda: None
    folder, known = artifact(tmp_path)
    with pytest.raises(UnsupportedError, match="loads, but TensorRT cannot run it"):
        trt.open_session(fake_trt.Library("10.3.0", engine=engine), gpu, folder, known)


def test_device_by_name_is_refused(tmp_path: Path) -> None:
    folder, known = artifact(tmp_path)
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
    folder, known = artifact(tmp_path, library="tensorrt_rtx", library_version=rtx.__version__)
    with pytest.raises(UnsupportedError, match="no NVIDIA GPU can be used here"):
        trt.load(folder, known, 1)


def test_load_of_an_engine_of_a_library_that_is_not_here_says_what_is(
    tmp_path: Path, rtx: Any
) -> None:
    if trt_api.installed("tensorrt"):
        pytest.skip("tensorrt is here")
    folder, known = artifact(tmp_path)
    with pytest.raises(ArtifactError, match=f"this machine has tensorrt_rtx {rtx.__version__}"):
        trt.load(folder, known, 1)


@pytest.mark.parametrize("content", [b"", b"no engine at all" * 100])
def test_engine_that_tensorrt_does_not_take_is_an_error_that_says_why(
    tmp_path: Path, rtx: Any, content: bytes
) -> None:
    folder, known = artifact(tmp_path)
    (tmp_path / "trt-int8" / "model.engine").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"does not load .*model.engine: .*ERROR") as caught:
        trt.deserialize(rtx, trt_api.logger(rtx), folder, known)
    assert "trt_rebuild" in caught.value.fix


def test_engine_that_is_gone_is_an_error(tmp_path: Path, rtx: Any) -> None:
    folder, known = artifact(tmp_path)
    (tmp_path / "trt-int8" / "model.engine").unlink()
    with pytest.raises(ArtifactError, match=r"model.engine cannot be read: No such file"):
        trt.deserialize(rtx, trt_api.logger(rtx), folder, known)
