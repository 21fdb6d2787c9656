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


def installed(**packages: str) -> str:
    """Return a dpkg status with packages at versions; ``_`` stands for ``-`` in a name."""
    return "\n\n".join(
        f"Package: {name.replace('_', '-')}\nStatus: install ok installed\n"
        f"Architecture: arm64\nVersion: {version}"
        for name, version in packages.items()
    )


# Four boards as they are, with their JetPack installed: the strings of real ones.
NANO_JETPACK_4_6: Tree = {
    "proc/device-tree/compatible": b"nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,jetson-nano\0"
    b"nvidia,tegra210\0",
    "proc/device-tree/model": b"NVIDIA Jetson Nano Developer Kit\0",
    "proc/meminfo": "MemTotal:        4059444 kB\nMemAvailable:     702344 kB\n",
    "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n"
    + "".join(f"/dev/zram{i}  partition\t507428\t0\t5\n" for i in range(4)),
    "etc/nv_tegra_release": "# R32 (release), REVISION: 6.1, GCID: 27863751, BOARD: t210ref, "
    "EABI: aarch64, DATE: Mon Jul 26 19:20:30 UTC 2021\n",
    "var/lib/nvpmodel/status": "pmode:0000 fmode:quiet\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=5W >\n",
    "var/lib/dpkg/status": installed(
        libnvinfer8="8.0.1-1+cuda10.2", cuda_cudart_10_2="10.2.300-1", nvidia_jetpack="4.6-b199"
    ),
    "usr/lib/python3.6/dist-packages/tensorrt/__init__.py": "",
    "usr/lib/aarch64-linux-gnu/libnvinfer.so.8.0.1": "ELF",
}
NANO_JETPACK_4_6_6: Tree = {
    **NANO_JETPACK_4_6,
    "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/mnt/4GB.swap file 4194300 0 -2\n",
    "etc/nv_tegra_release": "# R32 (release), REVISION: 7.6, GCID: 38171779, BOARD: t210ref, "
    "EABI: aarch64, DATE: Tue Nov  5 07:46:14 UTC 2024\n",
    "var/lib/dpkg/status": installed(
        libnvinfer8="8.2.1-1+cuda10.2", cuda_cudart_10_2="10.2.300-1", nvidia_jetpack="4.6.6-b24"
    ),
    "usr/lib/aarch64-linux-gnu/libnvinfer.so.8.2.1": "ELF",
}
XAVIER_NX_JETPACK_5_1: Tree = {
    "proc/device-tree/compatible": b"nvidia,p3509-0000+p3668-0000\0nvidia,p3449-0000+p3668-0000\0"
    b"nvidia,tegra194\0",
    "proc/device-tree/model": b"NVIDIA Jetson Xavier NX Developer Kit\0",
    "proc/meminfo": "MemTotal:        7119872 kB\nMemAvailable:    5412345 kB\n",
    "etc/nv_tegra_release": "# R35 (release), REVISION: 2.1, BOARD: t186ref, EABI: aarch64\n",
    "var/lib/nvpmodel/status": "pmode:0002 fmode:cool\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=2 NAME=MODE_15W_6CORE >\n",
    "var/lib/dpkg/status": installed(
        libnvinfer8="8.5.2-1+cuda11.4", cuda_cudart_11_4="11.4.298-1", nvidia_jetpack="5.1-b147"
    ),
    "usr/lib/python3.8/dist-packages/tensorrt/__init__.py": "",
    "usr/lib/aarch64-linux-gnu/libnvinfer.so.8.5.2": "ELF",
    "usr/lib/aarch64-linux-gnu/tegra/libnvdla_compiler.so": "ELF",
}
ORIN_NANO_JETPACK_6_2: Tree = {
    "proc/device-tree/compatible": b"nvidia,p3768-0000+p3767-0005-super\0"
    b"nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
    "proc/device-tree/model": b"NVIDIA Jetson Orin Nano Engineering Reference Developer Kit "
    b"Super\0",
    "proc/meminfo": "MemTotal:        7802880 kB\nMemAvailable:    5212345 kB\n",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, BOARD: generic, EABI: aarch64\n"
    "# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n",
    "var/lib/nvpmodel/status": "pmode:0001 fmode:quiet\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=25W >\n",
    "var/lib/dpkg/status": installed(
        libnvinfer10="10.3.0.30-1+cuda12.5", cuda_cudart_12_6="12.6.68-1",
        nvidia_l4t_dla_compiler="36.4.3-20250107174145",
    ),
    "usr/lib/python3.10/dist-packages/tensorrt/__init__.py": "",
    "usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0": "ELF",
    "usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so": "ELF",
}  # fmt: skip
THOR_JETPACK_7_0: Tree = {
    "proc/device-tree/compatible": b"nvidia,p4071-0000+p3834-0008\0nvidia,p3834-0008\0"
    b"nvidia,tegra264\0",
    "proc/device-tree/model": b"NVIDIA Jetson AGX Thor Developer Kit\0",
    "proc/meminfo": "MemTotal:      128828416 kB\nMemAvailable:  122212345 kB\n",
    "etc/nv_tegra_release": "# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, "
    "EABI: aarch64, DATE: Fri Aug 22 00:55:42 UTC 2025\n",
    "var/lib/nvpmodel/status": "pmode:0001\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=120W >\n",
    "var/lib/dpkg/status": installed(
        libnvinfer10="10.13.3.9-1+cuda13.0", cuda_cudart_13_0="13.0.48-1"
    ),
    "usr/lib/python3.12/dist-packages/tensorrt/__init__.py": "",
    "usr/lib/aarch64-linux-gnu/libnvinfer.so.10.13.3": "ELF",
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
