"""The processor: physical cores, instructions, load, governor, from /proc and /sys.

Source: Linux, Documentation/admin-guide/cputopology.rst and cpu-freq.
"""

import re
from typing import FrozenSet, Iterable, List, NamedTuple, Optional, Set, Tuple

from .sysfs import join, list_folder, read_int, read_text

_FOLDER = "sys/devices/system/cpu"
_CPU = re.compile(r"cpu(\d{1,6})", re.ASCII)
_FLAGS = re.compile(r"^(?:flags|Features)\s*:(.*)$", re.MULTILINE)
_MODEL = re.compile(r"^(?:model name|Model|Hardware)\s*:(.*)$", re.MULTILINE)
_CPUINFO_LIMIT = 1 << 22  # bytes; about 1.5 kB by core

# x86: products of 8-bit numbers are summed in 32 bits. Without them u8×s8 pairs are summed in 16
# bits, which saturates. ARM: the same instructions by their names there.
_INT8_DOT = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


class Cpu(NamedTuple):
    """What a processor is.

    Attributes:
        model: As the vendor calls it; ``"unknown processor"`` if nothing says it.
        physical_cores: Cores, not threads, that are online.
        flags: Instruction sets, as /proc/cpuinfo calls them.
        governor: Of the clock, e.g. ``"schedutil"``; several are joined by ``", "``; None where
            the system does not tell, as in most virtual machines.
    """

    model: str
    physical_cores: int
    flags: FrozenSet[str]
    governor: Optional[str]

    @property
    def has_int8_dot(self) -> bool:
        """Whether 8-bit products are summed without saturating."""
        return bool(self.flags & _INT8_DOT)


def read(root: str = "/") -> Cpu:
    """Return what the processor is.

    Args:
        root: Where the file system starts.
    """
    cpuinfo = read_text(join(root, "proc/cpuinfo"), _CPUINFO_LIMIT) or ""
    flags = _FLAGS.search(cpuinfo)
    model = _MODEL.search(cpuinfo)
    return Cpu(
        model=(model.group(1).strip() if model else "") or "unknown processor",
        physical_cores=physical_cores(root),
        flags=frozenset(flags.group(1).split()) if flags else frozenset(),
        governor=governor(root),
    )


def physical_cores(root: str = "/", allowed: Optional[Iterable[int]] = None) -> int:
    """Return the number of cores, counting the threads of one core once; at least 1.

    Args:
        root: Where the file system starts.
        allowed: CPU numbers to count, e.g. ``os.sched_getaffinity(0)``; None counts all.
    """
    wanted = None if allowed is None else frozenset(allowed)
    cores: Set[Tuple[object, ...]] = set()
    for number in _cpus(root):
        if wanted is not None and number not in wanted:
            continue
        if read_int(join(root, _FOLDER, f"cpu{number}", "online")) == 0:
            continue
        topology = join(root, _FOLDER, f"cpu{number}", "topology")
        core = read_int(join(topology, "core_id"))
        package = read_int(join(topology, "physical_package_id"))
        # ARM numbers the cores of each cluster from 0
        cluster = read_int(join(topology, "cluster_id"))
        cores.add(("cpu", number) if core is None else (package, cluster, core))
    return max(1, len(cores) or len(wanted or ()))


def load_average(root: str = "/") -> Optional[float]:
    """Return how many processes wanted to run during the last minute; None if not known."""
    first = (read_text(join(root, "proc/loadavg")) or "").split(" ")[0]
    return float(first) if re.fullmatch(r"\d{1,9}\.\d{1,9}", first, re.ASCII) else None


def governor(root: str = "/") -> Optional[str]:
    """Return what sets the clock of the CPUs; several are joined by ``", "``, None if not known."""
    paths = [join(root, _FOLDER, f"cpu{n}", "cpufreq/scaling_governor") for n in _cpus(root)]
    return ", ".join(sorted({text for text in map(read_text, paths) if text})) or None


def _cpus(root: str) -> List[int]:
    matches = (_CPU.fullmatch(name) for name in list_folder(join(root, _FOLDER)))
    return sorted(int(match.group(1)) for match in matches if match)
