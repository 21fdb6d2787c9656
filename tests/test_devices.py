from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgedeploy import devices
from edgedeploy.errors import UnknownNameError, UnsupportedError
from edgedeploy.meters import board, rails
from edgedeploy.types import Precision
from tests.fake_trees import NANO, ORIN_NANO, PC, plant

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.devices import Device

BOARDS = [device for device in devices.table() if device.is_jetson]


def test_every_board_that_is_detected_or_measured_has_a_row() -> None:
    detected = {f"jetson-{name}" for _, name in (*board._PARTS, *board._MODELS)}
    measured = {f"jetson-{name}" for name in rails.boards()}
    assert {device.name for device in BOARDS} == detected == measured


@pytest.mark.parametrize("device", BOARDS, ids=lambda device: device.name)
def test_row_agrees_with_what_the_gpu_can_do(device: Device) -> None:
    assert device.compute_capability is not None
    if device.tensorrt_ends == "none":
        assert not (device.fp16)
        assert not (device.int8)
        assert not device.jetpacks
        return
    precisions = devices.gpu_precisions(device.compute_capability)
    assert device.fp16 == (Precision.FP16 in precisions)
    assert device.int8 == (Precision.INT8 in precisions)
    assert device.jetpacks


@pytest.mark.parametrize("device", BOARDS, ids=lambda device: device.name)
def test_releases_of_a_row_agree_with_the_detection(device: Device) -> None:
    pythons = {"32": "3.6", "35": "3.8", "36": "3.10", "38": "3.12", "39": "3.12"}
    for release in device.jetpacks:
        assert release.python == pythons[release.l4t.split(".")[0]]
        if "x" not in release.jetpack:
            assert board._JETPACKS[release.l4t] == release.jetpack
    order = [[int(part) for part in r.l4t.split(".") if part != "x"] for r in device.jetpacks]
    assert order == sorted(order, reverse=True)


def test_nano_says_what_it_cannot_do() -> None:
    nano = devices.find("jetson-nano")
    assert nano.cannot == ("no INT8", "no TensorRT after 8.2", "no DLA")
    assert nano.power_rails == ("POM_5V_IN",)
    assert nano.compute_capability == "5.3"


def test_tk1_has_neither_tensorrt_nor_a_power_sensor() -> None:
    assert {"no TensorRT", "no power sensor"} <= set(devices.find("jetson-tk1").cannot)


def test_local_is_limited_by_no_table() -> None:
    local = devices.find("local")
    assert local.cannot == ()
    assert local.power_rails == ()
    devices.check_precision(local, Precision.INT8)


def test_unknown_device_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'jetson-nano'"):
        devices.find("jetson-nanno")


@pytest.mark.parametrize(
    ("tree", "name"), [(NANO, "jetson-nano"), (ORIN_NANO, "jetson-orin-nano"), (PC, "local")]
)
def test_this_machine_gets_its_row(
    tmp_path: Path, tree: dict[str, str | bytes | int], name: str
) -> None:
    here = devices.here(plant(tmp_path, tree))
    assert (here.facts.name, here.device.name) == (name, name)


@pytest.mark.parametrize("name", ["jetson-nano", "jetson-tx1", "jetson-tx2"])
def test_int8_is_refused_where_the_gpu_has_none(name: str) -> None:
    device = devices.find(name)
    with pytest.raises(UnsupportedError, match="cannot run int8 with TensorRT") as caught:
        devices.check_precision(device, Precision.INT8)
    assert str(device.compute_capability) in caught.value.problem
    assert "use --fp16" in caught.value.fix
    devices.check_precision(device, Precision.FP16)
    devices.check_precision(device, Precision.FP32)


def test_nothing_is_built_for_a_board_without_tensorrt() -> None:
    with pytest.raises(UnsupportedError, match="TensorRT was never released for it"):
        devices.check_precision(devices.find("jetson-tk1"), Precision.FP32)


@pytest.mark.parametrize(
    ("capability", "precisions"),
    [
        ("5.2", "fp32"),
        ("6.0", "fp32 fp16"),
        ("6.1", "fp32 int8"),
        ("7.5", "fp32 fp16 int8"),
        ("12.0", "fp32 fp16 int8"),
    ],
)
def test_gpu_precisions_follow_the_compute_capability(capability: str, precisions: str) -> None:
    found = [precision.value for precision in devices.gpu_precisions(capability)]
    assert found == precisions.split()


def test_row_fits_its_columns() -> None:
    assert all(len(devices.row(device)) == len(devices.COLUMNS) for device in devices.table())
    assert devices.row(devices.find("jetson-nano")) == (
        "jetson-nano",
        "no INT8, no TensorRT after 8.2, no DLA",
        "sm 5.3",
        "2 or 4 GB",
        "fp32 fp16",
        "0",
        "8.2.1 (JetPack 4.6.6)",
    )


def test_json_holds_the_row_and_what_follows_from_it() -> None:
    document = json.loads(json.dumps(devices.to_json(devices.find("jetson-agx-orin"))))
    assert document["name"] == "jetson-agx-orin"
    assert document["power_rails"] == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]
    assert document["cannot"] == []
    assert document["jetpacks"][0]["tensorrt"] == "10.16.2"
