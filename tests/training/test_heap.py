"""Freed tensors leave their memory with the process, which is where a step gets it from again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from edgedeploy.training import heap

_FAULTS = """
import resource, sys
import numpy as np
from edgedeploy.training.heap import keep_freed_memory
assert sys.argv[1] == "as it is" or keep_freed_memory()
def round():
    for block in [np.empty(1 << 24) for _ in range(2)]:
        block[::512] = 1
round()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    round()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(word: str) -> int:
    """Pages that a fresh process takes for blocks as large as those it has just freed."""
    done = subprocess.run(
        [sys.executable, "-c", _FAULTS, word],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the GNU C library's heap")
def test_blocks_as_large_as_those_freed_take_no_fresh_pages() -> None:
    assert faults("kept") * 20 < faults("as it is")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not heap.keep_freed_memory()
