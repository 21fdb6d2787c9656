from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from edgedeploy.meters import energy, nvml

if TYPE_CHECKING:
    import pytest


class FakeNvml:
    """The five functions of pynvml that are used, of one GPU."""

    class NVMLError(Exception):
        """As pynvml's."""

    def __init__(self, *, energy_mj: list[int] | None = None, power_mw: int | None = None) -> None:
        self._energy_mj = None if energy_mj is None else iter(energy_mj)
        self.power_mw = power_mw

    def nvmlInit(self) -> None:  # noqa: N802 -- NVML's name
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802 -- NVML's name
        if index != 0:
            raise self.NVMLError("Invalid Argument")
        return 77

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802 -- NVML's name
        assert handle == 77
        if self._energy_mj is None:
            raise self.NVMLError("Not Supported")
        energy_mj = next(self._energy_mj, None)
        if energy_mj is None:
            raise self.NVMLError("GPU is lost")
        return energy_mj

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802 -- NVML's name
        assert handle == 77
        if self.power_mw is None:
            raise self.NVMLError("Not Supported")
        return self.power_mw


def test_energy_counter_gives_the_joules_of_a_window() -> None:
    library = FakeNvml(energy_mj=[0, 100_000, 104_500], power_mw=1)
    counted = energy.choose(runs_on="gpu", library=library).counted
    assert counted is not None
    assert (counted.name, counted.period_s) == ("nvml", 0.1)
    counted.meter.start()
    reading = counted.meter.stop()
    assert reading.joules == 4.5
    assert reading.rails == {"gpu-0": 4.5}
    assert "the host is not in it" in reading.rule


def test_driver_that_was_reloaded_gives_no_number() -> None:
    counted = energy.choose(runs_on="gpu", library=FakeNvml(energy_mj=[0, 100_000, 3])).counted
    assert counted is not None
    counted.meter.start()
    reading = counted.meter.stop()
    assert reading.joules is None
    assert reading.reason == "the energy counter gpu-0 was reset in between"


def test_jetson_that_does_not_support_it_is_a_reason_and_not_zero() -> None:
    library = FakeNvml()
    state = nvml.probe(library)
    assert not state.available
    assert state.reason is not None
    assert "does not give the power of this GPU (Not Supported)" in state.reason
    assert "tegrastats and INA3221" in state.reason
    assert nvml.energy_counters(library)[0] == []
    reader, why = nvml.open_reader(library)
    assert (reader, why) == (None, state.reason)
    reason = energy.choose(runs_on="gpu", library=library).reason
    assert reason is not None
    assert "nvml: NVML does not give the energy" in reason


def test_power_alone_makes_the_sensor_available() -> None:
    library = FakeNvml(power_mw=15_250)
    assert nvml.probe(library).available
    reader, why = nvml.open_reader(library)
    assert why is None
    assert reader is not None
    assert [sample.rails_mw for sample in reader.read()] == [{"gpu-0": 15_250}]
    library.power_mw = None
    assert reader.read() == []
    assert nvml.energy_counters(library)[0] == []


def test_power_is_sampled_where_there_is_no_counter() -> None:
    source = energy.choose(runs_on="gpu", library=FakeNvml(power_mw=15_250)).sampled
    assert source is not None
    assert source.name == "nvml"


def test_missing_gpu_is_a_reason() -> None:
    state = nvml.probe(FakeNvml(power_mw=1), index=3)
    assert state.reason == "there is no NVIDIA GPU 3 with its driver here (NVML: Invalid Argument)"
    assert nvml.open_reader(FakeNvml(power_mw=1), index=3)[0] is None
    counters, state = nvml.energy_counters(FakeNvml(energy_mj=[1]), index=3)
    assert counters == []
    assert state.reason is not None
    assert "no NVIDIA GPU 3" in state.reason


def test_gpu_that_is_lost_in_the_window_gives_no_number() -> None:
    counted = energy.choose(runs_on="gpu", library=FakeNvml(energy_mj=[0, 100_000])).counted
    assert counted is not None
    counted.meter.start()
    reading = counted.meter.stop()
    assert reading.joules is None
    assert reading.reason == "the energy counter gpu-0 could not be read"


def test_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    state = nvml.probe()
    assert state.reason == "the package 'pynvml' is not installed"
    assert state.fix == "pip install 'edgedeploy[nvml]'"
