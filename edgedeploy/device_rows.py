"""The board table as people and programs read it: table cells and JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgedeploy import devices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.devices import Device, JetPack
    from edgedeploy.types import Precision

COLUMNS = ("device", "cannot", "TensorRT", "JetPack", "precisions", "DLA", "GPU", "memory")
RELEASE_COLUMNS = (
    "JetPack",
    "L4T",
    "TensorRT",
    "CUDA",
    "Python",
    "builds",
    "precisions",
    "INT8 mode",
    "DLA",
)


def row(device: Device) -> tuple[str | None, ...]:
    """Return a device as cells under `COLUMNS`; None where the table says nothing."""
    if not device.is_jetson:
        return (device.name, *[None] * (len(COLUMNS) - 1))
    newest = device.jetpacks[0] if device.jetpacks else None
    memory = " or ".join(str(size) for size in device.memory_gb)
    return (
        device.name,
        ", ".join(device.cannot) or None,
        newest.tensorrt if newest else None,
        newest.jetpack if newest else None,
        _names(device.precisions),
        _cores(device.dla_cores),
        f"sm {device.compute_capability}",
        f"{memory} GB",
    )


def facts(device: Device) -> tuple[tuple[str, str], ...]:
    """Return what else the table says of a device, as (word, value); only what it does say."""
    versions = f", version {device.dla_version}" if device.dla_version else ""
    memory = " or ".join(str(size) for size in device.memory_gb)
    found = (
        ("cannot", ", ".join(device.cannot)),
        ("GPU", device.soc and f"sm {device.compute_capability} ({device.soc})"),
        ("memory", memory and f"{memory} GB, shared by CPU and GPU"),
        ("TensorRT runs", device.is_jetson and _names(device.precisions)),
        ("DLA cores", device.dla_cores and f"{device.dla_cores}{versions}"),
        ("power rails in the total", " + ".join(device.power_rails)),
        *(("note", note) for note in device.notes),
    )
    return tuple((word, str(value)) for word, value in found if value)


def release_row(device: Device, jetpack: JetPack) -> tuple[str | None, ...]:
    """Return a JetPack of a device as cells under `RELEASE_COLUMNS`.

    The column "builds" says whether edgedeploy supports that TensorRT; "INT8 mode" is the one that
    ``auto`` takes.
    """
    return (
        jetpack.jetpack,
        jetpack.l4t,
        jetpack.tensorrt,
        jetpack.cuda,
        jetpack.python,
        "yes" if jetpack.dialect else "too old",
        _names(device.precisions),
        devices.int8_mode(device, jetpack),
        _cores(device.dla_cores) if jetpack.dla else None,
    )


def to_json(device: Device) -> dict[str, Any]:
    """Return a device as JSON values, with what follows from its row."""
    return {
        **asdict(device),
        "jetpacks": [release_to_json(device, jetpack) for jetpack in device.jetpacks],
        "precisions": [precision.value for precision in device.precisions],
        "power_rails": list(device.power_rails),
        "cannot": list(device.cannot),
    }


def release_to_json(device: Device, jetpack: JetPack) -> dict[str, Any]:
    """Return a JetPack of a device as JSON values, with what follows from both."""
    return {
        **asdict(jetpack),
        "supported": jetpack.dialect is not None,
        "int8_mode": devices.int8_mode(device, jetpack),
    }


def _names(precisions: Sequence[Precision]) -> str | None:
    return " ".join(precision.value for precision in precisions) or None


def _cores(count: int) -> str | None:
    return str(count) if count else None
