"""What the worker holds at each phase: in its own memory, and on the device that computes."""

from typing import Any, Dict

from ..meters import board, device_memory, process
from ..meters.board import BoardFacts
from ..meters.device_memory import DeviceMemory, DeviceSeen


class Memory:
    """Reads the memory of this process, and that of the device, when a phase is over.

    Args:
        device: Reads the device's.
    """

    def __init__(self, device: DeviceMemory) -> None:
        self._device = device
        self._phases = {}  # type: Dict[str, Dict[str, Any]]

    def take(self, phase: str) -> None:
        """Read both; the first time before anything of the vendor's is imported."""
        self._phases[phase] = dict(process.memory()._asdict())
        self._device.read(phase)

    def document(self, backend: str, device: str) -> Dict[str, Any]:
        """Return ``memory`` and ``device_memory`` of a result.

        Args:
            backend: Of the artifact.
            device: The vendor's name of what computed.
        """
        seen = self._device.seen() if backend == "trt" else DeviceSeen(None, None, _why(device))
        return {"memory": self._phases, "device_memory": dict(seen._asdict())}


def of(backend: str, facts: BoardFacts) -> Memory:
    """Return what reads the memory of an artifact of a backend on a board."""
    if backend != "trt":
        return Memory(DeviceMemory([]))
    is_board = facts.soc is not None or facts.name != board.LOCAL
    return Memory(DeviceMemory(device_memory.gauges(shares_memory=is_board)))


def _why(device: str) -> str:
    """Return why there is no memory of a device that is no NVIDIA GPU."""
    if {name.strip("()") for name in device.split(",")} == {"CPU"}:
        return "the engine runs on the CPU: its memory is in rss"
    return f"the vendor's library does not tell what its device {device} holds"
