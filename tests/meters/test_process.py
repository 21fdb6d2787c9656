from __future__ import annotations

from pathlib import Path

import pytest

from edgedeploy.meters import process
from tests.fake_trees import plant

STATUS = """Name:\tpython3 (odd) name
VmHWM:\t   20480 kB
VmRSS:\t   10240 kB
VmSwap:\t       4 kB
voluntary_ctxt_switches:\t7
nonvoluntary_ctxt_switches:\t3
"""


def test_memory_is_in_bytes(tmp_path: Path) -> None:
    files = {
        "proc/self/status": STATUS,
        "proc/self/smaps_rollup": "55d0-7ffc ---p 0 [rollup]\nRss:  10240 kB\nPss:   6000 kB\n"
        "Private_Clean:  1000 kB\nPrivate_Dirty:  4500 kB\nPrivate_Hugetlb:  0 kB\n",
    }
    memory = process.memory(plant(tmp_path, files))
    assert memory == (10240 * 1024, 20480 * 1024, 6000 * 1024, 4 * 1024, 5500 * 1024)


def test_scheduling_is_read_behind_a_name_with_brackets(tmp_path: Path) -> None:
    files = {
        "proc/9/status": STATUS,
        "proc/9/stat": "9 (python3 (odd) name) S 1 9 9 0 -1 4194304 123 0 45 0 10 5\n",
    }
    assert process.scheduling(plant(tmp_path, files), "9") == (123, 45, 7, 3)


def test_what_is_not_told_is_none(tmp_path: Path) -> None:
    assert process.memory(str(tmp_path)) == (None, None, None, None, None)
    assert process.scheduling(str(tmp_path)) == (None, None, None, None)
    root = plant(tmp_path, {"proc/self/status": b"\xff\0VmRSS: lots kB", "proc/self/stat": "x) S"})
    assert process.memory(root).rss_bytes is None
    assert process.scheduling(root).minor_faults is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
def test_this_process_grows_when_it_takes_memory() -> None:
    before = process.memory().rss_bytes
    block = bytearray(b"x" * 30_000_000)
    after = process.memory().rss_bytes
    assert before is not None
    assert after is not None
    assert after - before > 20_000_000
    assert (process.memory().peak_rss_bytes or 0) >= after
    assert block
