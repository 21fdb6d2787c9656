from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.runtime import trt_api

if TYPE_CHECKING:
    from edgedeploy.backends.base import Backend


@pytest.fixture(scope="module")
def trt() -> Backend:
    """The backend, with TensorRT-RTX where there is no GPU."""
    if not any(trt_api.installed(package) for package in trt_api.PACKAGES):
        pytest.skip("neither tensorrt nor tensorrt_rtx is installed")
    from edgedeploy import backends

    return backends.get("trt")


@pytest.fixture(autouse=True)
def own_timings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests time, where there is a GPU, out of the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "timings"
    monkeypatch.setenv("EDGEDEPLOY_TIMING_CACHE", str(folder))
