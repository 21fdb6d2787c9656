"""How large an array must be that no cache holds it, by what Linux says of the processor."""

from __future__ import annotations

import re
from pathlib import Path

from edgedeploy.meters import sysfs

LARGEST = 4 << 30
"""Of one array, in bytes: a server of several sockets has caches of gigabytes."""

_ROOT = "/sys/devices/system/cpu"
_TIMES_CACHES = 4  # STREAM: each array at least four times all last-level caches that are used
_SMALLEST = 64 << 20
_SIZE = re.compile(r"(\d{1,9})([KMG]?)")


def array_beyond(threads: int, root: str = _ROOT) -> int:
    """Return the size of an array that no cache holds, from 64 MiB to `LARGEST`.

    It is four times the last-level caches that so many threads can use: as many of them as there
    are threads, the largest.

    Args:
        threads: That move it; the system may put each of them beside another cache.
        root: Where Linux describes processors.

    Source: STREAM's rule, https://www.cs.virginia.edu/stream/ref.html; Linux,
    Documentation/ABI/testing/sysfs-devices-system-cpu.
    """
    used = sorted(_last_levels(root).values(), reverse=True)[:threads]
    return min(max(_SMALLEST, _TIMES_CACHES * sum(used)), LARGEST)


def _last_levels(root: str) -> dict[tuple[int, str], int]:
    """Return the size of each cache that is the last of some core, by its level and its cores."""
    found: dict[tuple[int, str], int] = {}
    for core in Path(root).glob("cpu[0-9]*"):
        caches = [_cache(path, core.name) for path in core.glob("cache/index*")]
        if caches:
            level, cores, size = max(caches)
            found[level, cores] = size
    return found


def _cache(path: Path, core: str) -> tuple[int, str, int]:
    """Return a cache's level, its cores and its size; unless it says so no other core shares it."""
    level, cores, size = (
        sysfs.read_text(str(path / name)) or "" for name in ("level", "shared_cpu_list", "size")
    )
    return _whole(level), cores or core, _bytes_of(size)


def _whole(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,2}", text) else 0


def _bytes_of(text: str) -> int:
    """Return a size as Linux writes it.

    Example:
        >>> _bytes_of("512K"), _bytes_of("32M"), _bytes_of("")
        (524288, 33554432, 0)
    """
    found = _SIZE.match(text)
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]] if found else 0
