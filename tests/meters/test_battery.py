from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import battery
from tests.fake_trees import plant

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_trees import Tree

FOLDER = "sys/class/power_supply"


def _battery(name: str, **files: str | int) -> Tree:
    known: dict[str, str | int] = {"type": "Battery", "status": "Discharging", **files}
    return {f"{FOLDER}/{name}/{key}": value for key, value in known.items()}


def _power(root: str) -> list[dict[str, int]]:
    reader, reason = battery.open_reader(root)
    assert reason is None
    assert reader is not None
    return [sample.rails_mw for sample in reader.read()]


def test_power_is_read_in_microwatts(tmp_path: Path) -> None:
    assert _power(plant(tmp_path, _battery("BAT0", power_now=7_512_000))) == [{"battery": 7512}]


def test_power_is_volts_times_amperes_where_it_is_not_told(tmp_path: Path) -> None:
    gauge = _battery("BAT0", voltage_now=12_000_000, current_now=-500_000)
    assert _power(plant(tmp_path, gauge)) == [{"battery": 6000}]


def test_two_batteries_are_added_and_the_one_that_rests_is_not(tmp_path: Path) -> None:
    files = {
        **_battery("BAT0", power_now=4_000_000),
        **_battery("BAT1", power_now=3_000_000),
        **_battery("BAT2", power_now=9_000_000, status="Unknown"),
        **_battery("hid-mouse", power_now=1_000_000, scope="Device"),
        f"{FOLDER}/AC/type": "Mains",
    }
    assert _power(plant(tmp_path, files)) == [{"battery": 7000}]


def test_charger_makes_it_no_sensor(tmp_path: Path) -> None:
    root = plant(tmp_path, _battery("BAT0", power_now=4_000_000, status="Charging"))
    state = battery.probe(root)
    assert not state.available
    assert state.reason is not None
    assert "is not discharging" in state.reason
    assert state.fix == "unplug the charger"
    assert battery.open_reader(root) == (None, state.reason)


def test_charger_that_is_plugged_in_ends_the_measurement(tmp_path: Path) -> None:
    root = plant(tmp_path, _battery("BAT0", power_now=4_000_000))
    reader, _ = battery.open_reader(root)
    assert reader is not None
    plant(tmp_path, {f"{FOLDER}/BAT0/status": "Full"})
    assert reader.read() == []
    assert reader.ended == "the battery stopped discharging"


@pytest.mark.parametrize("junk", ["", "many", "\0"])
def test_gauge_without_a_number_is_no_sensor(tmp_path: Path, junk: str) -> None:
    state = battery.probe(plant(tmp_path, _battery("BAT0", power_now=junk)))
    assert state.reason == "the battery's gauge does not tell its power"


def test_no_battery_is_said(tmp_path: Path) -> None:
    assert battery.probe(str(tmp_path)).reason == "there is no battery"
