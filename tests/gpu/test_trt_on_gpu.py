"""TensorRT on a real GPU, against ONNX Runtime on the CPU. docs/gpu-checks.md has the results.

`pytest tests/gpu -rs -s` prints the latencies; where there is no GPU all of it is skipped.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest

from edgedeploy import building, model_file
from edgedeploy.runtime import manifest, preprocessing, trt, trt_rebuild
from edgedeploy.types import BuildSpec, Calibration, Family, Precision
from tests.prepared_sources import images, mobilenet, ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgedeploy.runtime.cuda_memory import Cuda
    from edgedeploy.types import Array

SIDE = 96
# Largest difference over the largest logit. FP32 has TF32 off; INT8 of random weights is coarse.
TOLERANCES = {Precision.FP32: 1e-4, Precision.FP16: 2e-2, Precision.INT8: 0.5}
FAMILIES = pytest.mark.parametrize("family", list(Family), ids=lambda family: family.value)
EACH = pytest.mark.parametrize("precision", list(TOLERANCES), ids=lambda p: p.value)


def artifact(out: Path, family: Family, precision: Precision) -> Path:
    """Build a small MobileNet as a user would; return the artifact's folder."""
    path = out / f"{family.value}_0.25_{SIDE}.onnx"
    proto = mobilenet(family, side=SIDE)
    path.write_bytes(proto.SerializeToString())
    model = model_file.read(path)
    calibration = Calibration(
        model_sha256=model.sha256,
        data_digest="",
        data_count=8,
        method="minmax",
        side=(SIDE, SIDE),
        preprocessing=preprocessing.Preprocessing((127.5,) * 3, (127.5,) * 3),
        ranges=ranges(proto),
        versions={},
    )
    spec = BuildSpec(backend="trt", precision=precision)
    return building.build(model, spec, out=out / "build", calibration=calibration).folder


def load(folder: Path) -> trt.TrtSession:
    session = trt.load(str(folder), manifest.read(str(folder)), 1)
    assert isinstance(session, trt.TrtSession)
    return session


def reference(folder: Path) -> Callable[[Array], Array]:
    """ONNX Runtime on the float model."""
    model = onnx.load(next(folder.parents[2].glob("*.onnx")))
    loaded = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return lambda batch: np.asarray(loaded.run(None, {"image": batch})[0])


@pytest.fixture
def fp32(cuda: Cuda, tmp_path: Path) -> Iterator[tuple[Path, trt.TrtSession]]:
    folder = artifact(tmp_path, Family.MOBILENET_V1, Precision.FP32)
    session = load(folder)
    yield folder, session
    session.close()


@FAMILIES
@EACH
def test_engine_agrees_with_onnx_runtime(
    cuda: Cuda, tmp_path: Path, family: Family, precision: Precision
) -> None:
    folder = artifact(tmp_path, family, precision)
    session = load(folder)
    batch = images(8, SIDE)
    wanted, found = reference(folder)(batch), session.run(batch)
    session.close()
    assert found.shape == wanted.shape
    assert found.dtype == np.float32
    error = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    print(f"\n{cuda.gpu.name} {family.value} {precision.value}: error {error:.2e}")  # noqa: T201 -- the result
    assert error < TOLERANCES[precision]


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 20])
def test_any_size_of_batch_gives_the_results_of_single_images(
    fp32: tuple[Path, trt.TrtSession], count: int
) -> None:
    _, session = fp32
    batch = images(count, SIDE, seed=count)
    single = np.concatenate([session.run(image[None]) for image in batch])
    np.testing.assert_allclose(session.run(batch), single, rtol=1e-3, atol=1e-4)


def test_outputs_survive_the_next_call(fp32: tuple[Path, trt.TrtSession]) -> None:
    _, session = fp32
    first = session.run(images(2, SIDE))
    kept = first.copy()
    session.run(images(2, SIDE, seed=1))
    np.testing.assert_array_equal(first, kept)


@EACH
def test_bound_call_is_at_least_as_fast_as_run(
    cuda: Cuda, tmp_path: Path, precision: Precision
) -> None:
    session = load(artifact(tmp_path, Family.MOBILENET_V1, precision))
    batch = images(1, SIDE)
    bound_ms = median_ms(session.bind(batch))
    run_ms = median_ms(lambda: session.run(batch))
    session.close()
    print(  # noqa: T201 -- the result
        f"\n{cuda.gpu.name} mobilenet_v1_0.25_{SIDE} {precision.value}: "
        f"bound {bound_ms:.3f} ms, run {run_ms:.3f} ms"
    )
    assert bound_ms < run_ms * 1.1


def test_engine_reports_the_gpu_that_built_it(
    cuda: Cuda, fp32: tuple[Path, trt.TrtSession]
) -> None:
    folder, session = fp32
    runs_on = manifest.read(str(folder)).runs_on
    assert session.described["device"] == cuda.gpu.name
    if runs_on["library"] == "tensorrt":
        assert (runs_on["gpu"], runs_on["compute_capability"]) == tuple(cuda.gpu)


def test_inspector_tells_what_runs(cuda: Cuda, tmp_path: Path) -> None:
    known = manifest.read(str(artifact(tmp_path, Family.MOBILENET_V1, Precision.INT8)))
    if known.runs_on["library"] == "tensorrt_rtx":
        pytest.skip("TensorRT-RTX compiles the whole network as one layer")
    print(f"\n{cuda.gpu.name} int8 runs {known.runs}")  # noqa: T201 -- the result
    assert known.runs.get("int8", 0) > 20


def test_rebuilt_artifact_loads(fp32: tuple[Path, trt.TrtSession]) -> None:
    folder, _ = fp32
    trt_rebuild.rebuild(str(folder))
    session = load(folder)
    assert session.run(images(1, SIDE)).shape == (1, 10)
    session.close()


def median_ms(call: Callable[[], object], runs: int = 200) -> float:
    for _ in range(20):
        call()
    times = []
    for _ in range(runs):
        start_ns = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start_ns)
    return statistics.median(times) / 1e6
