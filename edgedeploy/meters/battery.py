"""The battery of a laptop or robot, which knows what the whole computer draws while it discharges.

Source: Linux, Documentation/ABI/testing/sysfs-class-power: microwatts, or microvolts and
microamperes (negative on some when discharging). The gauge averages over seconds.
"""

from typing import List, Optional, Tuple

from .counters import monotonic_ns
from .sampling import Reader, Sample
from .sysfs import SensorState, join, list_folder, read_int, read_text

_FOLDER = "sys/class/power_supply"
_DISCHARGING = "Discharging"


def probe(root: str = "/") -> SensorState:
    """Return whether a battery tells what this computer draws, now.

    Args:
        root: Where the file system starts.
    """
    folders = _batteries(root)
    if not folders:
        return SensorState(available=False, reason="there is no battery")
    if not any(_is_discharging(folder) for folder in folders):
        return SensorState(
            available=False,
            reason="the battery is not discharging, so it does not know what the computer draws",
            fix="unplug the charger",
        )
    if _read_mw(folders) is None:
        return SensorState(available=False, reason="the battery's gauge does not tell its power")
    return SensorState(available=True)


def open_reader(root: str = "/") -> Tuple[Optional[Reader], Optional[str]]:
    """Return a reader and None, or None and why there is none.

    Args:
        root: Where the file system starts.
    """
    state = probe(root)
    return (_Gauge(_batteries(root)), None) if state.available else (None, state.reason)


class _Gauge(Reader):
    def __init__(self, folders: List[str]) -> None:
        self._folders = folders

    def read(self) -> List[Sample]:
        """Return the power now."""
        if not any(_is_discharging(folder) for folder in self._folders):
            self.ended = "the battery stopped discharging"
            return []
        milliwatts = _read_mw(self._folders)
        return [] if milliwatts is None else [Sample(monotonic_ns(), {"battery": milliwatts})]


def _batteries(root: str) -> List[str]:
    """Return the folders of the computer's own batteries; those of mice and pens are not."""
    folder = join(root, _FOLDER)
    found = [join(folder, name) for name in list_folder(folder)]
    return [
        path
        for path in found
        if read_text(join(path, "type")) == "Battery" and read_text(join(path, "scope")) != "Device"
    ]


def _is_discharging(folder: str) -> bool:
    return read_text(join(folder, "status")) == _DISCHARGING


def _read_mw(folders: List[str]) -> Optional[int]:
    """Return what the discharging batteries give together; None if one does not tell."""
    total_uw = 0
    for folder in filter(_is_discharging, folders):
        microwatts = read_int(join(folder, "power_now"))
        if microwatts is None:
            volts, amperes = (read_int(join(folder, f"{of}_now")) for of in ("voltage", "current"))
            if volts is None or amperes is None:
                return None
            microwatts = volts * amperes // 10**6
        total_uw += abs(microwatts)
    return round(total_uw / 1000)
