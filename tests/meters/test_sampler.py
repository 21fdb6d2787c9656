from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import recorder
from edgedeploy.meters.recorder import Order
from edgedeploy.meters.sampler import Sampler
from tests import fake_tegrastats as fake
from tests.fake_trees import plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fake_trees import Tree

QUICK = Order("tegrastats", interval_ms=5, gap_s=0.6, start_s=1.5)
WITH_PID = "open('pid', 'w').write(str(os.getpid()))\n"


@pytest.fixture
def sampler() -> Iterator[Sampler]:
    made = Sampler(QUICK)
    yield made
    made.close()


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, does: str) -> None:
    monkeypatch.chdir(folder)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{fake.install(folder / 'bin', does)}{os.pathsep}{path}")


def has_gone(pid: int, within_s: float = 2.0) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_recording_reaches_beyond_the_moment_it_was_asked_for(
    sampler: Sampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, WITH_PID + fake.FOREVER)
    assert sampler.start() is None
    started_ns = time.perf_counter_ns()
    while time.perf_counter_ns() < started_ns + 50_000_000:
        pass
    asked_ns = time.perf_counter_ns()
    recording, reason = sampler.stop()
    assert reason is None
    assert recording is not None
    assert recording.t_ns[0] < started_ns < asked_ns < recording.t_ns[-1]
    assert set(recording.rails_mw) == {"POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"}
    assert len(recording.rails_mw["POM_5V_IN"]) == len(recording.t_ns)
    assert recording.ended is None
    assert has_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (fake.GARBAGE, "it has printed no record, but"),
        ("time.sleep(60)", "it has printed nothing for 1.5 s"),
        (
            fake.NEEDS_ROOT,
            "fix: run as root: sudo -E $(command -v edgedeploy) profile …); it ended",
        ),
        (
            f"while True: say({fake.WITHOUT_RAILS!r})",
            "it prints no power rails, which may be for root only",
        ),
    ],
)
def test_sensor_without_power_is_known_at_the_start(
    sampler: Sampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, reason: str
) -> None:
    install(monkeypatch, tmp_path, does)
    said = sampler.start()
    assert said is not None
    assert reason in said


def test_death_of_the_sensor_is_in_the_recording(
    sampler: Sampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, "say(LINE)\nsys.exit(3)")
    assert sampler.start() is None
    recording, _ = sampler.stop()
    assert recording is not None
    assert recording.ended == "it ended with exit code 3"
    assert len(recording.t_ns) == 1


def test_death_of_the_sampler_is_a_reason_and_takes_the_sensor_along(
    sampler: Sampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, WITH_PID + fake.FOREVER)
    assert sampler.start() is None
    assert sampler._process is not None
    sampler._process.kill()
    assert has_gone(int((tmp_path / "pid").read_text()))
    assert sampler.stop() == (None, "the sampler's process was ended by signal 9")


def test_sensor_does_not_outlive_a_measuring_process_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, WITH_PID + fake.FOREVER)
    program = (
        "import os, signal\n"
        "from edgedeploy.meters.recorder import Order\n"
        "from edgedeploy.meters.sampler import Sampler\n"
        f"sampler = Sampler(Order{tuple(QUICK)!r})\n"
        "assert sampler.start() is None\n"
        "print(sampler._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert has_gone(int(ended.stdout))
    assert has_gone(int((tmp_path / "pid").read_text()))


def test_python_that_cannot_be_started_is_a_reason(
    sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    reason = "the sampler's process cannot be started: No such file or directory"
    assert sampler.start() == reason


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("import time; time.sleep(0.5)", "the sampler's process has not answered for 0.15 s"),
        ("raise SystemExit(7)", "the sampler's process ended with exit code 7"),
    ],
)
def test_sampler_that_says_nothing_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, reason: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable} -IS\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    patience_s = 0.1 if "sleep" in does else 5.0
    sampler = Sampler(QUICK._replace(start_s=0.05), patience_s)
    assert sampler.start() == reason
    sampler.close()


def test_sysfs_is_asked_at_the_interval(tmp_path: Path) -> None:
    folder = "sys/class/hwmon/hwmon3"
    files: Tree = {
        f"{folder}/name": "ina3221", f"{folder}/in1_label": "VDD_IN",
        f"{folder}/in1_input": 5000, f"{folder}/curr1_input": 960,
        f"{folder}/shunt1_resistor": 5000,
    }  # fmt: skip
    sampler = Sampler(Order("ina3221", 5, 0.3, 0.5, plant(tmp_path, files)))
    assert sampler.start() is None
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        pass
    recording, _ = sampler.stop()
    assert recording is not None
    assert recording.rails_mw["VDD_IN"][:2] == [4800, 4800]
    assert recording.steps_mw == {"VDD_IN": 40.0}
    lasted_ms = (recording.t_ns[-1] - recording.t_ns[0]) / 1e6
    assert 5 < len(recording.t_ns) <= lasted_ms / 5 + 3


def test_sensor_that_is_not_there_is_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = io.StringIO()
    order = Order("battery", 5, 0.3, 0.5, str(tmp_path))
    assert recorder.main([json.dumps(order._asdict())], out) == 0
    assert json.loads(out.getvalue()) == {"reason": "there is no battery"}
    assert capsys.readouterr().out == ""
