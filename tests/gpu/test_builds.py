"""What can be asked of a build: timing cache, compatible engines, DLA, the other options."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy import building
from edgedeploy.errors import EdgeDeployError
from edgedeploy.runtime import trt_api, trt_build, trt_timing_cache
from edgedeploy.runtime.trt_options import TrtOptions
from edgedeploy.types import BuildSpec, Family, Precision
from tests.gpu.making import SIDE, Made, distance, make
from tests.prepared_sources import images

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedeploy.runtime.cuda_memory import Cuda
    from edgedeploy.runtime.trt_dialects import Dialect
    from tests.gpu.making import Record


def check(made: Made, tolerance: float = 1e-4) -> None:
    """Load an engine and compare its answers with ONNX Runtime's."""
    session = made.load()
    batch = images(3, SIDE)
    assert distance(session.run(batch), made.answers(batch)) < tolerance
    session.close()


def require_timings(dialect: Dialect) -> None:
    if not dialect.times_kernels:
        pytest.skip(f"TensorRT of the generation {dialect.name} times no kernels when it builds")


def test_a_second_build_takes_the_timing_cache(
    cuda: Cuda,
    dialect: Dialect,
    made: Callable[[Precision], Made],
    tmp_path: Path,
    record_property: Record,
) -> None:
    require_timings(dialect)
    kept = timings(tmp_path, cuda)
    seconds, sizes = [], []
    for name in ("first", "second"):
        start_s = time.perf_counter()
        report = build(made(Precision.FP16), tmp_path / name, kept)
        seconds.append(time.perf_counter() - start_s)
        sizes.append(kept.stat().st_size)
        assert "timed anew" not in report.log
    record_property("seconds", ", ".join(f"{value:.1f}" for value in seconds))
    assert sizes[0] == sizes[1]  # nothing was left to time
    assert seconds[1] < seconds[0] * 1.1


def test_a_damaged_timing_cache_is_timed_anew(
    cuda: Cuda, dialect: Dialect, made: Callable[[Precision], Made], tmp_path: Path
) -> None:
    require_timings(dialect)
    kept = timings(tmp_path, cuda)
    kept.parent.mkdir()
    kept.write_bytes(b"no cache")
    report = build(made(Precision.FP16), tmp_path / "built", kept)
    assert "timed anew" in report.log
    assert kept.read_bytes() != b"no cache"


def timings(folder: Path, cuda: Cuda) -> Path:
    """Return where the timing cache of this library and GPU lies."""
    return Path(trt_timing_cache.place(str(folder / "timings"), trt_api.library(), cuda.gpu))


def build(made: Made, out: Path, kept: Path) -> trt_build.BuildReport:
    """Build an FP16 artifact's engine once more, with a timing cache."""
    out.mkdir()
    return trt_build.build_engine(
        str(made.folder / trt_build.SOURCE),
        str(out / trt_build.ENGINE),
        precision="fp16",
        timing_cache=str(kept.parent),
    )


def test_a_version_compatible_engine_loads(cuda: Cuda, tmp_path: Path, dialect: Dialect) -> None:
    if not dialect.compatible:
        pytest.skip(f"TensorRT of the generation {dialect.name} has no version-compatible engines")
    options = TrtOptions(version_compatible=True)
    made = make(tmp_path, Family.MOBILENET_V1, Precision.FP32, options)
    assert made.manifest.runs_on["version_compatible"] is True
    check(made)


@pytest.mark.parametrize("level", ["ampere-plus", "same-compute-capability"])
def test_a_hardware_compatible_engine_loads(
    cuda: Cuda, library: Any, dialect: Dialect, tmp_path: Path, level: str
) -> None:
    levels = getattr(library, "HardwareCompatibilityLevel", None)
    if not dialect.compatible or not hasattr(levels, level.upper().replace("-", "_")):
        pytest.skip(f"{library.__name__} {library.__version__} has no engines for {level}")
    if cuda.shares_memory:
        pytest.skip("TensorRT does not offer hardware compatibility on JetPack")
    if level == "ampere-plus" and float(cuda.gpu.compute_capability) < 8:
        pytest.skip(f"{cuda.gpu.name} is older than Ampere")
    options = TrtOptions(hardware_compatible=level)
    made = make(tmp_path, Family.MOBILENET_V1, Precision.FP32, options)
    assert made.manifest.runs_on["hardware_compatible"] == level
    check(made)
    made.edit(gpu="another GPU")  # of the same compute capability
    check(made)


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8], ids=lambda p: p.value)
def test_a_dla_runs_what_it_can_and_tells_what_falls_back(
    cuda: Cuda, library: Any, tmp_path: Path, precision: Precision, record_property: Record
) -> None:
    builder = library.Builder(library.Logger())
    if not getattr(builder, "num_DLA_cores", 0):
        pytest.skip(f"{cuda.gpu.name} has no DLA")
    made = make(tmp_path, Family.MOBILENET_V1, precision, TrtOptions(dla_core=0, batch=(1, 1, 1)))
    fallback = made.manifest.raw["precision"].get("gpu_fallback", [])
    record_property("falls back", ", ".join(fallback) or "nothing")
    assert made.manifest.runs_on["dla_core"] == 0
    assert len(fallback) < 30  # of about 60 layers
    check(made, tolerance=2e-2 if precision is Precision.FP16 else 0.5)


def test_fp32_is_refused_on_a_dla_before_anything_is_built(
    dialect: Dialect, tmp_path: Path
) -> None:
    with pytest.raises(EdgeDeployError, match=r"fp16 and int8 only|drives no DLA"):
        make(tmp_path, Family.MOBILENET_V1, Precision.FP32, TrtOptions(dla_core=0, batch=(1, 1, 1)))
    assert not list(tmp_path.glob("build/*/*"))


@pytest.mark.parametrize(
    "options",
    [TrtOptions(workspace_mb=16), TrtOptions(optimization_level=0)],
    ids=["16 MiB of workspace", "level 0"],
)
def test_an_engine_built_with_less_answers_as_well(
    cuda: Cuda, library: Any, tmp_path: Path, options: TrtOptions
) -> None:
    if options.optimization_level is not None and not hasattr(
        library.IBuilderConfig, "builder_optimization_level"
    ):
        pytest.skip(f"{library.__name__} {library.__version__} has no optimisation levels")
    check(make(tmp_path, Family.MOBILENET_V2, Precision.FP32, options))


def test_the_same_request_builds_nothing_the_second_time(
    made: Callable[[Precision], Made], tmp_path: Path
) -> None:
    first = made(Precision.FP32)
    shutil.copytree(first.folder.parents[1], tmp_path / "build")
    for batch, there in (((1, 1, 8), True), ((1, 1, 4), False), ((1, 1, 4), True)):
        spec = BuildSpec(backend="trt", precision=Precision.FP32, trt=TrtOptions(batch=batch))
        assert building.build(first.model, spec, out=tmp_path / "build").up_to_date is there
