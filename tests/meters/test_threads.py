from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edgedeploy.meters import threads
from edgedeploy.meters.threads import Thread
from tests.fake_trees import plant
from tests.machines import thread


def test_each_thread_tells_how_often_it_had_to_wait(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        thread(7, waited_ns=11, preempted=22, migrated=33)
        | thread(8, waited_ns=1, preempted=2, migrated=3)
        | {"proc/self/task/x/status": "no thread"},
    )
    assert threads.read(root) == {"7": Thread(11, 22, 33), "8": Thread(1, 2, 3)}


def test_an_older_kernel_names_migrations_without_a_prefix(tmp_path: Path) -> None:
    root = plant(tmp_path, {"proc/self/task/7/sched": "nr_migrations    :    5\n"})
    assert threads.read(root) == {"7": Thread(None, None, 5)}


def test_the_worst_is_the_most_that_one_thread_suffered() -> None:
    before = {"1": Thread(100, 1, 1), "2": Thread(100, 1, None)}
    after = {"1": Thread(150, 9, 1), "2": Thread(400, 2, 7), "3": Thread(10**9, 99, 99)}
    assert threads.worst(before, after) == Thread(300, 8, 0)
    assert threads.worst({}, after) == Thread(None, None, None)


@pytest.mark.parametrize("text", ["", "1 2", "a b c", b"\xff", "-1 -2 -3", "9" * 40 + " 1 2"])
def test_what_makes_no_sense_is_not_known(tmp_path: Path, text: str | bytes) -> None:
    files = {f"proc/self/task/7/{name}": text for name in ("schedstat", "status", "sched")}
    assert threads.read(plant(tmp_path, files)) == {"7": Thread(None, None, None)}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system has no /proc")
def test_the_threads_of_this_process_are_all_there() -> None:
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        found = threads.read()
    finally:
        stop.set()
        other.join()
    assert {str(threading.get_native_id()), str(other.native_id)} <= set(found)
