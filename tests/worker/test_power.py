from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters.counters import Counter, EnergyMeter
from edgedeploy.meters.energy import Choice, Counted
from edgedeploy.meters.sources import SOURCES
from edgedeploy.worker.power import Meter, PowerSeen, idle_seconds
from tests import fake_tegrastats as fake

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Choice(sampled=SOURCES["tegrastats"]._replace(interval_ms=5, gap_s=0.6, start_s=2.0))


def work(seconds: float) -> int:
    """Be busy for a while; return the nanoseconds it took."""
    start_ns = time.perf_counter_ns()
    while time.perf_counter_ns() - start_ns < seconds * 1e9:
        pass
    return time.perf_counter_ns() - start_ns


def measure(window_s: float = 0.15, board: str = "local") -> PowerSeen:
    with Meter(board=board, choice=QUICK) as meter:
        meter.idle(0.1)
        meter.open()
        window_ns = work(window_s)
        meter.stop()
        return meter.close(window_ns)


def install(
    monkeypatch: pytest.MonkeyPatch, folder: Path, does: str, line: str = fake.NANO
) -> None:
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{fake.install(folder / 'bin', does, line)}{os.pathsep}{path}")


def test_energy_is_the_power_of_the_rule_over_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, fake.FOREVER, fake.ORIN_NANO)
    seen = measure(board="jetson-orin-nano")
    assert seen.reason is None
    assert seen.energy is not None
    assert seen.energy["joules"] == pytest.approx(5.0 * seen.energy["window_ns"] / 1e9)
    assert seen.energy["window_ns"] >= 0.15e9
    assert seen.energy["rails_w"]["VDD_SOC"] == pytest.approx(1.4)
    assert (seen.energy["source"], seen.energy["rule"]) == ("tegrastats", "VDD_IN")
    assert seen.energy["idle_w"] == pytest.approx(5.0)
    assert seen.energy["samples"] >= 2
    assert seen.energy["uncertainty_pct"] == pytest.approx(200 * 40 / 12**0.5 / 5000)
    times = seen.energy["trace"]["t_ns"]
    assert times[0] < -0.1e9
    assert times[-1] >= seen.energy["window_ns"]


def test_idle_power_is_that_of_the_time_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    does = (
        "while not os.path.exists('busy'): say(LINE)\n"
        "while True: say(LINE.replace('N 3000/', 'N 7000/'))"
    )
    install(monkeypatch, tmp_path, does)
    monkeypatch.chdir(tmp_path)
    with Meter(choice=QUICK) as meter:
        meter.idle(0.1)
        (tmp_path / "busy").touch()
        work(0.05)
        meter.open()
        window_ns = work(0.1)
        meter.stop()
        energy = meter.close(window_ns).energy
    assert energy is not None
    assert energy["idle_w"] == pytest.approx(3.0)
    assert energy["joules"] / (energy["window_ns"] / 1e9) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (fake.DIES, "of the window: it ended with exit code 3"),
        (fake.STALLS, "of the window: at most 0.6 s is bridged"),
        (fake.GARBAGE, "tegrastats: it has printed no record, but"),
        (fake.NEEDS_ROOT, "run as root: sudo -E $(command -v edgedeploy) profile"),
        ("while True: say(LINE)", None),
    ],
)
def test_whatever_the_sensor_does_there_is_a_number_or_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, reason: str | None
) -> None:
    install(monkeypatch, tmp_path, does)
    seen = measure(window_s=0.3)
    assert (seen.energy is None) == (reason is not None)
    assert (reason or "") in (seen.reason or "")


def test_meter_that_is_left_alone_ends_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, "open('pid', 'w').write(str(os.getpid()))\n" + fake.FOREVER)
    monkeypatch.chdir(tmp_path)
    with Meter(choice=QUICK) as meter:
        meter.open()
    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text()}")  # noqa: PTH110 -- no file


def test_counters_are_read_at_both_ends_and_around_the_idle_time() -> None:
    values = iter([0, 500_000, 500_000, 3_500_000])
    times = iter([0, 10**9, 2 * 10**9, 4 * 10**9])
    counter = Counter("package-0", lambda: next(values))
    counted = Counted("rapl", EnergyMeter([counter], "rule", lambda: next(times)), 0.001)
    waited: list[float] = []
    with Meter(choice=Choice(counted), sleep=waited.append) as meter:
        meter.idle(1.0)
        meter.open()
        meter.stop()
        seen = meter.close(2 * 10**9)
    assert waited == [1.0]
    assert seen == PowerSeen(
        {
            "source": "rapl", "joules": 3.0, "window_ns": 2 * 10**9,
            "rails_w": {"package-0": 1.5}, "rule": "rule", "idle_w": 0.5, "idle_reason": None,
            "samples": 2, "uncertainty_pct": 0.05, "trace": None,
        },
        None,
    )  # fmt: skip


def test_counters_are_looked_at_once_a_minute() -> None:
    reads: list[int] = []

    def read_uj() -> int:
        reads.append(1)
        return len(reads)

    counted = Counted("rapl", EnergyMeter([Counter("package-0", read_uj)], "rule"), 0.001)
    meter = Meter(choice=Choice(counted))
    meter.open()
    for second in range(1, 150):
        meter.tick(float(second))
    assert len(reads) == 1 + 2
    meter.stop()
    assert len(reads) == 1 + 2 + 1


def test_counter_that_stands_still_has_no_energy_and_no_idle_power() -> None:
    meter = Meter(
        choice=Choice(Counted("rapl", EnergyMeter([Counter("package-0", lambda: 5)], "r"), 0.001)),
        sleep=lambda _: None,
    )
    meter.idle(1.0)
    meter.open()
    meter.stop()
    seen = meter.close(1)
    assert seen.energy is None
    assert seen.reason is not None
    assert "did not move" in seen.reason


def test_machine_without_a_sensor_does_not_wait(tmp_path: Path) -> None:
    with Meter(root=str(tmp_path), sleep=lambda _: pytest.fail("it waits for nothing")) as meter:
        meter.idle(2.0)
        meter.open()
        meter.stop()
        seen = meter.close(1)
    assert seen.energy is None
    assert seen.reason is not None
    assert seen.reason.startswith("no sensor measured it: ")


def test_idle_time_follows_the_duration_up_to_two_seconds() -> None:
    assert [idle_seconds(s) for s in (0, 1, 5, 10, 3600)] == [0, 0.2, 1.0, 2.0, 2.0]
