"""The energy of a timed window: the best sensor here, or why there is none."""

from typing import Any, List, Optional, Tuple

from . import ina3221, nvml, rapl, tegrastats
from .counters import EnergyMeter
from .sysfs import SensorState


def open_meter(
    root: str = "/", runs_on: str = "cpu", library: Any = None
) -> Tuple[Optional[EnergyMeter], Optional[str]]:
    """Return a meter and None, or None and why there is none.

    The energy is that of what does the work: a GPU's counter says nothing about a network that
    runs on the CPU, so it is not used for it.

    Args:
        root: Where the file system starts.
        runs_on: ``"cpu"``, or ``"gpu"`` for a discrete NVIDIA GPU.
        library: The module pynvml; None imports it.

    Example:
        >>> meter, reason = open_meter("/no/such/folder")
        >>> meter is None, reason.startswith("no sensor")
        (True, True)
    """
    if runs_on == "gpu":
        counters, state = nvml.energy_counters(library)
        rule = "the GPU's whole board, NVML's counter; the host is not in it"
        tried = [("nvml", state)]
    else:
        counters, state = rapl.energy_counters(root)
        rails = " + ".join(counter.rail for counter in counters)
        rule = f"{rails}, RAPL's counters: the processors, and memory where named"
        tried = [("rapl", state)]
    if counters:
        return EnergyMeter(counters, rule), None
    return None, _explain([*_jetson_sensors(root), *tried])


def _jetson_sensors(root: str) -> List[Tuple[str, SensorState]]:
    """Return the sensors that give power but have no energy counter."""
    return [("tegrastats", tegrastats.probe(root)), ("ina3221", ina3221.probe(root))]


def _explain(tried: List[Tuple[str, SensorState]]) -> str:
    lines = []
    for name, state in tried:
        said = state.reason or "has no energy counter, and this version does not sample power"
        lines.append(f"{name}: {said}" + (f" (fix: {state.fix})" if state.fix else ""))
    return "no sensor measured it: " + "; ".join(lines)
