from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.meters import device_memory
from edgedeploy.meters.device_memory import DeviceMemory, DeviceSeen

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 1 << 20
OURS, OTHERS = 4711, 815
Listed = dict[int, "int | None"]
PHASES = ("start", "load", "steady")


class FakeNvml:
    """The functions of pynvml that tell memory.

    Attributes:
        listed: Of each GPU the bytes by process; None: the list is refused.
        used: Of each GPU the bytes in use; None: it does not answer.
    """

    class NVMLError(Exception):
        """As pynvml's."""

    def __init__(self, gpus: int = 1) -> None:
        self.gpus = gpus
        self.listed: list[Listed | None] = [{}] * gpus
        self.used: list[int | None] = [0] * gpus
        self.asked = 0

    def nvmlInit(self) -> None:  # noqa: N802 -- NVML's name
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 -- NVML's name
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802 -- NVML's name
        return 70 + index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802 -- NVML's name
        used = self.used[handle - 70]
        if used is None:
            raise self.NVMLError("GPU is lost")
        return SimpleNamespace(used=used)

    def nvmlDeviceGetComputeRunningProcesses_v3(self, _: int) -> list[Any]:  # noqa: N802 -- NVML's
        raise self.NVMLError("Function Not Found")

    def nvmlDeviceGetComputeRunningProcesses_v2(  # noqa: N802 -- NVML's name
        self, handle: int
    ) -> list[Any]:
        self.asked += 1
        listed = self.listed[handle - 70]
        if listed is None:
            raise self.NVMLError("Insufficient Permissions")
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in listed.items()]


def seen(
    library: FakeNvml,
    listed: Sequence[list[Listed | None]],
    used: Sequence[list[int | None]],
) -> DeviceSeen:
    """What is told when the driver goes through these lists and sums, phase by phase."""
    memory = DeviceMemory(device_memory.gauges(shares_memory=False, library=library, pid=OURS))
    for phase, library.listed, library.used in zip(PHASES, listed, used, strict=True):
        memory.read(phase)
    return memory.seen()


def mib(*sizes: int | None) -> list[list[int | None]]:
    """What one GPU has in use, phase by phase."""
    return [[None if size is None else size * MIB] for size in sizes]


def test_what_this_process_holds_is_told_and_not_what_others_do() -> None:
    found = seen(
        FakeNvml(),
        [
            [{OTHERS: 900 * MIB}],
            [{OTHERS: 900 * MIB, OURS: 300 * MIB}],
            [{OTHERS: 100 * MIB, OURS: 350 * MIB}],
        ],
        mib(900, 1200, 450),
    )
    assert found.phases == {"start": 0, "load": 300 * MIB, "steady": 350 * MIB}
    assert found.rule is not None
    assert found.rule.startswith("what this process holds on the GPU")
    assert "other programs" not in found.rule
    assert found.reason is None


def test_what_it_holds_on_several_gpus_is_added() -> None:
    listed: list[list[Listed | None]] = [
        [{}, {}],
        [{OURS: MIB}, {}],
        [{OURS: MIB}, {OURS: 8 * MIB}],
    ]
    found = seen(FakeNvml(2), listed, [[0, 0]] * 3)
    assert found.phases == {"start": 0, "load": MIB, "steady": 9 * MIB}


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ([[{}]] * 3, "in a container of its own numbers"),
        ([[{OTHERS: MIB}], [{OTHERS: MIB, 12: 50 * MIB}], [{OTHERS: MIB, 12: 60 * MIB}]], "too"),
        ([[{OURS: 5 * MIB}]] * 3, "another program has our number there"),
        ([[{}], [{OURS: None}], [{OURS: None}]], "WSL: no sizes"),
        ([[None]] * 3, "MIG: not permitted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_where_the_driver_does_not_tell_by_process_it_is_the_change_and_says_so(
    listed: list[list[Listed | None]], why: str
) -> None:
    found = seen(FakeNvml(), listed, mib(900, 1200, 1250))
    assert found.phases == {"start": 0, "load": 300 * MIB, "steady": 350 * MIB}, why
    assert found.rule is not None
    assert found.rule.startswith("the change of the GPU's used memory since the start (NVML)")
    assert found.rule.endswith("other programs are in it")
    assert found.reason is None


def test_a_phase_without_an_answer_is_none_and_the_rest_stays() -> None:
    found = seen(FakeNvml(), [[None]] * 3, mib(900, None, 1250))
    assert found.phases == {"start": 0, "load": None, "steady": 350 * MIB}
    assert found.reason is None


def test_a_driver_that_is_gone_midway_leaves_what_it_said_and_a_reason() -> None:
    found = seen(FakeNvml(), [[{}], [{OURS: MIB}], [None]], mib(900, 901, None))
    assert found.phases == {"start": 0, "load": MIB, "steady": None}
    assert found.reason == "NVML, by process: Insufficient Permissions; NVML, in all: GPU is lost"


def test_a_change_below_zero_is_no_memory_of_ours() -> None:
    found = seen(FakeNvml(), [[{}]] * 3, mib(900, 1200, 600))
    assert found.phases == {"start": 0, "load": 300 * MIB, "steady": -300 * MIB}
    assert found.reason is not None
    assert "does not list this process" in found.reason
    assert "did not grow from start to end (-314.6 MB)" in found.reason


def test_several_gpus_without_a_list_are_not_guessed_at() -> None:
    found = seen(FakeNvml(2), [[{}, {}]] * 3, [[0, 0], [0, 5 * MIB], [0, 6 * MIB]])
    assert (found.rule, found.phases) == (None, None)
    assert "there are 2 GPUs, and it is not known which one runs" in str(found.reason)


def test_a_list_that_is_refused_at_the_start_is_not_asked_for_again() -> None:
    library = FakeNvml()
    seen(library, [[None]] * 3, mib(1, 2, 3))
    assert library.asked == 1


def test_without_the_package_or_the_driver_there_is_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Driverless(FakeNvml):
        def nvmlInit(self) -> None:  # noqa: N802 -- NVML's name
            raise self.NVMLError("Driver Not Loaded")

    assert seen(Driverless(), [[{}]] * 3, mib(0, 0, 0)) == DeviceSeen(
        None, None, "NVML: there is no NVIDIA driver here (NVML: Driver Not Loaded)"
    )
    monkeypatch.setitem(sys.modules, "pynvml", None)
    memory = DeviceMemory(device_memory.gauges(shares_memory=False))
    memory.read("start")
    assert memory.seen().reason == (
        "NVML: the package 'pynvml' is not installed (fix: pip install 'edgedeploy[nvml]')"
    )


def test_the_bindings_that_are_installed_have_every_name_that_is_used() -> None:
    pynvml = pytest.importorskip("pynvml")
    for name in ("nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "NVMLError"):
        assert hasattr(pynvml, name)
    assert hasattr(pynvml, "nvmlDeviceGetMemoryInfo")
    assert hasattr(pynvml, "nvmlDeviceGetComputeRunningProcesses_v3")
    assert "usedGpuMemory" in dict(pynvml.c_nvmlProcessInfo_v3_t._fields_)
    assert "used" in dict(pynvml.c_nvmlMemory_t._fields_)
