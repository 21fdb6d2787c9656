from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgedeploy.meters import board
from edgedeploy.meters.board import BoardFacts
from tests.fake_trees import NANO, ORIN_NANO, PC, plant

if TYPE_CHECKING:
    from pathlib import Path


def test_orin_nano_tells_everything(tmp_path: Path) -> None:
    assert board.detect(plant(tmp_path, ORIN_NANO)) == BoardFacts(
        name="jetson-orin-nano",
        model="NVIDIA Jetson Orin Nano Developer Kit Super",
        soc="tegra234",
        module="p3767-0005",
        l4t="36.4.3",
        jetpack="6.2",
        power_mode="25W",
    )


def test_nano_without_a_power_mode_does_not_invent_one(tmp_path: Path) -> None:
    facts = board.detect(plant(tmp_path, NANO))
    assert (facts.name, facts.module, facts.jetpack) == ("jetson-nano", "p3448-0000", "4.6.1")
    assert facts.power_mode is None


def test_pc_is_local_and_called_by_its_processor(tmp_path: Path) -> None:
    assert board.detect(plant(tmp_path, PC)) == BoardFacts("local", "Intel(R) N100")


def test_empty_machine_is_local(tmp_path: Path) -> None:
    assert board.detect(str(tmp_path)) == BoardFacts("local", "unknown processor")


@pytest.mark.parametrize(
    ("compatible", "name"),
    [
        ("nvidia,p4071-0000+p3834-0008\0nvidia,tegra264\0", "jetson-agx-thor"),
        ("nvidia,p3737-0000+p3701-0000\0nvidia,tegra234\0", "jetson-agx-orin"),
        ("nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0", "jetson-agx-orin"),
        ("nvidia,p3768-0000+p3767-0000\0nvidia,tegra234\0", "jetson-orin-nx"),
        ("nvidia,p3768-0000+p3767-0001\0nvidia,tegra234\0", "jetson-orin-nx"),
        ("nvidia,p3768-0000+p3767-0003\0nvidia,tegra234\0", "jetson-orin-nano"),
        ("nvidia,p3509-0000+p3668-0001\0nvidia,tegra194\0", "jetson-xavier-nx"),
        ("nvidia,p2972-0000\0nvidia,tegra194\0", "jetson-agx-xavier"),
        ("nvidia,p2822-0000+p2888-0004\0nvidia,tegra194\0", "jetson-agx-xavier"),
        ("nvidia,p3509-0000+p3636-0001\0nvidia,tegra186\0", "jetson-tx2"),
        ("nvidia,p2597-0000+p3310-1000\0nvidia,tegra186\0", "jetson-tx2"),
        ("nvidia,p2597-2180+p2180-1000\0nvidia,tegra210\0", "jetson-tx1"),
        ("nvidia,jetson-tk1\0nvidia,tegra124\0", "jetson-tk1"),
    ],
)
def test_part_number_says_the_board_whatever_the_carrier_calls_itself(
    tmp_path: Path, compatible: str, name: str
) -> None:
    files = {
        "proc/device-tree/compatible": compatible,
        "proc/device-tree/model": "Some Carrier for Jetson Nano\0",
    }
    if "tk1" in name:
        files["proc/device-tree/model"] = "NVIDIA Tegra124 Jetson TK1\0"
    assert board.detect(plant(tmp_path, files)).name == name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("NVIDIA Jetson AGX Thor Developer Kit", "jetson-agx-thor"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "jetson-agx-orin"),
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "jetson-orin-nx"),
        ("NVIDIA Orin Nano Developer Kit", "jetson-orin-nano"),
        ("NVIDIA Jetson Xavier NX Developer Kit", "jetson-xavier-nx"),
        ("Jetson-AGX", "jetson-agx-xavier"),
        ("jetson-xavier", "jetson-agx-xavier"),
        ("jetson_tx1", "jetson-tx1"),
        ("NVIDIA Jetson Nano Developer Kit", "jetson-nano"),
        ("jetson-nano", "jetson-nano"),
    ],
)
def test_model_says_the_board_when_there_is_no_part_number(
    tmp_path: Path, model: str, name: str
) -> None:
    assert board.detect(plant(tmp_path, {"proc/device-tree/model": model + "\0"})).name == name


@pytest.mark.parametrize("model", ["quill", "storm", "lightning", "lanai-3636"])
def test_codename_counts_on_an_nvidia_chip_only(tmp_path: Path, model: str) -> None:
    tree = {"proc/device-tree/model": model, "proc/device-tree/compatible": "acme,storm\0"}
    assert board.detect(plant(tmp_path, tree)).name == "local"
    tree["proc/device-tree/compatible"] = "nvidia,tegra186\0"
    assert board.detect(plant(tmp_path, tree)).name == "jetson-tx2"


@pytest.mark.parametrize(
    "model", ["Raspberry Pi 5 Model B Rev 1.0", "FriendlyARM NanoPi M4", "Thor"]
)
def test_other_arm_boards_are_local(tmp_path: Path, model: str) -> None:
    tree = {"proc/device-tree/model": model, "proc/device-tree/compatible": "acme,board\0"}
    assert board.detect(plant(tmp_path, tree)).name == "local"


def test_jetson_that_is_not_in_the_table_is_local_under_its_own_name(tmp_path: Path) -> None:
    tree = {
        "sys/firmware/devicetree/base/model": "NVIDIA Something New\0",
        "sys/firmware/devicetree/base/compatible": "nvidia,p9999-0000\0nvidia,tegra999\0",
    }
    facts = board.detect(plant(tmp_path, tree))
    assert (facts.name, facts.model, facts.soc) == ("local", "NVIDIA Something New", "tegra999")
    assert facts.module is None


@pytest.mark.parametrize(
    ("line", "l4t", "jetpack"),
    [
        ("# R32 (release), REVISION: 5, GCID: 1, BOARD: t186ref", "32.5", "4.5"),
        ("# R32 (release), REVISION: 1.0, GCID: 1", "32.1.0", "4.2"),
        ("# R35 (release), REVISION: 4.1, GCID: 1", "35.4.1", "5.1.2"),
        ("# R36 (release), REVISION: 4.7, GCID: 1", "36.4.7", "6.2.1"),
        ("# R39 (release), REVISION: 2.1, GCID: 1, DATE: Fri 05:54:22 AM\n# R1", "39.2.1", "7.2.1"),
        ("# R99 (release), REVISION: 1.0", "99.1.0", None),
        ("# KERNEL_VARIANT: oot\n# R36 (release), REVISION: 4.7", None, None),
        ("\x00\xff binary", None, None),
        ("", None, None),
    ],
)
def test_release_is_read_off_the_first_line_only(
    tmp_path: Path, line: str, l4t: str | None, jetpack: str | None
) -> None:
    facts = board.detect(plant(tmp_path, {**NANO, "etc/nv_tegra_release": line}))
    assert (facts.l4t, facts.jetpack) == (l4t, jetpack)


def test_release_comes_from_its_package_when_the_file_is_gone(tmp_path: Path) -> None:
    tree = {**ORIN_NANO, "etc/nv_tegra_release": ""}
    tree["var/lib/dpkg/status"] = (
        "Package: zsh\nVersion: 5.8\n\n"
        "Package: nvidia-l4t-core\nStatus: install ok installed\nVersion: 36.4.4-20250616085344\n\n"
    )
    assert board.detect(plant(tmp_path, tree)).l4t == "36.4.4"


@pytest.mark.parametrize(
    ("line", "name", "model", "module"),
    [
        ("TNSPEC 3448-300---1-0-jetson-nano-qspi-sd-mmcblk0p1", "jetson-nano",
         "jetson-nano-qspi-sd-mmcblk0p1", "p3448"),
        ("TNSPEC 3668-100-0001--1-2-jetson-xavier-nx-devkit-emmc-nvme0n1p1", "jetson-xavier-nx",
         "jetson-xavier-nx-devkit-emmc-nvme0n1p1", "p3668-0001"),
        ("TNSPEC 3767-300-0004-K.2-1-1-jetson-orin-nano-devkit-", "jetson-orin-nano",
         "jetson-orin-nano-devkit", "p3767-0004"),
        ("TNSPEC 3767-300-0001-K.2-1-1-some-carrier-", "jetson-orin-nx",
         "K.2-1-1-some-carrier", "p3767-0001"),
        ("TNSPEC 3767-ES1---1-0-jetson-orin-nano-devkit-", "jetson-orin-nano",
         "jetson-orin-nano-devkit", None),
    ],
)  # fmt: skip
def test_card_of_a_board_that_is_off_says_which_module_it_is_for(
    tmp_path: Path, line: str, name: str, model: str, module: str | None
) -> None:
    tree = {
        "etc/nv_boot_control.conf": f"{line}\nTEGRA_CHIPID 0x21\n",
        "etc/nv_tegra_release": NANO["etc/nv_tegra_release"],
    }
    facts = board.detect(plant(tmp_path, tree))
    assert (facts.name, facts.model, facts.module) == (name, model, module)
    assert facts.l4t == "32.7.1"


def test_running_board_is_believed_before_its_card(tmp_path: Path) -> None:
    tree = {**NANO, "etc/nv_boot_control.conf": "TNSPEC 3767-300-0005-K.2-1-1-jetson-orin-nano-\n"}
    assert board.detect(plant(tmp_path, tree)).name == "jetson-nano"


def test_power_mode_without_a_name_is_unknown(tmp_path: Path) -> None:
    tree = {**ORIN_NANO, "var/lib/nvpmodel/status": "pmode:0009\n"}
    assert board.detect(plant(tmp_path, tree)).power_mode is None


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.lists(st.binary(max_size=200), min_size=7, max_size=7))
def test_no_content_of_any_file_breaks_it(tmp_path: Path, data: list[bytes]) -> None:
    names = [*ORIN_NANO, "proc/cpuinfo", "etc/nv_boot_control.conf"]
    facts = board.detect(plant(tmp_path, dict(zip(names, data, strict=True))))
    assert facts.name == "local" or facts.name.startswith("jetson-")
    assert facts.model.isprintable() or "\n" in facts.model or "\t" in facts.model
