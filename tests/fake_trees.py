"""File trees that look like a board's /proc and /sys, for functions that take a ``root``."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Tree = dict[str, str | bytes | int]

ORIN_NANO: Tree = {
    "proc/device-tree/compatible": b"nvidia,p3768-0000+p3767-0005\0"
    b"nvidia,p3767-0005\0nvidia,tegra234\0",
    "proc/device-tree/model": b"NVIDIA Jetson Orin Nano Developer Kit Super\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n",
    "var/lib/nvpmodel/status": "pmode:0001 fmode:quiet\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nx\n< POWER_MODEL ID=1 NAME=25W >\n",
}
NANO: Tree = {
    "proc/device-tree/compatible": b"nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,jetson-nano\0"
    b"nvidia,tegra210\0",
    "proc/device-tree/model": b"NVIDIA Jetson Nano Developer Kit\0",
    "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, GCID: 2, BOARD: t210ref\n",
}
PC: Tree = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) N100\nflags\t\t: fpu avx2 avx_vnni\n",
}


def meminfo(total_mb: int, available_mb: int, swaps: str = "") -> Tree:
    """Return the files of /proc that tell the memory; ``swaps`` are lines of /proc/swaps."""
    return {
        "proc/meminfo": f"MemTotal: {total_mb << 10:>14} kB\nMemFree: {1 << 10:>15} kB\n"
        f"MemAvailable: {available_mb << 10:>10} kB\nSwapTotal: {0:>13} kB\n",
        "proc/swaps": f"Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n{swaps}",
    }


def plant(root: Path, files: Mapping[str, str | bytes | int]) -> str:
    """Write ``files``, by path below ``root``; return the root as text."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else str(content).encode())
    return str(root)


@contextlib.contextmanager
def forbidden(path: Path) -> Iterator[None]:
    """Make a file unreadable for the block, for root too: it becomes another user meanwhile.

    ``path`` lies in a folder that everybody may enter.
    """
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(0o644)
