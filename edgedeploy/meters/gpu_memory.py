"""Memory of discrete NVIDIA GPUs, from NVML: what this process holds, and what all of them hold.

The driver lists processes by the host's numbers, so in a container that has its own ours is not
found. Under WSL it lists no sizes.

Source: NVML API reference, nvmlDeviceGetComputeRunningProcesses, nvmlProcessInfo_t and
nvmlDeviceGetMemoryInfo; NVIDIA/nvidia-docker issues 179 and 1483.
"""

import os
from typing import Any, List, Optional

from . import nvml
from .gauges import OTHERS, Gauge

# From drivers of 2022 on back to those of 2012; the last one is the newest in newer bindings.
_LISTS = (
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetComputeRunningProcesses_v2",
    "nvmlDeviceGetComputeRunningProcesses",
)


class HeldOnGpus(Gauge):
    """What this process holds, on all GPUs together.

    Args:
        library: The module pynvml.
        devices: Handles of all GPUs.
        pid: This process's number.
    """

    name = "NVML, by process"
    rule = "what this process holds on the GPU, with CUDA's context and libraries (NVML)"
    is_own = True

    def __init__(self, library: Any, devices: List[Any], pid: int) -> None:
        self._nvml, self._devices, self._pid = library, devices, pid

    def read(self) -> Optional[int]:
        """Return what it holds now; 0 where no GPU lists it."""
        self.reason = None
        total = 0
        for device in self._devices:
            held = self._held(device)
            if held is None:
                return None
            total += held
        return total

    def _held(self, device: Any) -> Optional[int]:
        processes = self._list(device)
        if processes is None:
            return None
        sizes = [one.usedGpuMemory for one in processes if one.pid == self._pid]
        if None in sizes:
            self.reason = "the driver does not tell sizes by process"
            return None
        return int(sum(sizes))

    def _list(self, device: Any) -> Optional[List[Any]]:
        """Return the processes on a GPU, by the newest list that bindings and driver both have."""
        for name in _LISTS:
            if not hasattr(self._nvml, name):
                continue
            try:
                return list(getattr(self._nvml, name)(device))
            except self._nvml.NVMLError as error:
                self.reason = str(error)
        return None


class UsedOnGpu(Gauge):
    """What all processes and the driver hold on the only GPU.

    Args:
        library: The module pynvml.
        devices: Handles of all GPUs.
    """

    name = "NVML, in all"
    rule = f"the change of the GPU's used memory since the start (NVML); {OTHERS}"

    def __init__(self, library: Any, devices: List[Any]) -> None:
        self._nvml, self._devices = library, devices

    def read(self) -> Optional[int]:
        """Return what is in use now."""
        self.reason = None
        if len(self._devices) != 1:
            self.reason = f"there are {len(self._devices)} GPUs, and it is not known which one runs"
            return None
        try:
            return int(self._nvml.nvmlDeviceGetMemoryInfo(self._devices[0]).used)
        except self._nvml.NVMLError as error:
            self.reason = str(error)
            return None


class NoGpu(Gauge):
    """NVML where it cannot be used."""

    name = "NVML"

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def read(self) -> Optional[int]:
        """Return None."""
        return None


def gauges(library: Any = None, pid: Optional[int] = None) -> List[Gauge]:
    """Return what tells the memory of the GPUs here, the best first.

    Args:
        library: The module pynvml; None imports it.
        pid: A process's number; None: this one's.
    """
    try:
        module, devices = nvml.open_all(library)
    except nvml.NvmlError as error:
        fix = f" (fix: {error.state.fix})" if error.state.fix else ""
        return [NoGpu(f"{error}{fix}")]
    own = HeldOnGpus(module, devices, os.getpid() if pid is None else pid)
    return [own, UsedOnGpu(module, devices)]
