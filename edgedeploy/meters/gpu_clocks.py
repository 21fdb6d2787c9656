"""The clock of a discrete NVIDIA GPU, and what holds it back, from NVML.

Source: NVML API reference, nvmlDeviceGetClockInfo and NvmlClocksEventReasons; the function had
"Throttle" in its name until driver 535.
"""

import importlib
from typing import Any, List, NamedTuple, Optional

# Bits of the reasons that halve a clock or answer heat. A power cap (4) is how the GPU's maker or
# owner set it up; application clocks (2) and idling (1) are nobody's fault.
_THROTTLES = (
    (0x08, "hardware slowdown"),
    (0x20, "software thermal slowdown"),
    (0x40, "hardware thermal slowdown"),
    (0x80, "power brake"),
)
_READERS = (
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
)
_SM = 1  # NVML_CLOCK_SM


class GpuState(NamedTuple):
    """A GPU now. What NVML does not tell is None.

    Attributes:
        sm_mhz: Clock of its multiprocessors.
        max_mhz: The fastest that this clock can be.
        throttles: What slows it down, in words; empty if nothing does.
    """

    sm_mhz: Optional[float]
    max_mhz: Optional[float]
    throttles: List[str]


class GpuWatch:
    """Reads the state of one GPU.

    Args:
        library: The module pynvml; None imports it.
        index: Which GPU, in NVML's order.
    """

    def __init__(self, library: Any = None, index: int = 0) -> None:
        self._device = None  # type: Any
        try:
            self._nvml = importlib.import_module("pynvml") if library is None else library
        except ImportError:
            return
        try:
            self._nvml.nvmlInit()
            self._device = self._nvml.nvmlDeviceGetHandleByIndex(index)
        except self._nvml.NVMLError:
            return

    def read(self) -> Optional[GpuState]:
        """Return the state now; None where NVML or the GPU is not there."""
        if self._device is None:
            return None
        reasons = None
        for name in _READERS:
            if hasattr(self._nvml, name):
                reasons = self._ask(name)
                break
        return GpuState(
            _mhz(self._ask("nvmlDeviceGetClockInfo", _SM)),
            _mhz(self._ask("nvmlDeviceGetMaxClockInfo", _SM)),
            [words for bit, words in _THROTTLES if reasons is not None and reasons & bit],
        )

    def _ask(self, name: str, *arguments: int) -> Optional[int]:
        try:
            return int(getattr(self._nvml, name)(self._device, *arguments))
        except self._nvml.NVMLError:
            return None


def _mhz(value: Optional[int]) -> Optional[float]:
    return float(value) if value else None
