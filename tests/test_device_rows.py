from __future__ import annotations

import json
import unicodedata

import pytest

from edgedeploy import device_rows, devices
from edgedeploy.cli import app


def test_row_fits_its_columns() -> None:
    table = devices.table()
    assert all(len(device_rows.row(device)) == len(device_rows.COLUMNS) for device in table)
    assert device_rows.row(devices.find("jetson-nano")) == (
        "jetson-nano",
        "no INT8, no TensorRT after 8.2, no DLA",
        "8.2.1",
        "4.6.6",
        "fp32 fp16",
        None,
        "sm 5.3",
        "2 or 4 GB",
    )


def test_json_holds_the_row_and_what_follows_from_it() -> None:
    document = json.loads(json.dumps(device_rows.to_json(devices.find("jetson-agx-orin"))))
    assert document["name"] == "jetson-agx-orin"
    assert document["power_rails"] == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]
    assert document["cannot"] == []
    assert document["precisions"] == ["fp32", "fp16", "int8"]
    assert document["jetpacks"][0]["tensorrt"] == "10.16.2"
    modes = {row["jetpack"]: row["int8_mode"] for row in document["jetpacks"]}
    assert (modes["5.0.2"], modes["6.0"], modes["6.2"]) == ("implicit", "qdq", "typed")


def test_json_says_which_releases_are_too_old() -> None:
    document = device_rows.to_json(devices.find("jetson-nano"))
    old = [row["jetpack"] for row in document["jetpacks"] if not row["supported"]]
    assert old == ["4.6", "4.5.1", "4.5", "4.4.1", "4.4", "4.3"]


def test_devices_command_lists_every_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["devices", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in document["devices"]] == [d.name for d in devices.table()]


def test_devices_command_shows_what_each_jetpack_brings_to_a_board(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.run(["devices", "jetson-xavier-nx"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "jetson-xavier-nx: Jetson Xavier NX",
        "cannot: no TensorRT after 8.5",
        "GPU: sm 7.2 (tegra194)",
        "memory: 8 or 16 GB, shared by CPU and GPU",
        "TensorRT runs: fp32 fp16 int8",
        "DLA cores: 2, version 1",
    ]
    rows = {line.split()[0]: line.split() for line in lines[lines.index("") + 2 :]}
    assert rows["5.1.2"] == [
        "5.1.2", "35.4.1", "8.5.2", "11.4", "3.8", "yes", "fp32", "fp16", "int8", "qdq", "2",
    ]  # fmt: skip
    assert rows["4.6"] == [
        "4.6",
        "32.6.1",
        "8.0.1",
        "10.2",
        "3.6",
        "too",
        "old",
        *["fp32", "fp16", "int8", "–", "2"],
    ]


@pytest.mark.parametrize("name", [device.name for device in devices.table()])
def test_devices_command_fits_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["devices", name]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if ": " not in line]
    assert all(len(unicodedata.normalize("NFC", line)) <= 80 for line in table)


def test_devices_command_suggests_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["devices", "nano"]) == 2
    assert "no device is called 'nano'" in capsys.readouterr().err
