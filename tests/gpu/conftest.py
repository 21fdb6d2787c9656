from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import UnsupportedError
from edgedeploy.runtime import cuda_memory, trt_api, trt_dialects, trt_timing_cache
from edgedeploy.types import Family, Precision
from tests.gpu.making import Made, make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


collect_ignore = ["vendors"]  # packages that stand in for others', not tests


@pytest.fixture(scope="session", autouse=True)
def _own_timings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave the user's timing cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(trt_timing_cache.VARIABLE, str(tmp_path_factory.mktemp("timings")))
        yield


@pytest.fixture(scope="session")
def cuda() -> cuda_memory.Cuda:
    """The GPU; every test that asks for it is skipped, with the reason, where there is none."""
    try:
        found = cuda_memory.open_gpu()
    except UnsupportedError as error:
        pytest.skip(error.problem)
    if not any(trt_api.installed(package) for package in trt_api.PACKAGES):
        pytest.skip(f"{found.gpu.name} is here, but neither tensorrt nor tensorrt_rtx is installed")
    return found


@pytest.fixture(scope="session")
def library(cuda: cuda_memory.Cuda) -> Any:
    """TensorRT's package."""
    return trt_api.library()


@pytest.fixture(scope="session")
def dialect(library: Any) -> trt_dialects.Dialect:
    return trt_dialects.of(library)


@pytest.fixture(scope="session")
def made(
    cuda: cuda_memory.Cuda, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Precision], Made]:
    """MobileNet V1 0.25 in each precision, built once for all tests that do not change it."""
    kept: dict[Precision, Made] = {}

    def build(precision: Precision) -> Made:
        if precision not in kept:
            folder = tmp_path_factory.mktemp(precision.value)
            kept[precision] = make(folder, Family.MOBILENET_V1, precision)
        return kept[precision]

    return build
