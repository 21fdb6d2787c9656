"""What holds a processor back: heat, current, and the counters that tell of it.

Source: Linux, Documentation/admin-guide/thermal/intel_powerclamp.rst,
arch/x86/kernel/cpu/mce/therm_throt.c, Documentation/driver-api/thermal/sysfs-api.rst; NVIDIA,
Jetson Linux Developer Guide, "Over-Current Event Counters" (soctherm's hwmon).
"""

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from .sysfs import join, list_folder, read_int, read_text

_CPUS = "sys/devices/system/cpu"
_THERMAL = "sys/class/thermal"
_HWMON = "sys/class/hwmon"
_CPU = re.compile(r"cpu\d{1,6}", re.ASCII)
_OVER_CURRENT = re.compile(r"(oc\d{1,3})_event_cnt", re.ASCII)
_ZONE = re.compile(r"thermal_zone\d{1,4}", re.ASCII)
_COOLER = re.compile(r"cooling_device\d{1,4}", re.ASCII)
_LABEL = re.compile(r"[\x20-\x7e]+")
_TRIP = re.compile(r"trip_point_(\d{1,3})_type", re.ASCII)
# Fans, displays and alerts are cooling devices too; these ones slow a processor down.
_SLOWING = re.compile(
    r"cpufreq|devfreq|^processor$|powerclamp|(cpu|gpu|cv|soc)\d?-throttle|"
    r"(cpu|gpu|emergency)-balanced|tegra-heavy|hard-throttle",
    re.IGNORECASE | re.ASCII,
)
_SLOWING_TRIPS = ("passive", "hot", "critical")
# A zone or trip point outside of these is off or not set; 0 °C is what firmware leaves unset.
_COLDEST_C, _HOTTEST_C = -50.0, 200.0


class Zone(NamedTuple):
    """One thermal zone.

    Attributes:
        celsius: Its temperature.
        trip_c: The lowest temperature at which the system slows down or stops; None if not told.
    """

    celsius: float
    trip_c: Optional[float]


def counters(root: str = "/") -> Dict[str, int]:
    """Return the counts of throttling since the start of the machine, by what counted.

    ``core`` and ``package`` are Intel's, of the CPU that counted most; ``oc1``, ``oc2``, … a
    Jetson's over-current events. What is not counted here is absent.

    Args:
        root: Where the file system starts.
    """
    found = {}
    for kind in ("core", "package"):
        paths = [
            join(root, _CPUS, name, "thermal_throttle", kind + "_throttle_count")
            for name in list_folder(join(root, _CPUS))
            if _CPU.fullmatch(name)
        ]
        # hyper-threads and packages count for several CPUs: the largest, not the sum
        counts = [count for count in map(read_int, paths) if count is not None and count >= 0]
        if counts:
            found[kind] = max(counts)
    found.update(_over_current(root))
    return found


def find_coolers(root: str = "/") -> List[Tuple[str, str]]:
    """Return the type and the path of each device that cools by slowing down.

    Args:
        root: Where the file system starts.
    """
    folder = join(root, _THERMAL)
    paths = [join(folder, name) for name in list_folder(folder) if _COOLER.fullmatch(name)]
    found = [(_label(path) or "", path) for path in paths]
    return [(kind, path) for kind, path in found if _SLOWING.search(kind)]


def states(coolers: List[Tuple[str, str]]) -> Dict[str, int]:
    """Return how far devices are on, by type; 0 is off. Of several of one type the most.

    Args:
        coolers: From `find_coolers`.
    """
    found = {}  # type: Dict[str, int]
    for kind, path in coolers:
        state = read_int(join(path, "cur_state"))
        if state is not None and state >= 0:
            found[kind] = max(state, found.get(kind, 0))
    return found


def zones(root: str = "/") -> Dict[str, Zone]:
    """Return the thermal zones by their type; of two with one type the hotter.

    Args:
        root: Where the file system starts.
    """
    folder = join(root, _THERMAL)
    found = {}  # type: Dict[str, Zone]
    for name in list_folder(folder):
        if not _ZONE.fullmatch(name):
            continue
        path = join(folder, name)
        kind = _label(path) or name
        celsius = _celsius(join(path, "temp"))
        if celsius is not None and (kind not in found or found[kind].celsius < celsius):
            found[kind] = Zone(celsius, _lowest_trip_c(path))
    return found


def counted(before: Dict[str, int], after: Dict[str, int]) -> Dict[str, Tuple[int, int]]:
    """Return the counters that rose, each with its first and last count."""
    return {
        name: (before[name], count)
        for name, count in after.items()
        if name in before and count > before[name]
    }


def _over_current(root: str) -> Dict[str, int]:
    folder = join(root, _HWMON)
    found = {}  # type: Dict[str, int]
    for chip in list_folder(folder):
        for name in list_folder(join(folder, chip)):
            match = _OVER_CURRENT.fullmatch(name)
            count = read_int(join(folder, chip, name)) if match else None
            if match and count is not None and count >= 0:
                found[match.group(1)] = found.get(match.group(1), 0) + count
    return found


def _lowest_trip_c(path: str) -> Optional[float]:
    trips = []
    for name in list_folder(path):
        match = _TRIP.fullmatch(name)
        if match and read_text(join(path, name), limit=64) in _SLOWING_TRIPS:
            trips.append(_celsius(join(path, "trip_point_" + match.group(1) + "_temp")))
    return min((trip for trip in trips if trip is not None and trip > 0), default=None)


def _label(path: str) -> Optional[str]:
    """Return the type of a zone or cooler, which ends up in a sentence; None if it is no name."""
    text = read_text(join(path, "type"), limit=64)
    return text if text and _LABEL.fullmatch(text) else None


def _celsius(path: str) -> Optional[float]:
    value = read_int(path)
    if value is None or not _COLDEST_C < value / 1e3 < _HOTTEST_C:
        return None
    return value / 1e3
