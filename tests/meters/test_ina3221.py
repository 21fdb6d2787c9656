from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import ina3221, rails
from edgedeploy.meters.counters import monotonic_ns
from tests.fake_trees import forbidden, plant

if TYPE_CHECKING:
    from pathlib import Path


def _hwmon(number: int, name: str, channels: list[tuple[str, int, int]]) -> dict[str, str]:
    """An hwmon folder; channels are (label, millivolts, milliamperes), the first is number 1."""
    folder = f"sys/class/hwmon/hwmon{number}"
    files = {f"{folder}/name": f"{name}\n"}
    for channel, (label, millivolts, milliamperes) in enumerate(channels, start=1):
        files[f"{folder}/in{channel}_label"] = f"{label}\n"
        files[f"{folder}/in{channel}_input"] = f"{millivolts}\n"
        files[f"{folder}/curr{channel}_input"] = f"{milliamperes}\n"
    return files


ORIN_NANO = _hwmon(
    3, "ina3221", [("VDD_IN", 4984, 960), ("VDD_CPU_GPU_CV", 4984, 120), ("VDD_SOC", 4984, 280)]
)


def test_rails_of_hwmon_are_volts_times_amperes(tmp_path: Path) -> None:
    root = plant(tmp_path, {**_hwmon(0, "nvme", [("Composite", 1, 1)]), **ORIN_NANO})
    assert ina3221.read_rails_mw(root) == {"VDD_IN": 4785, "VDD_CPU_GPU_CV": 598, "VDD_SOC": 1396}
    assert ina3221.probe(root) == (True, None, None)


def test_sums_and_shunts_are_not_rails(tmp_path: Path) -> None:
    sums = [
        *[("A", 1000, 1)] * 3,
        ("sum", 1000, 9),
        ("x", 1, 1),
        ("y", 1, 1),
        ("sum of shunts", 1, 1),
    ]
    root = plant(tmp_path, _hwmon(1, "ina3221", sums))
    assert ina3221.read_rails_mw(root) == {"A": 1}


def test_channels_that_are_off_or_not_connected_are_left_out(tmp_path: Path) -> None:
    files = _hwmon(1, "ina3221", [("NC", 100, 1), ("VDDQ_VDD2_1V8AO", 5000, 100), ("OFF", 4, 4)])
    del files["sys/class/hwmon/hwmon1/curr3_input"]
    assert ina3221.read_rails_mw(plant(tmp_path, files)) == {"VDDQ_VDD2_1V8AO": 500}


def test_two_monitors_of_an_agx_orin_make_its_module_power(tmp_path: Path) -> None:
    first = [("VDD_GPU_SOC", 12008, 280), ("VDD_CPU_CV", 12008, 40), ("VIN_SYS_5V0", 4968, 980)]
    second = [("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 4968, 100), ("NC", 0, 0)]
    root = plant(tmp_path, {**_hwmon(4, "ina3221", first), **_hwmon(5, "ina3221", second)})
    power = rails.module_power(ina3221.read_rails_mw(root), "agx-orin")
    assert power is not None
    assert power.milliwatts == 3362 + 480 + 4869


def test_thor_carrier_gives_microwatts(tmp_path: Path) -> None:
    folder = "sys/class/hwmon/hwmon7"
    files = {f"{folder}/name": "ina238", f"{folder}/power1_input": "19780000"}
    assert ina3221.read_rails_mw(plant(tmp_path, files)) == {"VIN": 19780}


def test_old_iio_driver_gives_milliwatts_by_label(tmp_path: Path) -> None:
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    files: dict[str, str | bytes | int] = {"sys/bus/i2c/drivers/ina3221x/bind": ""}
    for channel, label in enumerate(["POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"]):
        files[f"{folder}/rail_name_{channel}"] = label
        files[f"{folder}/in_power{channel}_input"] = 2104 - 900 * channel
    expected = {"POM_5V_IN": 2104, "POM_5V_GPU": 1204, "POM_5V_CPU": 304}
    assert ina3221.read_rails_mw(plant(tmp_path, files)) == expected


@pytest.mark.parametrize("junk", ["", "many", "\0", "12 ma", "9" * 300])
def test_junk_in_a_channel_is_no_rail(tmp_path: Path, junk: str) -> None:
    files = {**ORIN_NANO, "sys/class/hwmon/hwmon3/curr1_input": junk}
    assert "VDD_IN" not in ina3221.read_rails_mw(plant(tmp_path, files))


def test_forbidden_rails_ask_for_root(open_folder: Path) -> None:
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    root = plant(open_folder, {f"{folder}/rail_name_0": "POM_5V_IN"})
    state = ina3221.probe(root)
    assert state.reason == "an INA3221 is here, but none of its rails is read"
    plant(open_folder, {f"{folder}/in_power0_input": 2104})
    with forbidden(open_folder / folder / "in_power0_input"):
        state = ina3221.probe(root)
    assert state.reason == "an INA3221 is here, but its rails may be read by root only"
    assert state.fix == "run as root: sudo -E $(command -v edgedeploy) profile …"


def test_reader_gives_the_rails_with_a_time_and_their_steps(tmp_path: Path) -> None:
    folder = "sys/class/hwmon/hwmon3"
    shunts = {f"{folder}/shunt1_resistor": 5000, f"{folder}/shunt2_resistor": 0}
    reader, reason = ina3221.open_reader(plant(tmp_path, {**ORIN_NANO, **shunts}))
    assert reason is None
    assert reader is not None
    before_ns = monotonic_ns()
    (sample,) = reader.read()
    assert before_ns <= sample.t_ns <= monotonic_ns()
    assert sample.rails_mw["VDD_IN"] == 4785
    assert reader.steps_mw() == {"VDD_IN": pytest.approx(39.872)}  # 40 µV / 5 mΩ x 4.984 V
    plant(tmp_path, {f"{folder}/in1_input": 5000, f"{folder}/curr1_input": 2000})
    assert reader.read()[0].rails_mw["VDD_IN"] == 10_000


def test_reader_of_a_machine_without_one_says_why(tmp_path: Path) -> None:
    state = ina3221.probe(str(tmp_path))
    assert ina3221.open_reader(str(tmp_path)) == (None, state.reason)


def test_machine_without_a_monitor_says_so(tmp_path: Path) -> None:
    state = ina3221.probe(str(tmp_path))
    assert not state.available
    assert state.reason is not None
    assert "no INA3221" in state.reason
