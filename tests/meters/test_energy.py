from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.meters import energy
from tests.fake_trees import plant

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ZONE = "sys/class/powercap/intel-rapl:0"


def test_meter_of_a_pc_measures_the_window(tmp_path: Path) -> None:
    root = plant(tmp_path, {f"{ZONE}/name": "package-0", f"{ZONE}/energy_uj": 7_000_000})
    meter, reason = energy.open_meter(root)
    assert reason is None
    assert meter is not None
    meter.start()
    plant(tmp_path, {f"{ZONE}/energy_uj": 9_250_000})
    reading = meter.stop()
    assert reading.joules == 2.25
    assert reading.rule == "package-0, RAPL's counters: the processors, and memory where named"
    assert reading.window_ns > 0


def test_counter_that_vanishes_in_the_window_is_a_reason(tmp_path: Path) -> None:
    root = plant(tmp_path, {f"{ZONE}/name": "package-0", f"{ZONE}/energy_uj": 7_000_000})
    meter, _ = energy.open_meter(root)
    assert meter is not None
    meter.start()
    (tmp_path / ZONE / "energy_uj").unlink()
    assert meter.stop().reason == "the energy counter package-0 could not be read"


def test_machine_without_a_sensor_names_every_one_that_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    meter, reason = energy.open_meter(str(tmp_path))
    assert meter is None
    assert reason is not None
    assert reason.startswith("no sensor measured it: ")
    assert all(f"{name}: " in reason for name in ("tegrastats", "ina3221", "rapl"))
    assert "nvml" not in reason  # a GPU's energy is not that of work on the CPU
