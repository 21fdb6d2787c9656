from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgedeploy.meters import memory
from edgedeploy.meters.memory import Memory
from tests.fake_trees import meminfo, plant

if TYPE_CHECKING:
    from pathlib import Path


def test_memory_is_told_in_mebibytes(tmp_path: Path) -> None:
    assert memory.read(plant(tmp_path, meminfo(3956, 1210))) == Memory(3956, 1210)


def test_swap_on_zram_is_counted_apart(tmp_path: Path) -> None:
    swaps = (
        "/dev/zram0                              partition\t506404\t2048\t5\n"
        "/mnt/4GB.swap                           file\t\t4194300\t1048576\t-2\n"
        "/dev/nvme0n1p2\tpartition 1024 2048 -3\n"
    )
    found = memory.read(plant(tmp_path, meminfo(3956, 1210, swaps)))
    assert found == Memory(3956, 1210, swap_free_mb=3071, zram_free_mb=492)


@pytest.mark.parametrize(
    "text", ["", "MemTotal: 3956 kB\n", "MemTotal: x kB\nMemAvailable: 1 MB\n"]
)
def test_memory_that_the_kernel_does_not_tell_is_none(tmp_path: Path, text: str) -> None:
    assert memory.read(plant(tmp_path, {"proc/meminfo": text})) is None
    assert memory.read(str(tmp_path / "nothing")) is None


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(info=st.binary(max_size=300), swaps=st.binary(max_size=300))
def test_no_content_breaks_it(tmp_path: Path, info: bytes, swaps: bytes) -> None:
    info = b"MemTotal: 12 kB\nMemAvailable: 9 kB\n" + info
    found = memory.read(plant(tmp_path, {"proc/meminfo": info, "proc/swaps": swaps}))
    assert found is None or min(found) >= 0
