"""RAPL, the energy counters of Intel and AMD processors, through Linux's powercap.

Counted are the packages and the memory beside them. ``core`` and ``uncore`` are inside their
package and ``psys`` contains everything, so neither is added; ``intel-rapl-mmio`` shows the
packages of ``intel-rapl`` a second time, so one name counts once. Some kernels show the one counter
of a package once for each of its dies: dies whose counters are the same count once.

Source: Linux, Documentation/power/powercap/powercap.rst and
Documentation/ABI/testing/sysfs-class-powercap.
"""

import re
from functools import partial
from typing import Dict, List, NamedTuple, Optional, Tuple

from .counters import Counter
from .sysfs import SensorState, is_forbidden, join, list_folder, read_int, read_text

FOLDER = "sys/class/powercap"
# "intel-rapl:0" is a package (or psys), "intel-rapl:0:1" a part of it.
_ZONE = re.compile(r"(intel-rapl|intel-rapl-mmio):(\d+)(:\d+)?", re.ASCII)
_PACKAGE = re.compile(r"package-\d+(-die-\d+)?", re.ASCII)
_DIE = re.compile(r"(package-\d+)-die-\d+", re.ASCII)


class _Zone(NamedTuple):
    rail: str
    path: str


def probe(root: str = "/") -> SensorState:
    """Return whether RAPL can be read here."""
    return energy_counters(root)[1]


def energy_counters(root: str = "/") -> Tuple[List[Counter], SensorState]:
    """Return the counters whose sum is the energy of the processors, or none and why.

    Args:
        root: Where the file system starts.
    """
    zones = _without_mirrors(_find_zones(root))
    if not zones:
        return [], SensorState(
            available=False,
            reason="this kernel shows no RAPL package in /sys/class/powercap: the processor has "
            "no RAPL, or this is a virtual machine or a container that hides it",
        )
    counters = []
    for zone in zones:
        path = join(zone.path, "energy_uj")
        if is_forbidden(path):
            return [], SensorState(
                available=False,
                reason=f"RAPL is here, but /{FOLDER}/*/energy_uj may be read by root only",
                fix="sudo chmod -R a+r /sys/class/powercap/intel-rapl:*/  (until the next start of "
                "the machine; any user can then watch power, see CVE-2020-8694), or run as root",
            )
        if read_int(path) is None:
            reason = f"RAPL's counter {zone.rail} holds no number"
            return [], SensorState(available=False, reason=reason)
        range_uj = read_int(join(zone.path, "max_energy_range_uj"))
        counters.append(Counter(zone.rail, partial(read_int, path), range_uj or None))
    return counters, SensorState(available=True)


def _find_zones(root: str) -> List[_Zone]:
    """Return packages and their memory, each name once; MSR before MMIO, in order of number."""
    folder = join(root, FOLDER)
    found: Dict[str, _Zone] = {}
    parents: Dict[str, str] = {}
    names = [name for name in list_folder(folder) if _ZONE.fullmatch(name)]
    for name in sorted(names, key=lambda n: ("mmio" in n, n.count(":"), n)):
        path = join(folder, name)
        label = read_text(join(path, "name")) or ""
        parent = parents.get(name.rpartition(":")[0])
        if _PACKAGE.fullmatch(label):
            parents[name] = label
            found.setdefault(label, _Zone(label, path))
        elif label == "dram" and parent is not None:
            rail = f"{parent}/dram"
            found.setdefault(rail, _Zone(rail, path))
    return sorted(found.values())


def _without_mirrors(zones: List[_Zone]) -> List[_Zone]:
    """Return the zones without the dies, and their memory, that show another die's counter."""
    firsts: Dict[str, _Zone] = {}
    mirrors = set()
    for zone in zones:
        die = _DIE.fullmatch(zone.rail)
        first = firsts.setdefault(die.group(1), zone) if die else zone
        if first is not zone and _is_mirror(first, zone):
            mirrors.add(zone.rail)
    return [zone for zone in zones if zone.rail.partition("/")[0] not in mirrors]


def _is_mirror(first: _Zone, other: _Zone) -> bool:
    """Return whether two counters are one: what one says lies between two readings of the other.

    The two are microseconds apart, in which a counter moves once at most; counters of their own
    that have run since the machine's start do not meet so closely.
    """
    readings: List[Optional[int]] = [
        read_int(join(zone.path, "energy_uj")) for zone in (first, other, first)
    ]
    before, between, after = readings
    if before is None or between is None or after is None:
        return False
    return before <= between <= after
