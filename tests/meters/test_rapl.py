from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import rapl
from edgedeploy.meters.counters import EnergyMeter
from tests.fake_trees import forbidden, plant

if TYPE_CHECKING:
    from edgedeploy.meters.counters import EnergyReading

RANGE_UJ = 262_143_328_850


def _zone(name: str, label: str, energy_uj: object) -> dict[str, str]:
    folder = f"sys/class/powercap/{name}"
    return {
        f"{folder}/name": f"{label}\n",
        f"{folder}/energy_uj": f"{energy_uj}\n",
        f"{folder}/max_energy_range_uj": f"{RANGE_UJ}\n",
    }


SERVER = {
    **_zone("intel-rapl:0", "package-0", 1_000_000),
    **_zone("intel-rapl:0:0", "core", 400_000),
    **_zone("intel-rapl:0:1", "dram", 50_000),
    **_zone("intel-rapl:1", "package-1", 2_000_000),
    **_zone("intel-rapl:1:0", "dram", 60_000),
    **_zone("intel-rapl:2", "psys", 9_000_000),
    **_zone("intel-rapl-mmio:0", "package-0", 1_000_000),
    "sys/class/powercap/dtpm/name": "package-0",
}


def _measure(root: str, later: dict[str, str], window_ns: int = 2_000_000_000) -> EnergyReading:
    counters, state = rapl.energy_counters(root)
    assert state.available
    times = iter([0, window_ns])
    meter = EnergyMeter(counters, "rapl", clock_ns=lambda: next(times))
    meter.start()
    plant(Path(root), later)
    return meter.stop()


def test_packages_and_their_memory_are_added_and_nothing_else(tmp_path: Path) -> None:
    later = {
        **_zone("intel-rapl:0", "package-0", 4_000_000),
        **_zone("intel-rapl:0:0", "core", 3_000_000),
        **_zone("intel-rapl:0:1", "dram", 150_000),
        **_zone("intel-rapl:1", "package-1", 3_500_000),
        **_zone("intel-rapl:1:0", "dram", 110_000),
        **_zone("intel-rapl:2", "psys", 99_000_000),
        **_zone("intel-rapl-mmio:0", "package-0", 4_000_000),
    }
    reading = _measure(plant(tmp_path, SERVER), later)
    assert reading.rails == {
        "package-0": 3.0,
        "package-0/dram": 0.1,
        "package-1": 1.5,
        "package-1/dram": 0.05,
    }
    assert reading.joules == pytest.approx(4.65)
    assert (reading.window_ns, reading.reason) == (2_000_000_000, None)


def test_counter_that_starts_again_is_continued(tmp_path: Path) -> None:
    root = plant(tmp_path, _zone("intel-rapl:0", "package-0", RANGE_UJ - 1_000_000))
    reading = _measure(root, _zone("intel-rapl:0", "package-0", 500_000))
    assert reading.joules == 1.5


def test_mmio_counts_where_there_is_nothing_else(tmp_path: Path) -> None:
    root = plant(tmp_path, _zone("intel-rapl-mmio:0", "package-0", 5))
    assert [counter.rail for counter in rapl.energy_counters(root)[0]] == ["package-0"]


def test_dies_that_show_one_counter_count_once(tmp_path: Path) -> None:
    dies = {
        **_zone("intel-rapl:0", "package-0-die-0", 7_000_000_000),
        **_zone("intel-rapl:0:0", "dram", 50_000),
        **_zone("intel-rapl:1", "package-0-die-1", 7_000_000_000),
        **_zone("intel-rapl:1:0", "dram", 50_000),
        **_zone("intel-rapl:2", "package-1-die-0", 8_000_000_000),
        **_zone("intel-rapl:3", "package-1-die-1", 8_000_040_000),
    }
    counters, _ = rapl.energy_counters(plant(tmp_path, dies))
    assert [counter.rail for counter in counters] == [
        "package-0-die-0",
        "package-0-die-0/dram",
        "package-1-die-0",
        "package-1-die-1",  # a counter of its own
    ]


def test_psys_alone_is_no_sensor(tmp_path: Path) -> None:
    state = rapl.probe(plant(tmp_path, _zone("intel-rapl:0", "psys", 5)))
    assert not state.available
    assert state.reason is not None
    assert "shows no RAPL package" in state.reason


def test_forbidden_counter_says_how_to_open_it(open_folder: Path) -> None:
    root = plant(open_folder, SERVER)
    with forbidden(open_folder / "sys/class/powercap/intel-rapl:1/energy_uj"):
        counters, state = rapl.energy_counters(root)
    assert counters == []
    assert not state.available
    assert state.reason is not None
    assert "may be read by root only" in state.reason
    assert state.fix is not None
    assert "sudo chmod" in state.fix


@pytest.mark.parametrize("content", ["", "many", "\0\0", "1e9"])
def test_counter_that_holds_no_number_is_no_sensor(tmp_path: Path, content: str) -> None:
    state = rapl.probe(plant(tmp_path, _zone("intel-rapl:0", "package-0", content)))
    assert not state.available
    assert state.reason == "RAPL's counter package-0 holds no number"


def test_counter_without_a_range_that_goes_back_is_no_reading(tmp_path: Path) -> None:
    zone = _zone("intel-rapl:0", "package-0", 900)
    zone["sys/class/powercap/intel-rapl:0/max_energy_range_uj"] = "0"
    reading = _measure(plant(tmp_path, zone), {"sys/class/powercap/intel-rapl:0/energy_uj": "1"})
    assert reading.joules is None
    assert reading.reason == "the energy counter package-0 was reset in between"


def test_machine_without_rapl_says_why(tmp_path: Path) -> None:
    state = rapl.probe(str(tmp_path))
    assert not state.available
    assert state.reason is not None
    assert "virtual machine or a container" in state.reason
