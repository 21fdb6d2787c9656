from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edgedeploy.meters.gpu_clocks import GpuState, GpuWatch


class NvmlError(Exception):
    pass


def nvml(**functions: Any) -> Any:
    made: dict[str, Any] = {
        "NVMLError": NvmlError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByIndex": lambda index: f"gpu {index}",
        "nvmlDeviceGetClockInfo": lambda _device, _which: 1410,
        "nvmlDeviceGetMaxClockInfo": lambda _device, _which: 1980,
        "nvmlDeviceGetCurrentClocksEventReasons": lambda _device: 0,
    }
    return SimpleNamespace(**made | functions)


def refuse(*_: object) -> int:
    raise NvmlError("not supported")


def test_a_gpu_tells_its_clock() -> None:
    assert GpuWatch(nvml()).read() == GpuState(1410.0, 1980.0, [])


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x40, ["hardware thermal slowdown"]),
        (0x28, ["hardware slowdown", "software thermal slowdown"]),
        (0x80 | 0x4, ["power brake"]),
        (0x1 | 0x2 | 0x4 | 0x10 | 0x100, []),  # idle, set so, power cap, boost, display
    ],
)
def test_what_slows_a_gpu_down_is_said_in_words(bits: int, words: list[str]) -> None:
    library = nvml(nvmlDeviceGetCurrentClocksEventReasons=lambda _: bits)
    state = GpuWatch(library).read()
    assert state is not None
    assert state.throttles == words


def test_an_older_driver_calls_the_reasons_by_another_name() -> None:
    library = nvml(nvmlDeviceGetCurrentClocksThrottleReasons=lambda _: 0x8)
    del library.nvmlDeviceGetCurrentClocksEventReasons
    state = GpuWatch(library).read()
    assert state is not None
    assert state.throttles == ["hardware slowdown"]


def test_what_a_gpu_does_not_tell_is_not_known() -> None:
    names = ("ClockInfo", "MaxClockInfo", "CurrentClocksEventReasons")
    library = nvml(**{f"nvmlDeviceGet{name}": refuse for name in names})
    assert GpuWatch(library).read() == GpuState(None, None, [])


@pytest.mark.parametrize("name", ["nvmlInit", "nvmlDeviceGetHandleByIndex"])
def test_without_a_gpu_nothing_is_read(name: str) -> None:
    assert GpuWatch(nvml(**{name: refuse})).read() is None
