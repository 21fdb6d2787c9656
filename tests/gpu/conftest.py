from __future__ import annotations

import pytest

from edgedeploy.errors import UnsupportedError
from edgedeploy.runtime import cuda_memory, trt_api


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
