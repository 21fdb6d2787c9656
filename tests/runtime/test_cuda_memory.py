from __future__ import annotations

import ctypes
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgedeploy.errors import EdgeDeployError, UnsupportedError
from edgedeploy.runtime import cuda_memory
from edgedeploy.runtime.cuda_memory import Cuda, CudaRuntime, Gpu, Memory, PyCuda
from edgedeploy.runtime.cudart import CudaError


class FakeCudart:
    """The CUDA runtime with host memory as its device's; checks every argument that it can."""

    package = "libcudart"

    def __init__(
        self,
        devices: int = 1,
        broken: str = "",
        code: int = 2,
        *,
        integrated: int = 0,
        driver: int = 12060,
    ) -> None:
        self.devices = devices
        self.broken = broken
        self.code = code
        self.integrated = integrated
        self.driver = driver
        self.calls: list[str] = []
        self.memory: dict[int, Any] = {}
        self.capturing = False
        self.alive: set[str] = set()
        self.errors_cleared = 0

    def call(self, name: str, *arguments: Any) -> Any:
        self.calls.append(name)
        if name == self.broken:
            raise CudaError(name, "out of memory", self.code)
        return getattr(self, name)(*arguments)

    def device_name(self) -> str:
        return "Orin"

    def clear_error(self) -> None:
        self.errors_cleared += 1

    def cudaGetDeviceCount(self) -> int:  # noqa: N802 -- CUDA's names
        return self.devices

    def cudaDriverGetVersion(self) -> int:  # noqa: N802
        return self.driver

    def cudaRuntimeGetVersion(self) -> int:  # noqa: N802
        return 13000

    def cudaDeviceGetAttribute(self, attribute: int, device: int) -> int:  # noqa: N802
        assert device == 0
        return {75: 8, 76: 7, 18: self.integrated, 19: 1}[attribute]

    def cudaMemGetInfo(self) -> tuple[int, int]:  # noqa: N802
        return 3 << 20, 8 << 20

    def cudaMalloc(self, size_bytes: int) -> int:  # noqa: N802
        memory = ctypes.create_string_buffer(size_bytes)
        self.memory[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def cudaHostAlloc(self, size_bytes: int, flags: int) -> int:  # noqa: N802
        assert flags in (0, 2)
        return self.cudaMalloc(size_bytes)

    def cudaHostGetDevicePointer(self, address: int, flags: int) -> int:  # noqa: N802
        assert flags == 0
        assert address in self.memory
        return address + (1 << 40)

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

    def cudaEventCreateWithFlags(self, flags: int) -> int:  # noqa: N802
        assert flags == 0
        self.alive.add("event")
        return 11

    def cudaEventRecord(self, event: int, stream: int) -> None:  # noqa: N802
        assert (event, stream) == (11, 7)

    def cudaEventSynchronize(self, event: int) -> None:  # noqa: N802
        assert event == 11

    def cudaEventElapsedTime(self, start: int, end: int) -> float:  # noqa: N802
        assert (start, end) == (11, 11)
        return 0.25

    def cudaEventDestroy(self, event: int) -> None:  # noqa: N802
        assert event == 11
        self.alive.remove("event")

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> None:  # noqa: N802
        assert (stream, mode, self.capturing) == (7, 1, False)
        self.capturing = True

    def cudaStreamEndCapture(self, stream: int) -> int:  # noqa: N802
        assert stream == 7
        assert self.capturing
        self.capturing = False
        self.alive.add("graph")
        return 21

    def cudaGraphDestroy(self, graph: int) -> None:  # noqa: N802
        assert graph == 21
        self.alive.remove("graph")

    def instantiate(self, graph: int) -> int:
        assert graph == 21
        self.alive.add("launchable")
        return 31

    def cudaGraphLaunch(self, graph: int, stream: int) -> None:  # noqa: N802
        assert (graph, stream) == (31, 7)

    def cudaGraphExecDestroy(self, graph: int) -> None:  # noqa: N802
        assert graph == 31
        self.alive.remove("launchable")


class FakeDevice:
    """``pycuda.driver.Device``."""

    driver: FakeDriver

    def __init__(self, index: int) -> None:
        assert index == 0

    def name(self) -> str:
        return "Orin"

    def compute_capability(self) -> tuple[int, int]:
        return (8, 7)

    def get_attribute(self, number: int) -> int:
        return {18: self.driver.integrated, 19: 1}[number]

    def retain_primary_context(self) -> Any:
        return SimpleNamespace(push=lambda: self.driver._move(1), pop=lambda: self.driver._move(-1))


class FakeDriver:
    """``pycuda.driver``, on which nothing works without a current context."""

    device_attribute = SimpleNamespace(INTEGRATED=18, CAN_MAP_HOST_MEMORY=19)
    host_alloc_flags = SimpleNamespace(DEVICEMAP=2)

    class Error(Exception):
        """PyCUDA's."""

    class MemoryError(Error):  # noqa: A001 -- the name that PyCUDA has
        """PyCUDA's, for memory that ran out."""

    def __init__(self, broken: str = "", *, integrated: int = 0) -> None:
        self.broken = broken
        self.integrated = integrated
        self.contexts = threading.local()
        self.alive: list[Any] = []
        self.Device = type("Device", (FakeDevice,), {"driver": self})

    @property
    def current(self) -> int:
        return int(getattr(self.contexts, "depth", 0))

    def init(self) -> None:
        if self.broken == "init":
            raise self.Error("cuInit failed: no CUDA-capable device is detected")

    def mem_get_info(self) -> tuple[int, int]:
        self._check("mem_get_info")
        return 3 << 20, 8 << 20

    def mem_alloc(self, size_bytes: int) -> Any:
        self._check("mem_alloc")
        return self._Allocation(self, ctypes.create_string_buffer(size_bytes))

    def pagelocked_empty(self, size_bytes: int, dtype: Any, *, mem_flags: int) -> Any:
        self._check("pagelocked_empty")
        assert mem_flags in (0, 2)
        owner = self._Allocation(self, ctypes.create_string_buffer(size_bytes))
        return np.frombuffer(owner.memory, dtype).view(_Pinned).owned_by(owner)

    def Stream(self, flags: int) -> Any:  # noqa: N802
        self._check("Stream")
        assert flags == 1
        return SimpleNamespace(handle=7, synchronize=lambda: self._check("synchronize"))

    def Event(self) -> Any:  # noqa: N802
        self._check("Event")
        return SimpleNamespace(
            record=lambda stream: self._check(f"record on {stream.handle}"),
            synchronize=lambda: self._check("synchronize"),
            time_till=lambda other: 0.25,
        )

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

        def get_device_pointer(self) -> int:
            self.driver._check("get_device_pointer")
            return int(self) + (1 << 40)

        def free(self) -> None:
            self.driver._check("free")
            self.driver.alive.remove(self)

    def _move(self, step: int) -> None:
        self.contexts.depth = self.current + step

    def _check(self, name: str) -> None:
        assert self.current == 1, "no context is current, or one too many"
        if name == self.broken:
            raise self.MemoryError(f"{name} failed: out of memory")


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


def adapters(*, integrated: int = 0) -> list[Cuda]:
    return [
        CudaRuntime(FakeCudart(integrated=integrated)),
        PyCuda(FakeDriver(integrated=integrated), FakeCudart()),
    ]


EACH = pytest.mark.parametrize("cuda", adapters(), ids=lambda cuda: cuda.package)


@EACH
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


@EACH
def test_every_adapter_names_the_gpu_and_its_memory_alike(cuda: Cuda) -> None:
    assert cuda.gpu == Gpu("Orin", "8.7")
    assert cuda.memory() == Memory(3 << 20, 8 << 20)
    assert cuda.free_memory() == 3 << 20
    assert not cuda.shares_memory


@pytest.mark.parametrize("cuda", adapters(integrated=1), ids=lambda cuda: cuda.package)
def test_memory_of_cpu_and_gpu_in_one_is_mapped(cuda: Cuda) -> None:
    assert cuda.shares_memory
    memory, address = cuda.allocate_mapped(16)
    assert memory.shape == (16,)
    assert address == memory.ctypes.data + (1 << 40)
    cuda.free_pinned(memory)


@EACH
def test_time_between_two_events_is_that_of_cuda(cuda: Cuda) -> None:
    stream, event = cuda.create_stream(), cuda.create_event()
    cuda.record(event, stream)
    assert cuda.elapsed_ms(event, event) == 0.25
    cuda.destroy_event(event)
    cuda.destroy_stream(stream)


@pytest.mark.parametrize("kind", ["libcudart", "pycuda"])
def test_graph_is_captured_launched_and_destroyed(kind: str) -> None:
    api = FakeCudart()
    cuda = CudaRuntime(api) if kind == "libcudart" else PyCuda(FakeDriver(), api)
    stream = cuda.create_stream()
    seen: list[bool] = []
    graph = cuda.capture(lambda: seen.append(api.capturing), stream)
    assert seen == [True]
    assert api.alive == {"launchable"}, "what was captured is not needed any more"
    cuda.launching(graph, stream)()
    assert api.calls[-1] == "cudaGraphLaunch"
    cuda.destroy_graph(graph)
    assert api.alive == set()


@pytest.mark.parametrize(
    "broken", ["cudaStreamBeginCapture", "cudaStreamEndCapture"], ids=["at once", "at its end"]
)
def test_capture_that_cuda_refuses_is_an_error_and_leaves_none_behind(broken: str) -> None:
    api = FakeCudart(broken=broken, code=900)
    cuda = CudaRuntime(api)
    with pytest.raises(EdgeDeployError, match=f"CUDA failed: {broken}"):
        cuda.capture(lambda: None, cuda.create_stream())
    assert api.errors_cleared == 1
    assert api.alive == set()


@pytest.mark.parametrize("broken", ["", "cudaStreamEndCapture"], ids=["valid", "invalidated"])
def test_capture_of_work_that_fails_ends_and_tells_the_work_s_own_error(broken: str) -> None:
    api = FakeCudart(broken=broken, code=901)
    cuda = CudaRuntime(api)

    def work() -> None:
        raise EdgeDeployError("TensorRT did not run", fix="free memory")

    with pytest.raises(EdgeDeployError, match="TensorRT did not run"):
        cuda.capture(work, cuda.create_stream())
    assert "cudaStreamEndCapture" in api.calls
    assert api.alive == set()


def test_pycuda_without_a_cuda_runtime_says_that_it_has_no_graphs() -> None:
    cuda = PyCuda(FakeDriver())
    assert cuda.no_graphs is not None
    assert "libcudart" in cuda.no_graphs
    with pytest.raises(EdgeDeployError, match="there are no CUDA graphs: PyCUDA has none"):
        cuda.capture(lambda: None, cuda.create_stream())


def test_pycuda_leaves_no_context_current_and_nothing_allocated() -> None:
    driver = FakeDriver()
    cuda = PyCuda(driver)
    memory = cuda.allocate_pinned(16)
    address = cuda.allocate(16)
    cuda.free(address)
    cuda.free_pinned(memory)
    assert (driver.current, driver.alive) == (0, [])


def test_pycuda_works_on_another_thread_than_the_one_that_opened_it() -> None:
    driver = FakeDriver()
    cuda = PyCuda(driver)
    stream, memory, address = cuda.create_stream(), cuda.allocate_pinned(16), cuda.allocate(16)

    def work() -> int:
        cuda.uploading(memory, address, stream)()
        cuda.synchronize(stream)
        return driver.current

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == 0


def test_no_context_stays_current_after_an_error() -> None:
    driver = FakeDriver(broken="Stream")
    with pytest.raises(EdgeDeployError, match="CUDA failed: Stream failed"):
        PyCuda(driver).create_stream()
    assert driver.current == 0


@pytest.mark.parametrize(
    "cuda",
    [CudaRuntime(FakeCudart(broken="cudaMalloc")), PyCuda(FakeDriver(broken="mem_alloc"))],
    ids=lambda cuda: cuda.package,
)
def test_memory_that_runs_out_is_unsupported_with_what_there_is(cuda: Cuda) -> None:
    with pytest.raises(
        UnsupportedError, match=r"2\.0 MiB .*out of memory.*: 3 of 8 MiB are free"
    ) as caught:
        cuda.allocate(2 << 20)
    assert "end what else uses the GPU" in caught.value.fix


def test_allocation_that_fails_otherwise_is_an_error_of_cuda() -> None:
    cuda = CudaRuntime(FakeCudart(broken="cudaHostAlloc", code=700))
    with pytest.raises(EdgeDeployError, match=r"CUDA failed: cudaHostAlloc: .*\(error 700\)"):
        cuda.allocate_pinned(16)


def test_allocation_that_pycuda_refuses_otherwise_is_an_error_of_cuda() -> None:
    driver = FakeDriver()
    driver.pagelocked_empty = _refused  # type: ignore[method-assign]
    with pytest.raises(EdgeDeployError, match="CUDA failed: illegal address"):
        PyCuda(driver).allocate_pinned(16)
    assert driver.current == 0


def _refused(*_: object, **__: object) -> None:
    raise FakeDriver.Error("illegal address")


def test_runtime_errors_carry_cudas_words_and_a_fix() -> None:
    cuda = CudaRuntime(FakeCudart(broken="cudaStreamSynchronize", code=700))
    with pytest.raises(EdgeDeployError, match=r"cudaStreamSynchronize: .*\(error 700\)") as caught:
        cuda.synchronize(7)
    assert "free GPU memory" in caught.value.fix


@pytest.mark.parametrize(
    ("api", "words"),
    [
        (FakeCudart(devices=0), "the driver lists no device"),
        (FakeCudart(broken="cudaGetDeviceCount", code=100), "cudaGetDeviceCount: out of memory"),
        (
            FakeCudart(broken="cudaGetDeviceCount", code=35, driver=0),
            "there is no NVIDIA driver",
        ),
    ],
)
def test_no_gpu_is_unsupported_with_the_reason(api: FakeCudart, words: str) -> None:
    with pytest.raises(
        UnsupportedError, match=rf"no NVIDIA GPU can be used here: {words}"
    ) as caught:
        CudaRuntime(api)
    assert "ort or openvino" in caught.value.fix


class OldCudart(FakeCudart):
    """That of CUDA 11 and 12, which tells its version with a driver only."""

    def cudaRuntimeGetVersion(self) -> int:  # noqa: N802
        raise CudaError("cudaRuntimeGetVersion", "insufficient driver", 35)


@pytest.mark.parametrize(("kind", "needed"), [(FakeCudart, r"13\.0"), (OldCudart, "a later one")])
def test_driver_that_is_too_old_is_unsupported_with_both_versions(
    kind: type[FakeCudart], needed: str
) -> None:
    with pytest.raises(
        UnsupportedError, match=rf"supports CUDA up to 11\.4, libcudart needs {needed}"
    ) as caught:
        CudaRuntime(kind(broken="cudaGetDeviceCount", code=35, driver=11040))
    assert "update the NVIDIA driver" in caught.value.fix


def test_no_gpu_is_unsupported_through_pycuda_too() -> None:
    with pytest.raises(UnsupportedError, match="no CUDA-capable device is detected"):
        PyCuda(FakeDriver(broken="init"))


# ---- which of them is taken ----


def test_pycuda_is_taken_first_with_the_first_cuda_runtime_that_works_for_its_graphs() -> None:
    old = FakeCudart(broken="cudaGetDeviceCount", code=35)
    driver = FakeDriver()
    cuda = cuda_memory.open_gpu(lambda name: driver, lambda: [old, FakeCudart()])
    assert cuda.package == "pycuda"
    assert cuda.no_graphs is None
    assert cuda_memory.open_gpu(lambda name: driver, lambda: [old]).no_graphs is not None


def test_cuda_runtime_that_the_driver_supports_is_taken_where_another_is_too_new() -> None:
    new, old = FakeCudart(broken="cudaGetDeviceCount", code=35), FakeCudart()
    cuda = cuda_memory.open_gpu(lambda name: None, lambda: [new, old])
    assert cuda.gpu == Gpu("Orin", "8.7")
    assert old.calls


def test_machine_without_any_cuda_runtime_says_so() -> None:
    with pytest.raises(UnsupportedError, match=r"no CUDA runtime library \(libcudart\)"):
        cuda_memory.open_gpu(lambda name: None, list)


def test_this_machine_has_a_gpu_or_says_why_not() -> None:
    gpu = cuda_memory.find_gpu()
    if gpu is None:
        with pytest.raises(UnsupportedError, match=r"no NVIDIA GPU can be used here: ."):
            cuda_memory.open_gpu()
    else:
        assert gpu.name
        assert "." in gpu.compute_capability
