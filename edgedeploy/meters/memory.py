"""How much memory is free, and how much swap stands behind it.

On a Jetson CPU and GPU share this memory, and what the GPU uses cannot be swapped out. Swap on zram
is memory too: it is counted apart. Source: proc(5), meminfo and swaps.
"""

import re
from typing import NamedTuple, Optional

from .sysfs import join, read_text

_LINE = re.compile(r"^(MemTotal|MemAvailable):\s+(\d{1,15}) kB$", re.ASCII | re.MULTILINE)
_SWAP = re.compile(r"^(/\S*)\s+\w+\s+(\d{1,15})\s+(\d{1,15})\s", re.ASCII | re.MULTILINE)
_ZRAM = re.compile(r"^/(?:dev/)?zram")


class Memory(NamedTuple):
    """The memory of a machine, in MiB.

    Attributes:
        total_mb: What Linux has; less than the module is sold with.
        available_mb: What a new process can get without swapping.
        swap_free_mb: Free swap on a disk or card.
        zram_free_mb: Free swap that is compressed memory.
    """

    total_mb: int
    available_mb: int
    swap_free_mb: int = 0
    zram_free_mb: int = 0


def read(root: str = "/") -> Optional[Memory]:
    """Return the memory of this machine; None where the kernel does not tell.

    Args:
        root: Where the file system starts.
    """
    text = read_text(join(root, "proc/meminfo")) or ""
    sizes = {name: int(number) // 1024 for name, number in _LINE.findall(text)}
    if len(sizes) < 2:
        return None
    disk = zram = 0
    for name, size, used in _SWAP.findall((read_text(join(root, "proc/swaps")) or "") + "\n"):
        free = max(0, int(size) - int(used)) // 1024
        if _ZRAM.match(name):
            zram += free
        else:
            disk += free
    return Memory(sizes["MemTotal"], sizes["MemAvailable"], disk, zram)
