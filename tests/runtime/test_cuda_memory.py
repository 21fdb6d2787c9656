from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgedeploy.errors import EdgeDeployError, UnsupportedError
from edgedeploy.runtime import cuda_memory
from edgedeploy.runtime.cuda_memory import Cuda, CudaRuntime, Gpu, PyCuda
from edgedeploy.runtime.cudart import CudaError


class FakeCudart:
    """The CUDA runtime with host memory as its device's; checks every argument that it can."""

    def __init__(self, devices: int = 1, broken: str = "") -> None:
        self.devices = devices
        self.broken = broken
        self.calls: list[str] = []
        self.memory: dict[int, Any] = {}

    def call(self, name: str, *arguments: Any) -> Any:
        self.calls.append(name)
        if name == self.broken:
            raise CudaError(f"{name}: out of memory (error 2)")
        return getattr(self, name)(*arguments)

    def device_name(self) -> str:
        return "Orin"

    def cudaGetDeviceCount(self) -> int:  # noqa: N802 -- CUDA's names
        return self.devices

    def cudaDeviceGetAttribute(self, attribute: int, device: int) -> int:  # noqa: N802
        assert device == 0
        return {75: 8, 76: 7}[attribute]

    def cudaMalloc(self, size_bytes: int) -> int:  # noqa: N802
        memory = ctypes.create_string_buffer(size_bytes)
        self.memory[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def cudaHostAlloc(self, size_bytes: int, flags: int) -> int:  # noqa: N802
        assert flags == 0
        return self.cudaMalloc(size_bytes)

    def cudaFree(self, address: int) -> None:  # noqa: N802
        del self.memory[address]

    cudaFreeHost = cudaFree  # noqa: N815

    def cudaStreamCreateWithFlags(self, flags: int) -> int:  # noqa: N802
        assert flags == 1
        return 7

    def cudaStreamDestroy(self, stream: int) -> None:  # noqa: N802
        assert stream == 7

    cudaStreamSynchronize = cudaStreamDestroy  # noqa: N815

    def cudaMemcpyAsync(  # noqa: N802
        self, target: int, source: int, size_bytes: int, kind: int, stream: int
    ) -> None:
        assert stream == 7
        assert kind in (1, 2)
        assert (target if kind == 1 else source) in self.memory
        ctypes.memmove(target, source, size_bytes)


class FakeDriver:
    """``pycuda.driver``, on which nothing works without a current context."""

    class Error(Exception):
        """PyCUDA's."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken
        self.current = 0
        self.alive: list[Any] = []

    def init(self) -> None:
        if self.broken == "init":
            raise self.Error("cuInit failed: no CUDA-capable device is detected")

    def Device(self, index: int) -> Any:  # noqa: N802
        assert index == 0
        return SimpleNamespace(
            name=lambda: "Orin",
            compute_capability=lambda: (8, 7),
            retain_primary_context=lambda: SimpleNamespace(
                push=lambda: self._move(1), pop=lambda: self._move(-1)
            ),
        )

    def mem_alloc(self, size_bytes: int) -> Any:
        self._check("mem_alloc")
        return self._Allocation(self, ctypes.create_string_buffer(size_bytes))

    def pagelocked_empty(self, size_bytes: int, dtype: Any) -> Any:
        self._check("pagelocked_empty")
        owner = self._Allocation(self, ctypes.create_string_buffer(size_bytes))
        return np.frombuffer(owner.memory, dtype).view(_Pinned).owned_by(owner)

    def Stream(self, flags: int) -> Any:  # noqa: N802
        self._check("Stream")
        assert flags == 1
        return SimpleNamespace(handle=7, synchronize=lambda: self._check("synchronize"))

    def memcpy_htod_async(self, target: int, source: Any, stream: Any) -> None:
        self._check("memcpy_htod_async")
        assert stream.handle == 7
        ctypes.memmove(target, source.ctypes.data, source.nbytes)

    def memcpy_dtoh_async(self, target: Any, source: int, stream: Any) -> None:
        self._check("memcpy_dtoh_async")
        assert stream.handle == 7
        ctypes.memmove(target.ctypes.data, source, target.nbytes)

    class _Allocation:
        def __init__(self, driver: FakeDriver, memory: Any) -> None:
            self.driver, self.memory = driver, memory
            driver.alive.append(self)

        def __int__(self) -> int:
            return ctypes.addressof(self.memory)

        def free(self) -> None:
            self.driver._check("free")
            self.driver.alive.remove(self)

    def _move(self, step: int) -> None:
        self.current += step

    def _check(self, name: str) -> None:
        assert self.current == 1, "no context is current, or one too many"
        if name == self.broken:
            raise self.Error(f"{name} failed: out of memory")


class _Pinned(np.ndarray[Any, Any]):
    """An array whose ``base`` can free it, as PyCUDA's."""

    base: Any

    def owned_by(self, owner: Any) -> _Pinned:
        self.owner = owner
        return self

    def __getattribute__(self, name: str) -> Any:
        if name == "base" and "owner" in super().__getattribute__("__dict__"):
            return super().__getattribute__("owner")
        return super().__getattribute__(name)


def adapters() -> list[Cuda]:
    return [CudaRuntime("libcudart", FakeCudart()), PyCuda(FakeDriver())]


@pytest.mark.parametrize("cuda", adapters(), ids=lambda cuda: cuda.package)
def test_data_comes_back_from_the_device_on_every_adapter(cuda: Cuda) -> None:
    stream = cuda.create_stream()
    source, result = cuda.allocate_pinned(64), cuda.allocate_pinned(64)
    address = cuda.allocate(64)
    source[:] = np.arange(64)
    result[:] = 0
    cuda.uploading(source, address, stream)()
    cuda.downloading(address, result, stream)()
    cuda.synchronize(stream)
    np.testing.assert_array_equal(result, np.arange(64))
    cuda.free(address)
    cuda.free_pinned(source)
    cuda.free_pinned(result)
    cuda.destroy_stream(stream)


@pytest.mark.parametrize("cuda", adapters(), ids=lambda cuda: cuda.package)
def test_every_adapter_names_the_gpu_alike(cuda: Cuda) -> None:
    assert cuda.gpu == Gpu("Orin", "8.7")


def test_pycuda_leaves_no_context_current_and_nothing_allocated() -> None:
    driver = FakeDriver()
    cuda = PyCuda(driver)
    memory = cuda.allocate_pinned(16)
    address = cuda.allocate(16)
    cuda.free(address)
    cuda.free_pinned(memory)
    assert (driver.current, driver.alive) == (0, [])


def test_no_context_stays_current_after_an_error() -> None:
    driver = FakeDriver(broken="mem_alloc")
    with pytest.raises(EdgeDeployError, match="CUDA failed: mem_alloc failed: out of memory"):
        PyCuda(driver).allocate(16)
    assert driver.current == 0


def test_runtime_errors_carry_cudas_words_and_a_fix() -> None:
    cuda = CudaRuntime("libcudart", FakeCudart(broken="cudaMalloc"))
    with pytest.raises(EdgeDeployError, match=r"cudaMalloc: out of memory \(error 2\)") as caught:
        cuda.allocate(16)
    assert "free GPU memory" in caught.value.fix


@pytest.mark.parametrize(
    ("api", "words"),
    [
        (FakeCudart(devices=0), "the driver lists no device"),
        (FakeCudart(broken="cudaGetDeviceCount"), "cudaGetDeviceCount: out of memory"),
    ],
)
def test_no_gpu_is_unsupported_with_the_reason(api: FakeCudart, words: str) -> None:
    with pytest.raises(
        UnsupportedError, match=rf"no NVIDIA GPU can be used here: {words}"
    ) as caught:
        CudaRuntime("libcudart", api)
    assert "ort or openvino" in caught.value.fix


def test_no_gpu_is_unsupported_through_pycuda_too() -> None:
    with pytest.raises(UnsupportedError, match="no CUDA-capable device is detected"):
        PyCuda(FakeDriver(broken="init"))


def test_this_machine_has_a_gpu_or_says_why_not() -> None:
    gpu = cuda_memory.find_gpu()
    if gpu is None:
        with pytest.raises(UnsupportedError, match=r"no NVIDIA GPU can be used here: ."):
            cuda_memory.open_gpu()
    else:
        assert gpu.name
        assert "." in gpu.compute_capability
