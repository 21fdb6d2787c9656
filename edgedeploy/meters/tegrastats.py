"""Reading what NVIDIA's ``tegrastats`` prints, on every Jetson from the TK1 to Thor.

A line is one record: fields in an order that changes between releases, any of which may be absent
(many need root). So each kind of field is looked for by its own form, and nothing else counts.
"""

import os
import re
from functools import lru_cache
from typing import Dict, NamedTuple, Optional, Tuple

from ..runtime.errors import FileError
from . import rails
from .sysfs import SensorState, join

ABSENT = "no program called tegrastats: it comes with Jetson Linux"

_SHOWN = 60  # characters of a bad line that an error repeats

# Each pattern starts with a literal character, which the regular-expression engine finds quickly.
_RAM = re.compile(r"RAM (\d{1,9})/(\d{1,9})MB", re.ASCII)
_STAMP = re.compile(r"-\d{4} \d\d:\d\d:\d\d\b", re.ASCII)  # of "04-27-2026 14:59:41"
_STAMP_OFFSET = len("04-27")
_SWAP = re.compile(r"SWAP (\d{1,9})/(\d{1,9})MB", re.ASCII)
# "[5%@1224,off]", "[39%,off]@1734"; the closing bracket may have been cut off
_CORES = re.compile(r"\[((?:\d{1,3}%|off\b)[\d%@,of]*)(\])?(?:@(-?\d{1,9}))?", re.ASCII)
_CORE = re.compile(r"(?:(\d{1,3})%)?(?:@(\d{1,9}))?", re.ASCII)
# of the GPU: "GR3D_FREQ 62%@306", "GR3D 80%@153", "GR3D_FREQ @[314,314,314]", "GR3D_FREQ @0"
_GPU = re.compile(r"GR3D(?:_FREQ)? (?:(\d{1,3})%)?(?:@\[?(\d{1,9}(?:,\d{1,9})*))?", re.ASCII)
# " CPU@43.5C", and of rails the current column, which is the first: " POM_5V_IN 900/943",
# " VDD_IN 5542mW/5542mW", " VDD_GPU -392mW/-392mW", three columns from L4T 39. Memory looks like
# a rail up to its unit, which may have been cut off.
_READING = re.compile(
    r" ([A-Za-z][\w.-]*)"
    r"(?:@(-?\d{1,6}(?:\.\d{1,9})?)C| (-?\d{1,9})(?:(?:mW)?/(?!\d+[kMG]B)|mW\b))",
    re.ASCII,
)
_MEMORY = ("RAM", "SWAP", "IRAM")
_MESS = ("  ", "\\", '"', "*")
_MARKUP = str.maketrans(dict.fromkeys('\\"*\r\n\t\0', " "))

# What a zone prints that measures nothing: constants of the PMIC and charger drivers.
_CONSTANTS = {50.0: "pmic", 100.0: "pmic", 115.0: "charger"}
_COLDEST_C = -100.0  # a zone that is powered off prints -256


class TegraSample(NamedTuple):
    """One record. What the line does not print is None or absent, never 0.

    Attributes:
        ram_used_mb: MiB in use, the GPU's share included; None if that end of the line was lost.
        ram_total_mb: MiB that Linux has.
        rails_mw: Milliwatts by rail, the current column; may be negative near zero.
        temperatures_c: Degrees Celsius by zone, without the zones that measure nothing.
        gpu_load_pct: 0 to 100, or None: Thor prints clocks only, and some releases need root.
        cpu_load_pct: 0 to 100 by core; None for a core that is off.
        swap_used_mb: MiB in use; None where no swap is configured.
        swap_total_mb: MiB of swap.
        cpu_clocks_mhz: By core; None for a core that is off, or without a clock.
        gpu_clocks_mhz: By graphics cluster; empty where not printed.
    """

    ram_used_mb: Optional[int]
    ram_total_mb: Optional[int]
    rails_mw: Dict[str, int]
    temperatures_c: Dict[str, float]
    gpu_load_pct: Optional[float]
    cpu_load_pct: Tuple[Optional[float], ...]
    swap_used_mb: Optional[int] = None
    swap_total_mb: Optional[int] = None
    cpu_clocks_mhz: Tuple[Optional[int], ...] = ()
    gpu_clocks_mhz: Tuple[int, ...] = ()


def parse_line(text: str) -> TegraSample:
    """Read the last record in ``text``.

    Args:
        text: Usually one line. Line breaks inside a record, another logger's prefix, several
            records with the breaks between them lost, and a record cut at either end are read too.

    Raises:
        FileError: There is no record in it.

    Example:
        >>> sample = parse_line("RAM 613/3964MB CPU [2%@102,off] GR3D_FREQ 7% POM_5V_IN 900/943")
        >>> sample.rails_mw, sample.gpu_load_pct, sample.cpu_load_pct
        ({'POM_5V_IN': 900}, 7.0, (2.0, None))
    """
    clean = " " + text.strip()
    if not clean.isprintable() or any(mess in clean for mess in _MESS):
        clean = " " + " ".join(clean.translate(_MARKUP).split())
    starts = [match.start() for match in _RAM.finditer(clean)]
    starts += [match.start() - _STAMP_OFFSET for match in _STAMP.finditer(clean)]
    end = len(clean)
    for start in sorted({0, *starts}, reverse=True):
        sample = _parse_record(clean[max(start, 0) : end])
        if sample is not None:
            return sample
        end = start
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    raise FileError(
        f"{shown!r} holds no tegrastats record",
        fix="pass a line as tegrastats prints it: RAM 613/3964MB … CPU [2%@102,…] …",
    )


def module_power_mw(sample: TegraSample, board: str) -> Optional[int]:
    """Return the power of the whole module in mW; None if its rails are not in the sample.

    Args:
        sample: From `parse_line`.
        board: A device name, with or without ``jetson-``; `rails.module_power` also says which
            rails were added.

    Raises:
        UnknownNameError: No such board.
    """
    power = rails.module_power(sample.rails_mw, board)
    return None if power is None else power.milliwatts


def find(root: str = "/", path: Optional[str] = None) -> Optional[str]:
    """Return the path of the ``tegrastats`` program; None if it is not here.

    Args:
        root: Where the file system starts.
        path: Folders to search, separated as in ``$PATH``, which is the default.
    """
    folders = (os.environ.get("PATH", "") if path is None else path).split(os.pathsep)
    for folder in filter(None, folders):
        program = join(root, folder, "tegrastats")
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    return None


def probe(root: str = "/", path: Optional[str] = None) -> SensorState:
    """Return whether the ``tegrastats`` program is here.

    Args:
        root: Where the file system starts.
        path: As for `find`.
    """
    if find(root, path) is not None:
        return SensorState(available=True)
    return SensorState(available=False, reason=ABSENT)


def _parse_record(record: str) -> Optional[TegraSample]:
    """Read one record; None if ``record`` is none: no memory, and fewer than two other fields."""
    memory = _RAM.search(record)
    swap = _SWAP.search(record)
    cores = _CORES.search(record)
    gpu = _GPU.search(record)
    rails_mw, temperatures_c = _parse_readings(record)
    others = (cores is not None) + (gpu is not None) + len(rails_mw) + len(temperatures_c)
    if memory is None and others < 2:
        return None
    loads, clocks = _parse_cores(*cores.groups()) if cores else ((), ())
    load, gpu_clocks = gpu.groups() if gpu else (None, None)
    return TegraSample(
        ram_used_mb=int(memory.group(1)) if memory else None,
        ram_total_mb=int(memory.group(2)) if memory else None,
        rails_mw=rails_mw,
        temperatures_c=temperatures_c,
        gpu_load_pct=None if load is None else float(load),
        cpu_load_pct=loads,
        swap_used_mb=int(swap.group(1)) if swap else None,
        swap_total_mb=int(swap.group(2)) if swap else None,
        cpu_clocks_mhz=clocks,
        gpu_clocks_mhz=tuple(map(int, gpu_clocks.split(","))) if gpu_clocks else (),
    )


def _parse_readings(record: str) -> Tuple[Dict[str, int], Dict[str, float]]:
    """Return milliwatts by rail, and degrees by zone without those that measure nothing."""
    rails_mw = {}
    temperatures_c = {}
    for name, degrees, milliwatts in _READING.findall(record):
        if milliwatts:
            if name not in _MEMORY:
                rails_mw[name] = int(milliwatts)
            continue
        celsius = float(degrees)
        is_constant = celsius in _CONSTANTS and _CONSTANTS[celsius] == name.lower()
        if celsius > _COLDEST_C and not is_constant:
            temperatures_c[name] = celsius
    return rails_mw, temperatures_c


def _parse_cores(
    cores: str, closed: Optional[str], shared_clock: Optional[str]
) -> Tuple[Tuple[Optional[float], ...], Tuple[Optional[int], ...]]:
    """Return load and clock by core. Until L4T 28 one clock, possibly -1, stands for all."""
    items = [_parse_core(core) for core in cores.split(",")]
    if not closed and items[-1][0] is None:
        items.pop()  # cut in the middle: whether that core was off is lost
    loads = tuple([load for load, _ in items])
    if shared_clock is None:
        return loads, tuple([clock for _, clock in items])
    everyone = int(shared_clock) if shared_clock[0] != "-" else None
    return loads, tuple([None if load is None else everyone for load, _ in items])


@lru_cache(maxsize=4096)
def _parse_core(core: str) -> Tuple[Optional[float], Optional[int]]:
    """Return load and clock of ``"5%@1224"``; cores mostly repeat what one just did."""
    load, clock = _CORE.match(core).groups()  # type: ignore[union-attr]  # it may match nothing
    return float(load) if load else None, int(clock) if clock else None
