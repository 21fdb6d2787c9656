"""The board table: what each board has, and what it cannot do, before an hour is spent building."""

from __future__ import annotations

import functools
import importlib.resources
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import UnknownNameError, UnsupportedError, UsageError
from edgedeploy.meters import board, rails
from edgedeploy.runtime import trt_dialects
from edgedeploy.types import Precision

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.meters.board import BoardFacts
    from edgedeploy.runtime.trt_dialects import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class JetPack:
    """What one release of NVIDIA's software installs on a board.

    Attributes:
        jetpack: Its version, e.g. ``"6.2"``.
        l4t: The Jetson Linux release in it.
        tensorrt: Version.
        cuda: Version.
        python: The system's Python, for which TensorRT's module is built.
        dla: Whether this TensorRT drives deep-learning accelerators.
        sources: Keys of the list atop devices.toml.
    """

    jetpack: str
    l4t: str
    tensorrt: str
    cuda: str
    python: str
    dla: bool = False
    sources: tuple[str, ...] = ()

    @property
    def dialect(self) -> Dialect | None:
        """The generation of its TensorRT; None where that is too old for edgedeploy."""
        try:
            return trt_dialects.for_version(self.tensorrt)
        except UnsupportedError:
            return None

    def has_tensorrt(self, version: str) -> bool:
        """Whether its TensorRT is ``version`` or newer.

        Example:
            >>> release(find("jetson-orin-nx"), "6.2").has_tensorrt("8.6")
            True
        """
        return _numbers(self.tensorrt) >= _numbers(version)


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
        dla_version: Of their hardware; None where there are none.
        fewer_dla_cores: Modules, by part number, that have fewer of them.
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
    dla_version: str | None = None
    fewer_dla_cores: Mapping[str, int] = field(default_factory=dict)
    tensorrt_ends: str | None = None
    jetpacks: tuple[JetPack, ...]
    notes: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def is_jetson(self) -> bool:
        """Whether it is one board, not any machine."""
        return self.soc is not None

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What TensorRT runs there, in every JetPack of the table alike."""
        if self.tensorrt_ends == "none":
            return ()
        has = ((Precision.FP32, True), (Precision.FP16, self.fp16), (Precision.INT8, self.int8))
        return tuple(precision for precision, there in has if there)

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
        ends, has_tensorrt = self.tensorrt_ends, self.tensorrt_ends != "none"
        limits = (
            (has_tensorrt and not self.fp16, "no FP16"),
            (has_tensorrt and not self.int8, "no INT8"),
            (not has_tensorrt, "no TensorRT"),
            (has_tensorrt and ends is not None, f"no TensorRT after {ends}"),
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
    document = tomllib.loads(text)
    releases = {
        version: JetPack(**{**row, "jetpack": version, "sources": tuple(row["sources"])})
        for version, row in document["jetpack"].items()
    }
    return tuple(_device(name, row, releases) for name, row in document["device"].items())


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


def release(device: Device, jetpack: str | None = None) -> JetPack:
    """Return what a JetPack installs on a board.

    Args:
        device: The board.
        jetpack: Its version; ``"6"`` and ``"6.x"`` mean the newest 6. None is the newest there is.

    Raises:
        UsageError: The device is no board, or that JetPack is not in the table for it.
        UnsupportedError: TensorRT was never released for the board.

    Example:
        >>> release(find("jetson-nano"), "4.6.1").tensorrt
        '8.2.1'
    """
    if not device.is_jetson:
        raise UsageError(
            f"{device.name!r} is no board of the table, so no JetPack runs on it",
            fix="pass --device with a name that edgedeploy devices lists, or leave --jetpack out",
        )
    if not device.jetpacks:
        raise _no_tensorrt(device)
    if jetpack is None:
        return device.jetpacks[0]
    exact = [row for row in device.jetpacks if row.jetpack == jetpack]
    start = jetpack.removesuffix(".x") + "."
    within = [row for row in device.jetpacks if f"{row.jetpack}.".startswith(start)]
    found = exact or (within if jetpack.endswith(".x") or "." not in jetpack else [])
    if not found:
        raise UsageError(
            f"JetPack {jetpack!r} is not in the table for {device.title}",
            fix=f"use one of: {', '.join(row.jetpack for row in device.jetpacks)}",
        )
    return found[0]


def release_here(facts: BoardFacts) -> JetPack | None:
    """Return what the JetPack of this board installs; None if it is not in the table.

    Args:
        facts: What the board says of itself, from `meters.board.detect`.
    """
    device = find(facts.name)
    return next((row for row in device.jetpacks if row.jetpack == facts.jetpack), None)


def dla_cores(device: Device, module: str | None = None) -> int:
    """Return how many deep-learning accelerators a board has.

    Args:
        device: The board.
        module: Its part number, where it is known: some siblings have fewer.

    Example:
        >>> dla_cores(find("jetson-orin-nx"), "p3767-0001")
        1
    """
    return device.fewer_dla_cores.get(module or "", device.dla_cores)


def int8_mode(device: Device, jetpack: JetPack) -> str | None:
    """Return how INT8 is said to TensorRT on a board's GPU where ``auto`` is asked.

    Returns:
        ``implicit``, ``qdq`` or ``typed``; None where INT8 does not run, or the JetPack's TensorRT
        is too old for edgedeploy.
    """
    if not device.int8 or jetpack.dialect is None:
        return None
    return trt_dialects.int8_mode(jetpack.dialect)


def check_precision(device: Device, precision: Precision) -> None:
    """Refuse what TensorRT cannot run on a device; the CPU backends are not concerned.

    Raises:
        UnsupportedError: The device has no such arithmetic, or no TensorRT.
    """
    if device.tensorrt_ends == "none":
        raise _no_tensorrt(device)
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


def _device(name: str, row: dict[str, Any], releases: Mapping[str, JetPack]) -> Device:
    lists = {key: tuple(row[key]) for key in ("memory_gb", "notes", "sources")}
    jetpacks = tuple(releases[version] for version in row["jetpacks"])
    return Device(**{**row, **lists, "name": name, "jetpacks": jetpacks})


def _no_tensorrt(device: Device) -> UnsupportedError:
    return UnsupportedError(
        f"{device.title} has compute capability {device.compute_capability}, TensorRT was "
        "never released for it",
        fix="use --backend ort, or another board",
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
