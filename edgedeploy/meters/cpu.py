"""The processor from the outside: its name, its load and what sets its clock.

Cores and instructions are in `edgedeploy.runtime.cpu`, which the runtime needs too.
Source: Linux, Documentation/admin-guide/pm/cpufreq.rst and proc(5).
"""

import re
from typing import NamedTuple, Optional

from .sysfs import join, list_folder, read_text

_FOLDER = "sys/devices/system/cpu"
_CPU = re.compile(r"cpu\d{1,6}", re.ASCII)
_MODEL = re.compile(r"^(?:model name|Model|Hardware)[ \t]*:[ \t]*(\S.*)$", re.MULTILINE)
_LOAD = re.compile(r"(\d{1,9}\.\d{1,9})\s", re.ASCII)


class Cpu(NamedTuple):
    """What a processor is.

    Attributes:
        model: As the vendor calls it; ``"unknown processor"`` if nothing says it.
        governor: Of the clock, see `governor`.
    """

    model: str
    governor: Optional[str]


def read(root: str = "/") -> Cpu:
    """Return what the processor is.

    Args:
        root: Where the file system starts.
    """
    model = _MODEL.search(read_text(join(root, "proc/cpuinfo")) or "")
    return Cpu(model.group(1).strip() if model else "unknown processor", governor(root))


def load_average(root: str = "/") -> Optional[float]:
    """Return how many processes wanted to run during the last minute; None if not known."""
    load = _LOAD.match((read_text(join(root, "proc/loadavg")) or "") + " ")
    return float(load.group(1)) if load else None


def governor(root: str = "/") -> Optional[str]:
    """Return what sets the clock of the CPUs, e.g. ``"schedutil"``.

    Several are joined by ``", "``; None where the system does not tell, as in virtual machines.
    """
    folder = join(root, _FOLDER)
    cpus = [name for name in list_folder(folder) if _CPU.fullmatch(name)]
    paths = [join(folder, cpu, "cpufreq/scaling_governor") for cpu in cpus]
    return ", ".join(sorted({text for text in map(read_text, paths) if text})) or None
