from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy import board_advice, devices, jetpack
from edgedeploy.jetpack import Interpreter
from tests.fake_trees import (
    NANO_JETPACK_4_6,
    NANO_JETPACK_4_6_6,
    ORIN_NANO_JETPACK_6_2,
    PC,
    THOR_JETPACK_7_0,
    XAVIER_NX_JETPACK_5_1,
    Tree,
    installed,
    plant,
)

if TYPE_CHECKING:
    from pathlib import Path

LIBRARIES = "usr/lib/aarch64-linux-gnu"
AGX_ORIN_JETPACK_7_2: Tree = {
    **THOR_JETPACK_7_0,
    "proc/device-tree/compatible": b"nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0",
    "etc/nv_tegra_release": "# R39 (release), REVISION: 2.0, BOARD: generic\n",
    "var/lib/dpkg/status": installed(libnvinfer10="10.16.2.10-1+cuda13.2"),
}


def _advise(
    tmp_path: Path,
    tree: Tree,
    interpreter: Interpreter | None = None,
    loaded: str | None = None,
) -> str:
    root = plant(tmp_path, tree)
    here = devices.here(root)
    rows = board_advice.advise(here, jetpack.look(here, root), interpreter, loaded)
    return "\n".join(f"{row.subject}: {row.problem} -> {row.fix}" for row in rows)


def _without(tree: Tree, *parts: str) -> Tree:
    return {name: data for name, data in tree.items() if not any(part in name for part in parts)}


@pytest.mark.parametrize("tree", [ORIN_NANO_JETPACK_6_2, THOR_JETPACK_7_0, PC])
def test_board_as_its_jetpack_left_it_needs_no_advice(tmp_path: Path, tree: Tree) -> None:
    assert _advise(tmp_path, tree) == ""


def test_tensorrt_that_is_too_old_names_both_versions_and_the_way_up(tmp_path: Path) -> None:
    text = _advise(tmp_path, NANO_JETPACK_4_6)
    assert "TensorRT 8.0.1 is older than 8.2" in text
    assert (
        "JetPack 4.6.6 brings 8.2.1 -> write the newest JetPack to the card, or set r32.7" in text
    )


@pytest.mark.parametrize(
    ("tree", "python", "command"),
    [
        (NANO_JETPACK_4_6, "3.6", "--device jetson-nano;"),
        (NANO_JETPACK_4_6_6, "3.6", "--device jetson-nano --jetpack 4.6.6;"),
        (XAVIER_NX_JETPACK_5_1, "3.8", "--device jetson-xavier-nx --jetpack 5.1;"),
    ],
)
def test_board_with_an_old_python_is_built_for_on_a_pc(
    tmp_path: Path, tree: Tree, python: str, command: str
) -> None:
    text = _advise(tmp_path, tree)
    assert f"TensorRT's module is for Python {python} here" in text
    assert command in text
    assert "python3 -m edgedeploy.runtime.trt_rebuild ARTIFACT" in text


def test_release_that_the_table_does_not_know_is_said(tmp_path: Path) -> None:
    tree = {**ORIN_NANO_JETPACK_6_2, "etc/nv_tegra_release": "# R36 (release), REVISION: 2.0"}
    text = _advise(tmp_path, tree)
    assert "Jetson Linux 36.2.0 (JetPack 6.0 DP) is not in the table for Jetson Orin Nano" in text
    assert "replace the preview by a release" in text
    assert text.endswith("edgedeploy devices jetson-orin-nano")
    newer = {**ORIN_NANO_JETPACK_6_2, "etc/nv_tegra_release": "# R39 (release), REVISION: 2.2"}
    assert "(JetPack 7.2.2) is not in the table" in _advise(tmp_path, newer)
    assert "what is installed counts" in _advise(tmp_path, newer)


def test_missing_tensorrt_is_to_be_installed_with_the_jetpack(tmp_path: Path) -> None:
    tree = _without(ORIN_NANO_JETPACK_6_2, "dpkg", "libnvinfer")
    text = _advise(tmp_path, tree)
    assert "no TensorRT is installed, JetPack 6.2 brings 10.3.0" in text
    assert "sudo apt-get install nvidia-jetpack" in text


def test_container_without_nvidias_runtime_is_recognised(tmp_path: Path) -> None:
    tree = _without(NANO_JETPACK_4_6_6, "dpkg", "libnvinfer")
    text = _advise(tmp_path, {**tree, f"{LIBRARIES}/libnvinfer.so.8.2.1": ""})
    assert "libnvinfer.so.8.2.1 is an empty file" in text
    assert "docker run --runtime nvidia" in text


def test_other_tensorrt_than_the_jetpacks_is_said_with_both_versions(tmp_path: Path) -> None:
    status = installed(libnvinfer10="10.7.0.23-1+cuda12.6")
    text = _advise(tmp_path, {**ORIN_NANO_JETPACK_6_2, "var/lib/dpkg/status": status})
    assert "TensorRT 10.7.0.23 is installed (libnvinfer10 10.7.0.23-1+cuda12.6)" in text
    assert "JetPack 6.2 brings 10.3.0" in text


def test_tensorrt_without_its_python_module_is_said(tmp_path: Path) -> None:
    text = _advise(tmp_path, _without(ORIN_NANO_JETPACK_6_2, "usr/lib/python"))
    assert "TensorRT 10.3.0.30 is installed without its Python module" in text
    assert text.endswith("-> sudo apt-get install python3-libnvinfer")


@pytest.mark.parametrize("content", [None, ""])
def test_missing_or_empty_dla_compiler_is_named_before_the_import_fails(
    tmp_path: Path, content: str | None
) -> None:
    tree = _without(ORIN_NANO_JETPACK_6_2, "libnvdla_compiler")
    if content is not None:
        tree[f"{LIBRARIES}/nvidia/libnvdla_compiler.so"] = content
    text = _advise(tmp_path, tree)
    assert "libnvdla_compiler.so is not there, or empty; TensorRT 10.3.0.30 does not load" in text
    assert "sudo apt-get install --reinstall nvidia-l4t-dla-compiler" in text


def test_dla_compiler_of_jetpack_5_comes_from_another_package(tmp_path: Path) -> None:
    text = _advise(tmp_path, _without(XAVIER_NX_JETPACK_5_1, "libnvdla_compiler"))
    assert "sudo apt-get install --reinstall nvidia-l4t-core" in text


def test_container_for_an_older_jetpack_does_not_load_on_jetpack_7(tmp_path: Path) -> None:
    assert "libnvdla_compiler" not in _advise(tmp_path / "own", AGX_ORIN_JETPACK_7_2)
    status = installed(libnvinfer10="10.11.0.33-1+cuda12.9")
    text = _advise(tmp_path, {**AGX_ORIN_JETPACK_7_2, "var/lib/dpkg/status": status})
    assert "TensorRT 10.11.0.33 does not load without it" in text
    assert "JetPack 7 has it no more" in text


def test_accelerators_that_the_jetpack_does_not_drive_are_said(tmp_path: Path) -> None:
    text = _advise(tmp_path, AGX_ORIN_JETPACK_7_2)
    assert "TensorRT 10.16.2 of JetPack 7.2 does not drive the 2 DLA cores of this board" in text
    assert "or JetPack 6.2.2 with its TensorRT 10.3.0" in text


def test_own_python_that_fits_is_not_mentioned(tmp_path: Path) -> None:
    own = Interpreter((3, 10), isolated=False)
    assert _advise(tmp_path, ORIN_NANO_JETPACK_6_2, own, "10.3.0") == ""


def test_python_that_cannot_import_tensorrt_is_told_which_one_can(tmp_path: Path) -> None:
    text = _advise(tmp_path, ORIN_NANO_JETPACK_6_2, Interpreter((3, 12), isolated=False))
    assert "this is Python 3.12, TensorRT's module is for 3.10" in text
    assert "--system-site-packages" in text


def test_virtual_environment_that_hides_tensorrt_is_told_how_to_see_it(tmp_path: Path) -> None:
    text = _advise(tmp_path, ORIN_NANO_JETPACK_6_2, Interpreter((3, 10), isolated=True))
    assert "does not see the system's packages, where TensorRT lives" in text
    assert "python3 -m venv --system-site-packages .venv" in text
    assert "never pip install tensorrt on a Jetson" in text


def test_package_that_hides_jetpacks_tensorrt_is_found_out(tmp_path: Path) -> None:
    own = Interpreter((3, 10), isolated=False)
    text = _advise(tmp_path, ORIN_NANO_JETPACK_6_2, own, "10.9.0.34")
    assert "Python imports TensorRT 10.9.0.34, and 10.3.0.30 is installed" in text
    assert "pip uninstall tensorrt" in text


def test_board_without_tensorrt_and_without_any_files_gets_no_nonsense(tmp_path: Path) -> None:
    tk1: Tree = {"proc/device-tree/compatible": b"nvidia,jetson-tk1\0nvidia,tegra124\0"}
    tk1["proc/device-tree/model"] = b"NVIDIA Tegra124 Jetson TK1\0"
    assert _advise(tmp_path / "tk1", tk1) == ""
    bare = {"proc/device-tree/compatible": XAVIER_NX_JETPACK_5_1["proc/device-tree/compatible"]}
    text = _advise(tmp_path / "bare", bare)
    assert "no Jetson Linux release is named (its JetPack is unknown)" in text
    assert "no TensorRT is installed ->" in text
