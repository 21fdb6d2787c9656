"""The processor: its name, its instructions, its load and what sets its clock.

Its cores are counted in `edgedeploy.runtime.cpu`, which the runtime needs too.
Source: Linux, Documentation/admin-guide/pm/cpufreq.rst and proc(5).
"""

import re
from typing import FrozenSet, NamedTuple, Optional

from .sysfs import join, list_folder, read_text

_FOLDER = "sys/devices/system/cpu"
_CPU = re.compile(r"cpu\d{1,6}", re.ASCII)
_MODEL = re.compile(r"^(?:model name|Model|Hardware)[ \t]*:[ \t]*(\S.*)$", re.MULTILINE)
_X86_FLAGS = re.compile(r"^flags[ \t]*:(.*)$", re.MULTILINE)
# Any of these multiplies uint8 by int8 into a 32-bit sum; without them x86 sums pairs in 16 bits
# (vpmaddubsw), which saturates.
_EXACT_X86 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_LOAD = re.compile(r"(\d{1,9}\.\d{1,9})\s", re.ASCII)


class Cpu(NamedTuple):
    """What a processor is.

    Attributes:
        model: As the vendor calls it; ``"unknown processor"`` if nothing says it.
        governor: Of the clock, see `governor`.
        x86_flags: Instruction sets as Linux calls them; empty on other processors.
    """

    model: str
    governor: Optional[str]
    x86_flags: FrozenSet[str] = frozenset()

    @property
    def multiplies_bytes_exactly(self) -> bool:
        """Whether sums of uint8 × int8 products keep every bit; true of all but some x86."""
        return not self.x86_flags or bool(self.x86_flags & _EXACT_X86)


def read(root: str = "/") -> Cpu:
    """Return what the processor is.

    Args:
        root: Where the file system starts.
    """
    text = read_text(join(root, "proc/cpuinfo")) or ""
    model, flags = _MODEL.search(text), _X86_FLAGS.search(text)
    return Cpu(
        model=model.group(1).strip() if model else "unknown processor",
        governor=governor(root),
        x86_flags=frozenset(flags.group(1).split()) if flags else frozenset(),
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
    cpus = [name for name in list_folder(folder) if _CPU.fullmatch(name)]
    paths = [join(folder, cpu, "cpufreq/scaling_governor") for cpu in cpus]
    return ", ".join(sorted({text for text in map(read_text, paths) if text})) or None
