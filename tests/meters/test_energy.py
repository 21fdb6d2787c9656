from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import energy
from tests.fake_trees import plant

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_trees import Tree

ZONE = "sys/class/powercap/intel-rapl:0"
RAPL: Tree = {f"{ZONE}/name": "package-0", f"{ZONE}/energy_uj": 7_000_000}
MONITOR: Tree = {
    "sys/class/hwmon/hwmon3/name": "ina3221",
    "sys/class/hwmon/hwmon3/in1_label": "VDD_IN",
    "sys/class/hwmon/hwmon3/in1_input": 5000,
    "sys/class/hwmon/hwmon3/curr1_input": 960,
}
BATTERY: Tree = {
    "sys/class/power_supply/BAT0/type": "Battery",
    "sys/class/power_supply/BAT0/status": "Discharging",
    "sys/class/power_supply/BAT0/power_now": 5_000_000,
}


@pytest.fixture(autouse=True)
def _only_its_own_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")


def _with_tegrastats(root: Path) -> None:
    plant(root, {"usr/bin/tegrastats": "#!/bin/sh\n"})
    (root / "usr/bin/tegrastats").chmod(0o755)


def test_counters_of_a_pc_measure_the_window(tmp_path: Path) -> None:
    counted = energy.choose(plant(tmp_path, RAPL)).counted
    assert counted is not None
    counted.meter.start()
    plant(tmp_path, {f"{ZONE}/energy_uj": 9_250_000})
    reading = counted.meter.stop()
    assert (counted.name, reading.joules) == ("rapl", 2.25)
    assert reading.rule == "package-0, RAPL's counters: the processors, and memory where named"
    assert reading.window_ns > 0


def test_counter_that_vanishes_in_the_window_is_a_reason(tmp_path: Path) -> None:
    counted = energy.choose(plant(tmp_path, RAPL)).counted
    assert counted is not None
    counted.meter.start()
    (tmp_path / ZONE / "energy_uj").unlink()
    assert counted.meter.stop().reason == "the energy counter package-0 could not be read"


def test_monitors_of_the_module_come_before_everything_else(tmp_path: Path) -> None:
    root = plant(tmp_path, {**RAPL, **MONITOR, **BATTERY})
    _with_tegrastats(tmp_path)
    for runs_on in ("cpu", "gpu"):
        source = energy.choose(root, runs_on, "jetson-orin-nano").sampled
        assert source is not None
        assert source.name == "ina3221"


def test_tegrastats_is_asked_where_the_monitors_do_not_make_the_total(tmp_path: Path) -> None:
    root = plant(tmp_path, {**RAPL, **MONITOR})
    _with_tegrastats(tmp_path)
    source = energy.choose(root, "cpu", "jetson-agx-orin").sampled
    assert source is not None
    assert source.name == "tegrastats"


def test_board_without_a_sensor_is_not_asked(tmp_path: Path) -> None:
    _with_tegrastats(tmp_path)
    reason = energy.choose(str(tmp_path), "cpu", "jetson-tk1").reason
    assert reason is not None
    assert reason.startswith("no sensor measured it: module: a jetson-tk1 has no power sensor; ")


def test_battery_comes_last(tmp_path: Path) -> None:
    assert energy.choose(plant(tmp_path, {**RAPL, **BATTERY})).counted is not None
    (tmp_path / ZONE / "energy_uj").unlink()
    source = energy.choose(str(tmp_path)).sampled
    assert source is not None
    assert source.name == "battery"


def test_machine_without_a_sensor_names_every_one_that_was_tried(tmp_path: Path) -> None:
    reason = energy.choose(str(tmp_path)).reason
    assert reason is not None
    assert reason.startswith("no sensor measured it: ")
    assert all(f"{name}: " in reason for name in ("tegrastats", "ina3221", "rapl", "battery"))
    assert "nvml" not in reason  # a GPU's energy is not that of work on the CPU


def test_monitors_of_a_board_that_they_do_not_add_up_for_are_a_reason(tmp_path: Path) -> None:
    reason = energy.choose(plant(tmp_path, MONITOR), "cpu", "jetson-agx-orin").reason
    assert reason is not None
    assert "ina3221: it does not give the rails that the module's power needs" in reason
