"""Memory, copies, streams, events and graphs of a GPU: PyCUDA, else cuda-python, else libcudart.

A bare JetPack has neither of the two packages: PyCUDA must be compiled there and cuda-python needs
a newer Python. The three say the same things in the same order; device 0 and its primary context
are used, which TensorRT and every other user of the CUDA runtime share. Choose another GPU with
the environment variable CUDA_VISIBLE_DEVICES.
"""

from typing import Any, Callable, Iterable, Optional

from . import cuda_device, cudart
from .cuda_device import Cuda, Gpu, Memory
from .cuda_pycuda import PyCuda
from .cuda_runtime import CudaRuntime
from .errors import UnsupportedError

__all__ = ["Cuda", "CudaRuntime", "Gpu", "Memory", "PyCuda", "find_gpu", "open_gpu"]


def open_gpu(
    optional: Callable[[str], Any] = cudart.optional,
    runtimes: Callable[[], Iterable[Any]] = cudart.found,
) -> Cuda:
    """Return CUDA on device 0, through the first package that loads and that the driver supports.

    Args:
        optional: Imports a package, or returns None.
        runtimes: Yields the CUDA runtimes that load here, the best first.

    Raises:
        UnsupportedError: There is no NVIDIA GPU, no driver, or no CUDA runtime library.
    """
    driver = optional("pycuda.driver")
    if driver is not None and hasattr(driver.Device, "retain_primary_context"):
        return PyCuda(driver, next((api for api in runtimes() if _works(api)), None))
    refused = cuda_device.no_gpu("there is no CUDA runtime library (libcudart)")
    for api in runtimes():
        try:
            return CudaRuntime(api)
        except UnsupportedError as error:
            refused = error
    raise refused


def _works(api: Any) -> bool:
    """Return whether the driver supports a CUDA runtime."""
    try:
        api.call("cudaGetDeviceCount")
    except cudart.CudaError:
        return False
    return True


def find_gpu() -> Optional[Gpu]:
    """Return device 0, or None where no GPU can be used."""
    try:
        return open_gpu().gpu
    except UnsupportedError:
        return None
