from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.meters import board
from edgedeploy.meters.board import BoardFacts
from edgedeploy.meters.device_memory import DeviceMemory
from edgedeploy.meters.gauges import Gauge
from edgedeploy.worker import memory
from edgedeploy.worker.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = BoardFacts(board.LOCAL, "AMD EPYC")


class Levels(Gauge):
    """A gauge that goes through levels."""

    name, rule = "levels", "the change of levels"

    def __init__(self, levels: Iterable[int]) -> None:
        self._levels = iter(levels)

    def read(self) -> int | None:
        return next(self._levels)


def test_both_memories_are_read_at_each_phase() -> None:
    held = Memory(DeviceMemory([Levels([100, 300])]))
    held.take("start")
    held.take("steady")
    document = held.document("trt", "Orin")
    assert list(document["memory"]) == ["start", "steady"]
    assert document["memory"]["steady"]["rss_bytes"] > 1_000_000
    assert document["device_memory"] == {
        "rule": "the change of levels", "phases": {"start": 0, "steady": 200}, "reason": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("backend", "device", "reason"),
    [
        ("ort", "CPU", "the engine runs on the CPU: its memory is in rss"),
        ("openvino", "CPU", "the engine runs on the CPU: its memory is in rss"),
        ("openvino", "(CPU)", "the engine runs on the CPU: its memory is in rss"),
        ("openvino", "GPU.0", "the vendor's library does not tell what its device GPU.0 holds"),
        ("openvino", "GPU,CPU", "the vendor's library does not tell what its device GPU,CPU holds"),
    ],
)
def test_what_runs_elsewhere_than_on_a_gpu_of_nvidia_has_a_reason(
    backend: str, device: str, reason: str
) -> None:
    held = memory.of(backend, HERE)
    held.take("start")
    told: dict[str, Any] = held.document(backend, device)["device_memory"]
    assert told == {"rule": None, "phases": None, "reason": reason}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (HERE, "NVML"),
        (BoardFacts("jetson-nano", "Jetson Nano", soc="tegra210"), "/proc/meminfo"),
        (BoardFacts(board.LOCAL, "a new board", soc="tegra999"), "/proc/meminfo"),
    ],
    ids=["pc", "jetson", "unknown jetson"],
)
def test_a_board_that_shares_its_memory_is_asked_for_its_ram(
    facts: BoardFacts, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    held = memory.of("trt", facts)
    held.take("start")
    seen = held.document("trt", "x")["device_memory"]
    assert name in str(seen["rule"] or seen["reason"])
