from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.analyzing import caches

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def core(root: Path, number: int, *levels: tuple[int, str, str]) -> None:
    """A core and its caches: level, size, which cores share it."""
    for index, (level, size, cores) in enumerate(levels):
        folder = root / f"cpu{number}/cache/index{index}"
        folder.mkdir(parents=True)
        (folder / "level").write_text(f"{level}\n")
        (folder / "size").write_text(f"{size}\n")
        (folder / "shared_cpu_list").write_text(f"{cores}\n")


@pytest.fixture
def chiplets(tmp_path: Path) -> str:
    """Eight cores on four pieces of silicon, each with 32 MiB."""
    for number in range(8):
        pair = f"{number // 2 * 2}-{number // 2 * 2 + 1}"
        own = str(number)
        core(tmp_path, number, (1, "32K", own), (1, "32K", own), (2, "512K", own), (3, "32M", pair))
    (tmp_path / "cpufreq").mkdir()
    return str(tmp_path)


@pytest.mark.parametrize(("threads", "used"), [(1, 1), (2, 2), (4, 4), (8, 4)])
def test_every_last_cache_that_the_threads_can_use_counts_once(
    chiplets: str, threads: int, used: int
) -> None:
    assert caches.array_beyond(threads, chiplets) == 4 * used * 32 * MIB


def test_cores_without_the_third_level_have_their_second(tmp_path: Path) -> None:
    for number in (0, 1):
        core(tmp_path, number, (2, "1M", str(number)), (3, "24M", "0-1"))
    core(tmp_path, 2, (1, "64K", "2"), (2, "2M", "2-3"))
    core(tmp_path, 3, (1, "64K", "3"), (2, "2M", "2-3"))
    assert caches.array_beyond(8, str(tmp_path)) == 4 * 26 * MIB


def test_arrays_of_a_large_server_are_bounded(tmp_path: Path) -> None:
    for number in range(32):
        core(tmp_path, number, (3, "96M", str(number)))
    assert caches.array_beyond(32, str(tmp_path)) == 4 << 30


@pytest.mark.parametrize("there", [True, False])
def test_small_or_unknown_caches_still_have_64_mib(tmp_path: Path, *, there: bool) -> None:
    if there:
        core(tmp_path, 0, (2, "2048K", "0"))
    assert caches.array_beyond(4, str(tmp_path)) == 64 * MIB


def test_what_is_not_said_is_taken_as_each_cores_own(tmp_path: Path) -> None:
    for number in (0, 1):
        core(tmp_path, number, (3, "32M", ""))
        (tmp_path / f"cpu{number}/cache/index0/level").unlink()
        (tmp_path / f"cpu{number}/cache/index0/shared_cpu_list").unlink()
    assert caches.array_beyond(2, str(tmp_path)) == 256 * MIB
    (tmp_path / "cpu1/cache/index0/size").write_text("lots")
    assert caches.array_beyond(2, str(tmp_path)) == 128 * MIB
