"""NVML, NVIDIA's management library, on discrete GPUs. A Jetson has none that measures power.

Source: NVML API reference, nvmlDeviceGetTotalEnergyConsumption (Volta and later, the whole board,
millijoules since the driver was loaded) and nvmlDeviceGetPowerUsage.
"""

import importlib
from functools import partial
from typing import Any, List, Optional, Tuple

from .counters import Counter, monotonic_ns
from .sampling import Reader, Sample
from .sysfs import SensorState


class NvmlError(Exception):
    """NVML cannot be used; ``state`` says why."""

    def __init__(self, reason: str, fix: Optional[str] = None) -> None:
        super().__init__(reason)
        self.state = SensorState(available=False, reason=reason, fix=fix)


def probe(library: Any = None, index: int = 0) -> SensorState:
    """Return whether NVML gives the power of a GPU.

    Args:
        library: The module pynvml; None imports it.
        index: Which GPU, in NVML's order.
    """
    try:
        nvml, device = open_gpu(library, index)
    except NvmlError as error:
        return error.state
    try:
        nvml.nvmlDeviceGetPowerUsage(device)
    except nvml.NVMLError as error:
        return _unsupported("power", error)
    return SensorState(available=True)


def energy_counters(library: Any = None, index: int = 0) -> Tuple[List[Counter], SensorState]:
    """Return the energy counter of a GPU, or none and why.

    NVML stays initialised until the process ends.

    Args:
        library: The module pynvml; None imports it.
        index: Which GPU, in NVML's order.
    """
    try:
        nvml, device = open_gpu(library, index)
    except NvmlError as error:
        return [], error.state
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(device)
    except nvml.NVMLError as error:
        return [], _unsupported("energy", error)
    counter = Counter(f"gpu-{index}", partial(_read_energy_uj, nvml, device))
    return [counter], SensorState(available=True)


def open_reader(library: Any = None, index: int = 0) -> Tuple[Optional[Reader], Optional[str]]:
    """Return a reader of a GPU's power and None, or None and why there is none.

    From Ampere on (GA100 excepted) NVML gives the average of the last second. Those GPUs have an
    energy counter too, which is the better choice.

    Args:
        library: The module pynvml; None imports it.
        index: Which GPU, in NVML's order.
    """
    state = probe(library, index)
    if not state.available:
        return None, state.reason
    return _Power(*open_gpu(library, index), rail=f"gpu-{index}"), None


class _Power(Reader):
    def __init__(self, nvml: Any, device: Any, rail: str) -> None:
        self._nvml, self._device, self._rail = nvml, device, rail

    def read(self) -> List[Sample]:
        """Return the power now; nothing where the driver does not answer."""
        try:
            milliwatts = int(self._nvml.nvmlDeviceGetPowerUsage(self._device))
        except self._nvml.NVMLError:
            return []
        return [Sample(monotonic_ns(), {self._rail: milliwatts})]


def _read_energy_uj(nvml: Any, device: Any) -> Optional[int]:
    try:
        return int(nvml.nvmlDeviceGetTotalEnergyConsumption(device)) * 1000
    except nvml.NVMLError:
        return None


def open_gpu(library: Any, index: int) -> Tuple[Any, Any]:
    """Return the initialised library and the handle of a GPU.

    Raises:
        NvmlError: It is not installed, or there is no such GPU.
    """
    nvml = _import(library)
    try:
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        raise NvmlError(
            f"there is no NVIDIA GPU {index} with its driver here (NVML: {error})"
        ) from error


def open_all(library: Any = None) -> Tuple[Any, List[Any]]:
    """Return the initialised library and the handles of all GPUs, of which there may be none.

    Args:
        library: The module pynvml; None imports it.

    Raises:
        NvmlError: It is not installed, or there is no driver.
    """
    nvml = _import(library)
    try:
        nvml.nvmlInit()
        count = int(nvml.nvmlDeviceGetCount())
        return nvml, [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    except nvml.NVMLError as error:
        raise NvmlError(f"there is no NVIDIA driver here (NVML: {error})") from error


def _import(library: Any) -> Any:
    try:
        return importlib.import_module("pynvml") if library is None else library
    except ImportError:
        raise NvmlError(
            "the package 'pynvml' is not installed", "pip install 'edgedeploy[nvml]'"
        ) from None


def _unsupported(what: str, error: Exception) -> SensorState:
    return SensorState(
        available=False,
        reason=f"NVML does not give the {what} of this GPU ({error}); a Jetson's is in "
        "tegrastats and INA3221",
    )
