"""The processor: its name, its instructions, its load and what sets its clock.

Its cores and instructions are read in `edgedeploy.runtime.cpu`, which needs them too.
Source: Linux, Documentation/admin-guide/pm/cpufreq.rst, arch/arm64/elf_hwcaps.rst and proc(5).
"""

import re
from typing import FrozenSet, NamedTuple, Optional

from ..runtime import cpu
from .sysfs import join, list_folder, read_text

_FOLDER = "sys/devices/system/cpu"
_CPU = re.compile(r"cpu\d{1,6}", re.ASCII)
_MODEL = re.compile(r"^(?:model name|Model|Hardware)[ \t]*:[ \t]*(\S.*)$", re.MULTILINE)
_ARM_FEATURES = re.compile(r"^Features[ \t]*:(.*)$", re.MULTILINE)
_ARM = frozenset({"asimd", "neon"})  # some other processors have a line of that name too
_LOAD = re.compile(r"(\d{1,9}\.\d{1,9})\s", re.ASCII)


class Cpu(NamedTuple):
    """What a processor is.

    Attributes:
        model: As the vendor calls it; ``"unknown processor"`` if nothing says it.
        governor: Of the clock, see `governor`.
        x86_flags: Instruction sets as Linux calls them; empty on other processors.
        arm_features: The same of Arm.
    """

    model: str
    governor: Optional[str]
    x86_flags: FrozenSet[str] = frozenset()
    arm_features: FrozenSet[str] = frozenset()

    @property
    def multiplies_bytes_exactly(self) -> bool:
        """Whether sums of uint8 × int8 products keep every bit; true of all but some x86."""
        return cpu.multiplies_bytes_exactly(self.x86_flags)


def read(root: str = "/") -> Cpu:
    """Return what the processor is.

    Args:
        root: Where the file system starts.
    """
    text = read_text(join(root, "proc/cpuinfo")) or ""
    model, arm = _MODEL.search(text), _ARM_FEATURES.search(text)
    features = frozenset(arm.group(1).split()) if arm else frozenset()
    return Cpu(
        model=model.group(1).strip() if model else "unknown processor",
        governor=governor(root),
        x86_flags=cpu.x86_flags(join(root, "proc/cpuinfo")),
        arm_features=features if features & _ARM else frozenset(),
    )


def load_average(root: str = "/") -> Optional[float]:
    """Return how many processes wanted to run during the last minute; None if not known."""
    load = _LOAD.match((read_text(join(root, "proc/loadavg")) or "") + " ")
    return float(load.group(1)) if load else None


def governor(root: str = "/") -> Optional[str]:
    """Return what sets the clock of the CPUs, e.g. ``"schedutil"``.

    Several are joined by ``", "``; None where the system does not tell, as in virtual machines.
    """
    folder = join(root, _FOLDER)
    names = [name for name in list_folder(folder) if _CPU.fullmatch(name)]
    paths = [join(folder, name, "cpufreq/scaling_governor") for name in names]
    return ", ".join(sorted({text for text in map(read_text, paths) if text})) or None
