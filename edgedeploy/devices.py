"""The board table: what each board has, and what it cannot do, before an hour is spent building."""

from __future__ import annotations

import functools
import importlib.resources
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import UnknownNameError, UnsupportedError
from edgedeploy.meters import board, rails
from edgedeploy.types import Precision

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from edgedeploy.meters.board import BoardFacts

COLUMNS = ("device", "cannot", "GPU", "memory", "precisions", "DLA", "TensorRT")


@dataclass(frozen=True, slots=True, kw_only=True)
class JetPack:
    """What one release of NVIDIA's software installs on a board.

    Attributes:
        jetpack: Its version, e.g. ``"6.2"``; ``x`` stands for any last part.
        l4t: The Jetson Linux release in it.
        tensorrt: Version.
        cuda: Version.
        python: The system's Python, for which TensorRT's module is built.
    """

    jetpack: str
    l4t: str
    tensorrt: str
    cuda: str
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One row of the board table.

    Attributes:
        name: What ``--device`` takes, e.g. ``"jetson-nano"``.
        title: For people.
        soc: NVIDIA's system on a chip, None for ``local``.
        compute_capability: Of the GPU, e.g. ``"8.7"``; None for ``local``.
        memory_gb: Sizes that it is sold with, shared by CPU and GPU.
        fp16: Whether TensorRT gains from FP16.
        int8: Whether TensorRT runs INT8.
        dla_cores: Deep-learning accelerators beside the GPU.
        tensorrt_ends: The last TensorRT that supports it, ``"none"``, or None while new ones do.
        jetpacks: Newest first.
        notes: What else to know.
        sources: Keys of the list atop devices.toml.
    """

    name: str
    title: str
    soc: str | None = None
    compute_capability: str | None = None
    memory_gb: tuple[int, ...]
    fp16: bool
    int8: bool
    dla_cores: int
    tensorrt_ends: str | None = None
    jetpacks: tuple[JetPack, ...]
    notes: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def is_jetson(self) -> bool:
        """Whether it is one board, not any machine."""
        return self.soc is not None

    @property
    def power_rails(self) -> tuple[str, ...]:
        """The rails whose sum is the module's power; empty where the board measures none."""
        return rails.module_rails(self.name) if self.is_jetson else ()

    @property
    def cannot(self) -> tuple[str, ...]:
        """What it cannot do, as short phrases.

        Example:
            >>> find("jetson-nano").cannot
            ('no INT8', 'no TensorRT after 8.2', 'no DLA')
        """
        if not self.is_jetson:
            return ()
        ends = self.tensorrt_ends
        limits = (
            (not self.fp16, "no FP16"),
            (not self.int8, "no INT8"),
            (ends == "none", "no TensorRT"),
            (ends not in (None, "none"), f"no TensorRT after {ends}"),
            (self.dla_cores == 0, "no DLA"),
            (not self.power_rails, "no power sensor"),
        )
        return tuple(phrase for holds, phrase in limits if holds)


@dataclass(frozen=True, slots=True)
class Here:
    """This machine.

    Attributes:
        facts: What it says of itself.
        device: Its row; that of ``local`` if it is no board of the table.
    """

    facts: BoardFacts
    device: Device


@functools.cache
def table() -> tuple[Device, ...]:
    """Return every device, oldest board first, ``local`` last."""
    text = importlib.resources.files("edgedeploy").joinpath("devices.toml").read_text("utf-8")
    return tuple(_device(name, row) for name, row in tomllib.loads(text).items())


def find(name: str) -> Device:
    """Return the device called ``name``.

    Raises:
        UnknownNameError: There is none.
    """
    for device in table():
        if device.name == name:
            return device
    raise UnknownNameError("device", name, [device.name for device in table()])


def here(root: str = "/") -> Here:
    """Return what this machine is.

    Args:
        root: Where the file system starts.
    """
    facts = board.detect(root)
    return Here(facts, find(facts.name))


def check_precision(device: Device, precision: Precision) -> None:
    """Refuse what TensorRT cannot run on a device; the CPU backends are not concerned.

    Raises:
        UnsupportedError: The device has no such arithmetic, or no TensorRT.
    """
    if device.tensorrt_ends == "none":
        raise UnsupportedError(
            f"{device.title} has compute capability {device.compute_capability}, TensorRT was "
            "never released for it",
            fix="use --backend ort, or another board",
        )
    has = {Precision.FP16: device.fp16, Precision.INT8: device.int8}
    if not has.get(precision, True):
        raise UnsupportedError(
            f"{device.title} cannot run {precision.value} with TensorRT: its GPU has compute "
            f"capability {device.compute_capability}, without {precision.value} arithmetic",
            fix="use --fp16, the fastest precision of this board",
        )


def gpu_precisions(compute_capability: str) -> tuple[Precision, ...]:
    """Return what TensorRT runs fast on an NVIDIA GPU, by its compute capability.

    FP16 is native on 5.3, 6.0, 6.2 and from 7.0 on; INT8 (dot products) on 6.1 and from 7.0 on.

    Example:
        >>> [precision.value for precision in gpu_precisions("5.3")]
        ['fp32', 'fp16']

    Source:
        CUDA C++ Programming Guide, "Compute capabilities"; TensorRT support matrix.
    """
    major = int(compute_capability.split(".", maxsplit=1)[0])
    found = [Precision.FP32]
    if major >= 7 or compute_capability in {"5.3", "6.0", "6.2"}:
        found.append(Precision.FP16)
    if major >= 7 or compute_capability == "6.1":
        found.append(Precision.INT8)
    return tuple(found)


def row(device: Device) -> tuple[str | None, ...]:
    """Return a device as cells under `COLUMNS`; None where the table says nothing."""
    if not device.is_jetson:
        return (device.name, None, None, None, None, None, None)
    newest = device.jetpacks[0] if device.jetpacks else None
    memory = " or ".join(str(size) for size in device.memory_gb)
    return (
        device.name,
        ", ".join(device.cannot) or None,
        f"sm {device.compute_capability}",
        f"{memory} GB",
        " ".join(["fp32", *["fp16"] * device.fp16, *["int8"] * device.int8]),
        str(device.dla_cores),
        None if newest is None else f"{newest.tensorrt} (JetPack {newest.jetpack})",
    )


def to_json(device: Device) -> dict[str, Any]:
    """Return a device as JSON values, with what follows from its row."""
    return {
        **asdict(device),
        "power_rails": list(device.power_rails),
        "cannot": list(device.cannot),
    }


def _device(name: str, row: dict[str, Any]) -> Device:
    lists = {key: tuple(row[key]) for key in ("memory_gb", "notes", "sources")}
    jetpacks = tuple(JetPack(**release) for release in row["jetpacks"])
    return Device(**{**row, **lists, "name": name, "jetpacks": jetpacks})
