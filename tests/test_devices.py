from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgedeploy import devices
from edgedeploy.errors import UnknownNameError, UnsupportedError, UsageError
from edgedeploy.meters import board, rails
from edgedeploy.types import Precision
from tests.fake_trees import NANO, ORIN_NANO, PC, plant

if TYPE_CHECKING:
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
        assert board._JETPACKS[release.l4t] == release.jetpack
    order = [[int(part) for part in r.l4t.split(".")] for r in device.jetpacks]
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


def _released(device: str, jetpack: str | None = None) -> tuple[str, str, str, str]:
    row = devices.release(devices.find(device), jetpack)
    return row.jetpack, row.tensorrt, row.cuda, row.python


@pytest.mark.parametrize(
    ("device", "asked", "brings"),
    [
        ("jetson-nano", None, ("4.6.6", "8.2.1", "10.2", "3.6")),
        ("jetson-nano", "4.6", ("4.6", "8.0.1", "10.2", "3.6")),
        ("jetson-nano", "4.6.1", ("4.6.1", "8.2.1", "10.2", "3.6")),
        ("jetson-nano", "4.6.x", ("4.6.6", "8.2.1", "10.2", "3.6")),
        ("jetson-tx2", "4.4.1", ("4.4.1", "7.1.3", "10.2", "3.6")),
        ("jetson-xavier-nx", "5.0.2", ("5.0.2", "8.4.1", "11.4", "3.8")),
        ("jetson-xavier-nx", "5", ("5.1.6", "8.5.2", "11.4", "3.8")),
        ("jetson-agx-orin", "6.0", ("6.0", "8.6.2", "12.2", "3.10")),
        ("jetson-orin-nano", "6.1", ("6.1", "10.3.0", "12.6", "3.10")),
        ("jetson-orin-nano", "6.x", ("6.2.2", "10.3.0", "12.6", "3.10")),
        ("jetson-agx-thor", "7.0", ("7.0", "10.13.3", "13.0", "3.12")),
        ("jetson-agx-thor", None, ("7.2.1", "10.16.2", "13.2", "3.12")),
    ],
)
def test_jetpack_says_what_it_brings(
    device: str, asked: str | None, brings: tuple[str, str, str, str]
) -> None:
    assert _released(device, asked) == brings


def test_jetpack_that_a_board_does_not_run_is_refused_with_those_it_does() -> None:
    with pytest.raises(UsageError, match=r"JetPack '6.2' is not in the table for Jetson Nano") as e:
        devices.release(devices.find("jetson-nano"), "6.2")
    assert e.value.fix.startswith("use one of: 4.6.6, 4.6.5")
    with pytest.raises(UsageError, match=r"'4\.' is not in the table"):
        devices.release(devices.find("jetson-nano"), "4.")


def test_pc_has_no_jetpack_and_a_tk1_no_tensorrt() -> None:
    with pytest.raises(UsageError, match="'local' is no board of the table"):
        devices.release(devices.find("local"))
    with pytest.raises(UnsupportedError, match="TensorRT was never released for it"):
        devices.release(devices.find("jetson-tk1"))


def test_release_of_this_board_follows_from_its_jetson_linux(tmp_path: Path) -> None:
    row = devices.release_here(board.detect(plant(tmp_path, ORIN_NANO)))
    assert row is not None
    assert (row.jetpack, row.tensorrt) == ("6.2", "10.3.0")


@pytest.mark.parametrize(
    "line", ["# R36 (release), REVISION: 2.0", "# R99 (release), REVISION: 1", ""]
)
def test_release_that_is_a_preview_unknown_or_unsaid_is_none(tmp_path: Path, line: str) -> None:
    facts = board.detect(plant(tmp_path, {**ORIN_NANO, "etc/nv_tegra_release": line}))
    assert devices.release_here(facts) is None


def test_orin_nx_with_8_gb_has_one_accelerator_fewer() -> None:
    orin_nx = devices.find("jetson-orin-nx")
    assert devices.dla_cores(orin_nx) == devices.dla_cores(orin_nx, "p3767-0000") == 2
    assert devices.dla_cores(orin_nx, "p3767-0001") == 1


def test_accelerators_are_driven_up_to_tensorrt_10_7_only() -> None:
    for device in BOARDS:
        for release in device.jetpacks:
            assert release.dla == (not release.has_tensorrt("10.8"))


@pytest.mark.parametrize(
    ("device", "jetpack", "mode"),
    [
        ("jetson-nano", "4.6.6", None),
        ("jetson-xavier-nx", "4.6", None),
        ("jetson-xavier-nx", "4.6.1", "implicit"),
        ("jetson-xavier-nx", "5.0.2", "implicit"),
        ("jetson-xavier-nx", "5.1", "qdq"),
        ("jetson-agx-orin", "6.0", "qdq"),
        ("jetson-agx-orin", "6.2", "typed"),
        ("jetson-agx-thor", "7.0", "typed"),
    ],
)
def test_int8_mode_follows_from_board_and_jetpack(
    device: str, jetpack: str, mode: str | None
) -> None:
    board = devices.find(device)
    assert devices.int8_mode(board, devices.release(board, jetpack)) == mode


def test_documentation_has_the_releases_of_the_table() -> None:
    text = Path(__file__).parents[1].joinpath("docs", "devices.md").read_text("utf-8")
    rows = re.findall(r"^\| ([\d.]+) to ([\d.]+) \| (.+?) \|$", text, re.MULTILINE)
    every = {row.jetpack: row for board in BOARDS for row in board.jetpacks}
    ordered = sorted(every, key=lambda version: [int(part) for part in version.split(".")])
    covered = []
    for first, last, cells in rows:
        within = ordered[ordered.index(first) : ordered.index(last) + 1]
        covered += within
        for row in map(every.__getitem__, within):
            drives, builds = row.dla, row.dialect is not None
            said = ("yes" if drives else "no", "yes" if builds else "no, too old")
            assert cells.split(" | ") == [row.tensorrt, row.cuda, row.python, *said], row.jetpack
    assert sorted(covered) == sorted(ordered)
