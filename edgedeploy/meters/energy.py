"""Which sensor measures the energy of a run here, or why there is none.

A board's own monitors see all of its module, so they come first. Elsewhere a counter that only
goes up is better than samples; a battery comes last.
"""

from typing import Any, List, NamedTuple, Optional, Tuple

from . import battery, ina3221, nvml, rails, rapl, tegrastats
from .counters import EnergyMeter
from .sources import SOURCES, Source
from .sysfs import SensorState

_RAPL_PERIOD_S = 0.001
_NVML_PERIOD_S = 0.1


class Counted(NamedTuple):
    """Counters that are read at both ends of a window.

    Attributes:
        name: For records.
        meter: Reads them.
        period_s: Between two updates of a counter: what each end may be late by.
    """

    name: str
    meter: EnergyMeter
    period_s: float


class Choice(NamedTuple):
    """The sensor to use: one of the first two, or a reason for neither.

    Attributes:
        counted: Counters.
        sampled: A sensor that is asked again and again.
        reason: Why there is neither, sensor by sensor.
    """

    counted: Optional[Counted] = None
    sampled: Optional[Source] = None
    reason: Optional[str] = None


def choose(
    root: str = "/", runs_on: str = "cpu", board: str = "local", library: Any = None
) -> Choice:
    """Return the sensor of what does the work.

    A GPU's counter says nothing about a network that runs on the CPU, so it is not used for it.

    Args:
        root: Where the file system starts.
        runs_on: ``"cpu"``, or ``"gpu"`` for a discrete NVIDIA GPU or that of a Jetson.
        board: A device name, for the rule of its rails.
        library: The module pynvml; None imports it.

    Example:
        >>> choose("/no/such/folder").reason.startswith("no sensor")
        True
    """
    if rails.total(ina3221.read_rails_mw(root), board) is not None:
        return Choice(sampled=SOURCES["ina3221"])
    if rails.has_none(board):
        none = SensorState(available=False, reason=f"a {board} has no power sensor")
        return _choose_elsewhere(root, runs_on, library, [("module", none)])
    program = tegrastats.probe(root)
    if program.available:
        return Choice(sampled=SOURCES["tegrastats"])
    tried = [("ina3221", ina3221.probe(root)), ("tegrastats", program)]
    return _choose_elsewhere(root, runs_on, library, tried)


def _choose_elsewhere(
    root: str, runs_on: str, library: Any, tried: List[Tuple[str, SensorState]]
) -> Choice:
    if runs_on == "gpu":
        counters, state = nvml.energy_counters(library)
        rule = "the GPU's whole board, NVML's counter; the host is not in it"
        if counters:
            return Choice(Counted("nvml", EnergyMeter(counters, rule), _NVML_PERIOD_S))
        if nvml.probe(library).available:
            return Choice(sampled=SOURCES["nvml"])
        tried.append(("nvml", state))
    else:
        counters, state = rapl.energy_counters(root)
        if counters:
            names = " + ".join(counter.rail for counter in counters)
            rule = f"{names}, RAPL's counters: the processors, and memory where named"
            return Choice(Counted("rapl", EnergyMeter(counters, rule), _RAPL_PERIOD_S))
        tried.append(("rapl", state))
    state = battery.probe(root)
    if state.available:
        return Choice(sampled=SOURCES["battery"])
    return Choice(reason=_explain([*tried, ("battery", state)]))


def _explain(tried: List[Tuple[str, SensorState]]) -> str:
    lines = []
    for name, state in tried:
        said = state.reason or "it does not give the rails that the module's power needs"
        lines.append(f"{name}: {said}" + (f" (fix: {state.fix})" if state.fix else ""))
    return "no sensor measured it: " + "; ".join(lines)
