"""What the runtime needs to know of the processor."""

import os
import re
from typing import FrozenSet, Iterable, Set

CPUINFO = "/proc/cpuinfo"
_CPUS = "/sys/devices/system/cpu"
_X86_FLAGS = re.compile(r"^flags[ \t]*:(.*)$", re.MULTILINE)
# Any of these multiplies uint8 by int8 into a 32-bit sum; without them x86 sums pairs in 16 bits
# (vpmaddubsw), which saturates.
_EXACT_X86 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def x86_flags(path: str = CPUINFO) -> FrozenSet[str]:
    """Return instruction sets as Linux calls them; empty on other processors and other systems.

    Source: proc(5); arch/x86/include/asm/cpufeatures.h.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = _X86_FLAGS.search(file.read())
    except OSError:  # not Linux
        return frozenset()
    return frozenset(found.group(1).split()) if found else frozenset()


def multiplies_bytes_exactly(flags: FrozenSet[str]) -> bool:
    """Return whether sums of uint8 × int8 products keep every bit; true of all but some x86.

    Args:
        flags: Of `x86_flags`; nothing is claimed of a processor without any.
    """
    return not flags or bool(flags & _EXACT_X86)


def physical_cores(root: str = _CPUS) -> int:
    """Return how many physical cores this process may use, at least 1.

    Two hyper-threads of a core count once; cores outside the process's affinity do not count.
    """
    try:
        allowed: Iterable[int] = os.sched_getaffinity(0)
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
    cores: Set[str] = set()
    for cpu in allowed:
        try:
            with open(f"{root}/cpu{cpu}/topology/thread_siblings_list", encoding="ascii") as file:
                cores.add(file.read().strip())
        except OSError:  # a container or an old kernel hides it
            cores.add(str(cpu))
    return max(len(cores), 1)
