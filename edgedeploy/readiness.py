"""Checks before an hour is spent: what a board refuses for certain, and what it is short of."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from edgedeploy import devices
from edgedeploy.advice import Advice
from edgedeploy.errors import UnsupportedError
from edgedeploy.meters import memory
from edgedeploy.runtime import trt_dialects, trt_options
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.devices import Device, JetPack
    from edgedeploy.types import BuildSpec

# What CUDA, cuBLAS and cuDNN took together in TensorRT's own logs ("MemUsageChange") on Nanos with
# JetPack 4.6: 591, 604 and 890 MiB, before a model is there; the largest is tensorrtx#1145, which
# was killed.
LIBRARIES_MB = 890
# The largest artifact that was measured, MobileNetV1 1.0 in FP32, has a source and an engine of
# 17.4 MB each, and the one that it replaces stays until it is whole: 70 MB.
DISK_MB = 100
_SMALL_BOARD_MB = 8192
_COMPATIBLE_SINCE = "8.6"
_SWAP = (
    "sudo fallocate -l 4G /var/edgedeploy.swap && sudo chmod 600 /var/edgedeploy.swap && "
    "sudo mkswap /var/edgedeploy.swap && sudo swapon /var/edgedeploy.swap"
)
_DESKTOP = "sudo systemctl isolate multi-user.target"


def check(
    device: Device, release: JetPack | None, spec: BuildSpec, *, dla_cores: int | None = None
) -> None:
    """Refuse what TensorRT cannot build for a board; the other backends are not concerned.

    Args:
        device: The board that the engine is for; ``local`` is limited by nothing here.
        release: What its JetPack installs; None where that is not known, which checks less.
        spec: What is asked for.
        dla_cores: Accelerators of this very board, see `devices.dla_cores`; None takes those of
            the table.

    Raises:
        UnsupportedError: The board, or that TensorRT, cannot do it.

    Source:
        NVIDIA TensorRT developer guide 8.6, "Hardware compatibility" (not on JetPack) and "Version
        compatibility" (since 8.6).
    """
    if spec.backend != "trt" or not device.is_jetson:
        return
    devices.check_precision(device, spec.precision)
    if spec.trt.dla_core is not None:
        cores = device.dla_cores if dla_cores is None else dla_cores
        _check_dla(device, release, spec, spec.trt.dla_core, cores)
    if spec.trt.hardware_compatible is not None:
        raise UnsupportedError(
            f"{device.title} was given hardware compatibility "
            f"{spec.trt.hardware_compatible!r}, which TensorRT does not offer on JetPack",
            fix="leave --hardware-compatible out, and build on each kind of board",
        )
    if release is not None:
        _check_release(device, release, spec)


def _check_release(device: Device, release: JetPack, spec: BuildSpec) -> None:
    """Refuse what the TensorRT of a JetPack does not have."""
    dialect = trt_dialects.for_version(release.tensorrt)
    asked = {
        "--version-compatible": spec.trt.version_compatible,
        "--opt-level": spec.trt.optimization_level is not None,
    }
    flags = [flag for flag, there in asked.items() if there]
    if flags and not release.has_tensorrt(_COMPATIBLE_SINCE):
        raise UnsupportedError(
            f"{' and '.join(flags)} {'need' if len(flags) > 1 else 'needs'} TensorRT "
            f"{_COMPATIBLE_SINCE}, JetPack {release.jetpack} of {device.title} has "
            f"{release.tensorrt}",
            fix=f"leave {' and '.join(flags)} out",
        )
    if spec.precision is Precision.INT8:
        dla = spec.trt.dla_core is not None
        trt_dialects.int8_mode(dialect, spec.trt.int8_mode, dla=dla)


def _check_dla(
    device: Device, release: JetPack | None, spec: BuildSpec, core: int, cores: int
) -> None:
    """Refuse an accelerator that is not there, not driven, or does not run what is asked.

    Source:
        NVIDIA TensorRT, "DLA supported layers and restrictions" and "Working with DLA".
    """
    without = "leave --dla-core out: the GPU runs it"
    if cores == 0:
        raise UnsupportedError(f"{device.title} has no DLA, core {core} was asked for", fix=without)
    if core >= cores:
        has = "1 DLA core, core 0" if cores == 1 else f"{cores} DLA cores, 0 to {cores - 1}"
        raise UnsupportedError(
            f"{device.title} has {has}; core {core} was asked for", fix="pass --dla-core 0"
        )
    if release is not None and not release.dla:
        raise UnsupportedError(
            f"TensorRT {release.tensorrt} of JetPack {release.jetpack} drives no DLA: 10.7 was the "
            "last 10.x that does",
            fix=_dla_fix(device, without),
        )
    if spec.precision not in (Precision.FP16, Precision.INT8):
        raise UnsupportedError(
            f"a DLA runs fp16 and int8, {spec.precision.value} was asked for",
            fix="pass --fp16 or --int8, or leave --dla-core out",
        )
    low, best, high = spec.trt.batch
    if low != high:
        default = spec.trt.batch == trt_options.TrtOptions().batch
        raise UnsupportedError(
            f"a DLA has one size of batch, {low},{best},{high} "
            f"{'is the default' if default else 'was asked for'}",
            fix=f"pass --batch {best}",
        )


def _dla_fix(device: Device, without: str) -> str:
    older = next((row for row in device.jetpacks if row.dla), None)
    if older is None:
        return without
    return (
        f"{without}; or, where the board has JetPack {older.jetpack} with TensorRT "
        f"{older.tensorrt}: --jetpack {older.jetpack}"
    )


def look(
    device: Device,
    *,
    root: str = "/",
    folder: Path | None = None,
    workspace_mb: int = trt_options.WORKSPACE_MB,
) -> tuple[Advice, ...]:
    """Say what this machine is short of for a TensorRT build; it never fails.

    Args:
        device: This machine.
        root: Where its file system starts.
        folder: Where artifacts go, if their disk is to be looked at; it need not exist yet.
        workspace_mb: Scratch memory that the build may use, in MiB.
    """
    rows = _short_of_memory(memory.read(root), workspace_mb) if device.is_jetson else []
    return (*rows, *(_short_of_disk(folder) if folder is not None else []))


def _short_of_memory(here: memory.Memory | None, workspace_mb: int) -> list[Advice]:
    needed = LIBRARIES_MB + workspace_mb
    if here is None or here.total_mb > _SMALL_BOARD_MB:
        return []
    if here.available_mb + here.swap_free_mb >= needed:
        return []
    swap = f"{here.swap_free_mb} MiB of swap on a disk"
    if here.zram_free_mb:
        swap += f" (zram, {here.zram_free_mb} MiB, lies in the same memory)"
    return [
        Advice(
            "memory",
            f"{here.available_mb} of {here.total_mb} MiB are free, with {swap}; a TensorRT build "
            f"wants about {needed}: {LIBRARIES_MB} for CUDA's libraries and {workspace_mb} of "
            "workspace, or Linux kills it",
            f"stop the desktop until the next start: {_DESKTOP}; add swap: {_SWAP}; or pass a "
            "smaller --workspace-mb",
        )
    ]


def _short_of_disk(folder: Path) -> list[Advice]:
    try:
        places = (folder, *folder.absolute().parents)
        free_mb = shutil.disk_usage(next(path for path in places if path.exists())).free >> 20
    except OSError:
        return []
    if free_mb >= DISK_MB:
        return []
    return [
        Advice(
            "disk",
            f"{free_mb} MiB are free where {folder} lies, an artifact wants up to {DISK_MB}",
            "free some, e.g. sudo apt-get clean, or choose another disk: -o FOLDER",
        )
    ]
