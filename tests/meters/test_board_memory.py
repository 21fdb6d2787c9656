from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from edgedeploy.meters import board_memory, device_memory, ram_reader
from edgedeploy.meters.board_memory import HeldInNvmap, UsedByTegrastats
from edgedeploy.meters.device_memory import DeviceMemory
from tests import fake_tegrastats as fake
from tests.fake_trees import meminfo, plant

MIB = 1 << 20
CLIENTS = "sys/kernel/debug/nvmap/iovmm/clients"


def clients(*rows: tuple[str, str, int, int]) -> str:
    """The list of nvmap, as NVIDIA's kernels print it."""
    lines = [f"{'CLIENT':<18} {'PROCESS':>18} {'PID':>8} {'SIZE':>11}"]
    lines += [f"{row[0]:<18} {row[1]:>18} {row[2]:>8} {row[3]:>10}K" for row in rows]
    total = sum(row[3] for row in rows)
    return "\n".join([*lines, f"{'total':<18} {'':>18} {'':>8} {total:>10}K", ""])


def install(monkeypatch: pytest.MonkeyPatch, root: str, does: str, line: str = fake.NANO) -> None:
    """Put a tegrastats into the tree, where the path leads."""
    fake.install(Path(root) / "opt/bin", does, line)
    monkeypatch.setenv("PATH", "/opt/bin")


def board(folder: Path, name: str = "python3") -> str:
    return plant(folder / "root", meminfo(3956, 1210) | {"proc/self/comm": f"{name}\n"})


def test_nvmap_tells_what_all_clients_of_this_process_hold(tmp_path: Path) -> None:
    root = board(tmp_path, "python 3 w")
    rows = [
        ("user", "python 3 w", 47, 1000),
        ("user", "python 3 w", 4711, 2048),
        ("user", "python 3 w", 4711, 512),
        ("user", "Xorg", 4711, 77),
        ("nvgpu", "kernel", 0, 999),
    ]
    plant(tmp_path / "root", {CLIENTS: clients(*rows)})
    gauge = HeldInNvmap(root, 4711)
    assert gauge.read() == 2560 << 10
    assert HeldInNvmap(root, 1).read() == 0
    (tmp_path / "root" / CLIENTS).unlink()
    assert (gauge.read(), gauge.reason) == (None, "its list cannot be read")


def test_nvmap_is_believed_before_the_whole_boards_memory(tmp_path: Path) -> None:
    root = board(tmp_path)
    plant(tmp_path / "root", {CLIENTS: clients(("user", "Xorg", 5, 77))})
    memory = DeviceMemory(device_memory.gauges(shares_memory=True, root=root, pid=4711))
    memory.read("start")
    plant(tmp_path / "root", {CLIENTS: clients(("user", "python3", 4711, 1000))})
    memory.read("steady")
    found = memory.seen()
    assert found.phases == {"start": 0, "steady": 1_024_000}
    assert "nvmap" in str(found.rule)
    assert found.reason is None


def test_without_root_it_is_the_change_that_tegrastats_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, used = board(tmp_path), tmp_path / "used"
    does = f"used = open({str(used)!r}).read()\nwhile True: say(LINE.replace('RAM 1200', used))"
    install(monkeypatch, root, does)
    memory = DeviceMemory(board_memory.gauges(root))
    for phase, text in {"start": "RAM 1200", "load": "RAM 1190", "steady": "RAM 1500"}.items():
        used.write_text(text)
        memory.read(phase)
    found = memory.seen()
    assert found.phases == {"start": 0, "load": -10 * MIB, "steady": 300 * MIB}
    assert found.rule == (
        "the change of the whole board's used RAM since the start, which CPU and GPU share "
        "(tegrastats, ±1 MB); other programs are in it"
    )
    assert found.reason is None


@pytest.mark.parametrize("does", [fake.NEEDS_ROOT, None], ids=["root only", "absent"])
def test_without_tegrastats_it_is_that_of_linux_which_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str | None
) -> None:
    root = board(tmp_path)
    monkeypatch.setenv("PATH", "/opt/bin")
    if does is not None:
        install(monkeypatch, root, does)
    memory = DeviceMemory(board_memory.gauges(root))
    memory.read("start")
    plant(tmp_path / "root", meminfo(3956, 1110))
    memory.read("steady")
    found = memory.seen()
    assert found.phases == {"start": 0, "steady": 100 * MIB}
    assert "(/proc/meminfo, MemTotal less MemAvailable)" in str(found.rule)


def test_nothing_at_all_is_a_reason_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(tmp_path, {"proc/self/comm": "x"})
    install(monkeypatch, root, "sys.exit(5)")
    memory = DeviceMemory(board_memory.gauges(root))
    memory.read("start")
    found = memory.seen()
    assert (found.rule, found.phases) == (None, None)
    assert found.reason == (
        "tegrastats: it has printed nothing; it ended with exit code 5; "
        "/proc/meminfo: it cannot be read"
    )


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("time.sleep(60)", "it has printed nothing; waited for 0.3 s"),
        ("say('RAM'); time.sleep(60)", "it has printed no record, but 'RAM'; waited for 0.3 s"),
        (
            "while True: say(LINE[LINE.index('CPU'):])",
            "it prints no RAM; waited for 0.3 s",
        ),
        (
            fake.NEEDS_ROOT,
            "run as root: sudo -E $(command -v edgedeploy) profile …); it ended with exit code 1",
        ),
    ],
    ids=["silent", "cut", "no RAM", "root only"],
)
def test_a_tegrastats_that_tells_no_ram_is_ended_and_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, reason: str
) -> None:
    pid = tmp_path / "pid"
    install(monkeypatch, str(tmp_path), f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n{does}")
    used_mb, why = ram_reader.read(str(tmp_path), patience_s=0.3)
    assert used_mb is None
    assert str(why).endswith(reason)
    assert not Path("/proc", pid.read_text()).exists()


def test_the_reader_answers_in_one_line_of_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, str(tmp_path), fake.FOREVER, fake.WITHOUT_RAILS)
    with redirect_stdout(io.StringIO()) as out:
        assert ram_reader.main([str(tmp_path)]) == 0
    assert json.loads(out.getvalue()) == {"ram_used_mb": 1200, "reason": None}


def test_a_reader_that_dies_or_hangs_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, str(tmp_path), "os.kill(os.getppid(), 9)")
    gauge = UsedByTegrastats(str(tmp_path))
    assert (gauge.read(), gauge.reason) == (None, "its reader ended with -9")
    install(monkeypatch, str(tmp_path), "time.sleep(60)")
    gauge = UsedByTegrastats(str(tmp_path), patience_s=0.3)
    assert (gauge.read(), gauge.reason) == (None, "its reader ended with -9")


def test_a_reader_that_cannot_be_started_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    gauge = UsedByTegrastats("/")
    assert gauge.read() is None
    assert gauge.reason == "its reader cannot be started: No such file or directory"


def test_a_reading_that_came_leaves_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, str(tmp_path), fake.FOREVER)
    gauge = UsedByTegrastats(str(tmp_path))
    assert (gauge.read(), gauge.reason) == (1200 * MIB, None)


def test_tegrastats_does_not_outlive_a_measuring_process_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, killed = tmp_path / "pid", tmp_path / "killed"
    does = (
        f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        f"os.kill(int(open({str(killed)!r}).read()), 9)\n"
        "time.sleep(60)"
    )
    install(monkeypatch, str(tmp_path), does)
    program = (
        "import os\n"
        "from edgedeploy.meters.board_memory import UsedByTegrastats\n"
        f"open({str(killed)!r}, 'w').write(str(os.getpid()))\n"
        f"UsedByTegrastats({str(tmp_path)!r}).read()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert has_gone(int(pid.read_text()))


def has_gone(pid: int) -> bool:
    """Return whether a process ends within two seconds; one that nobody waits for has, too."""
    until_s = time.monotonic() + 2
    while time.monotonic() < until_s:
        try:
            state = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.005)
    return False
