from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import UnsupportedError
from edgedeploy.meters.board import BoardFacts
from edgedeploy.worker import conditions
from tests.fake_trees import plant

if TYPE_CHECKING:
    from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def stat(busy_s: float) -> str:
    ticks = int(busy_s * TICK)
    return f"cpu  {ticks} 0 0 999 5 0 0 0 77 0\ncpu0 1 2 3\n"


def test_other_processes_are_what_the_cpus_did_beyond_this_one(tmp_path: Path) -> None:
    window = conditions.Window(root=plant(tmp_path, {"proc/stat": stat(100)}))
    window.open()
    plant(tmp_path, {"proc/stat": stat(105)})
    other_cpus = window.close(10_000_000_000).conditions["other_cpus"]
    # this process itself takes a little of the 0.5 while the test runs
    assert 0.4 < other_cpus <= 0.5


@pytest.mark.parametrize(
    "text", ["", "cpu  1 2 x 4 5 6 7 8\n", "intr 1 2 3 4 5 6 7 8 9\n", "cpu 1"]
)
def test_other_processes_are_not_known_when_the_kernel_talks_nonsense(
    tmp_path: Path, text: str
) -> None:
    window = conditions.Window(root=plant(tmp_path, {"proc/stat": text}))
    window.open()
    assert window.close(10**9).conditions["other_cpus"] is None


def test_another_board_than_the_one_asked_for_is_refused_with_both_names() -> None:
    facts = BoardFacts("local", "Intel N100")
    with pytest.raises(
        UnsupportedError, match=r"jetson-nano was asked for.*'local' \(Intel N100\)"
    ):
        conditions.require_board("jetson-nano", facts)
    conditions.require_board(None, facts)
    conditions.require_board("jetson-nano", BoardFacts("jetson-nano", "Nano"))
