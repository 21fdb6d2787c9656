"""PyCUDA, cuda-python and libcudart: each that is installed does the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy.errors import UnsupportedError
from edgedeploy.runtime import cuda_memory, cudart, trt
from edgedeploy.types import Precision
from tests.gpu.making import SIDE, Made, distance
from tests.prepared_sources import images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgedeploy.runtime.cuda_memory import Cuda


def opened(package: str) -> Cuda:
    """Open the GPU through one package, or skip."""
    if package == "pycuda":
        if cudart.optional("pycuda.driver") is None:
            pytest.skip("pycuda is not installed, or does not load")
        found = cuda_memory.open_gpu()
        assert found.package == "pycuda"
        return found

    def runtimes() -> Iterator[Any]:
        return (api for api in cudart.found() if api.package == package)

    if not list(runtimes()):
        pytest.skip(f"there is no {package} that loads")
    try:
        return cuda_memory.open_gpu(optional=lambda name: None, runtimes=runtimes)
    except UnsupportedError as error:  # of another CUDA than the driver
        pytest.skip(error.problem)


@pytest.fixture(params=["pycuda", "cuda-python", "libcudart"])
def package(cuda: Cuda, request: pytest.FixtureRequest) -> Cuda:
    return opened(request.param)


def test_each_tells_the_same_gpu_and_memory(cuda: Cuda, package: Cuda) -> None:
    assert package.gpu == cuda.gpu
    assert package.shares_memory == cuda.shares_memory
    assert package.memory().total_bytes == cuda.memory().total_bytes


def test_bytes_come_back_as_they_went(package: Cuda) -> None:
    stream = package.create_stream()
    there, back = package.allocate_pinned(1 << 20), package.allocate_pinned(1 << 20)
    address = package.allocate(1 << 20)
    there[:] = np.random.default_rng(0).integers(0, 256, 1 << 20, dtype=np.uint8)
    back[:] = 0
    package.uploading(there, address, stream)()
    package.downloading(address, back, stream)()
    package.synchronize(stream)
    np.testing.assert_array_equal(back, there)
    package.free(address)
    package.free_pinned(there)
    package.free_pinned(back)
    package.destroy_stream(stream)


def test_events_time_what_lies_between_them(package: Cuda) -> None:
    stream, address = package.create_stream(), package.allocate(64 << 20)
    host = package.allocate_pinned(64 << 20)
    start, middle, end = (package.create_event() for _ in range(3))
    upload = package.uploading(host, address, stream)
    package.record(start, stream)
    package.record(middle, stream)
    upload()
    package.record(end, stream)
    empty_ms, copy_ms = package.elapsed_ms(start, middle), package.elapsed_ms(middle, end)
    assert 0 <= empty_ms < copy_ms
    for event in (start, middle, end):
        package.destroy_event(event)
    package.free(address)
    package.free_pinned(host)
    package.destroy_stream(stream)


def test_a_graph_does_again_what_was_captured(package: Cuda) -> None:
    if package.no_graphs is not None:
        pytest.skip(package.no_graphs)
    stream, address = package.create_stream(), package.allocate(1024)
    there, back = package.allocate_pinned(1024), package.allocate_pinned(1024)
    back[:] = 0

    def work() -> None:
        package.uploading(there, address, stream)()
        package.downloading(address, back, stream)()

    there[:] = 1
    graph = package.capture(work, stream)
    package.synchronize(stream)
    assert back.max() == 0  # capturing runs nothing
    launch = package.launching(graph, stream)
    for value in (7, 9):
        there[:] = value
        launch()
        package.synchronize(stream)
        assert (back == value).all()
    package.destroy_graph(graph)
    package.free(address)
    package.free_pinned(there)
    package.free_pinned(back)
    package.destroy_stream(stream)


def test_an_engine_runs_through_each(
    package: Cuda, library: Any, made: Callable[[Precision], Made]
) -> None:
    first = made(Precision.FP32)
    session = trt.open_session(library, package, str(first.folder), first.manifest)
    batch = images(9, SIDE)
    assert distance(session.run(batch), first.answers(batch)) < 1e-4
    assert session.described["cuda"] == package.package
    session.close()
