from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgedeploy import devices, jetpack
from edgedeploy.jetpack import Installed, Software
from tests.fake_trees import (
    NANO_JETPACK_4_6,
    ORIN_NANO_JETPACK_6_2,
    THOR_JETPACK_7_0,
    XAVIER_NX_JETPACK_5_1,
    Tree,
    installed,
    plant,
)

if TYPE_CHECKING:
    from pathlib import Path

LIBRARIES = "usr/lib/aarch64-linux-gnu"


def _look(tmp_path: Path, tree: Tree) -> Software:
    root = plant(tmp_path, tree)
    return jetpack.look(devices.here(root), root)


def test_board_tells_what_is_installed(tmp_path: Path) -> None:
    assert _look(tmp_path, ORIN_NANO_JETPACK_6_2).installed == Installed(
        tensorrt="10.3.0.30",
        source="libnvinfer10 10.3.0.30-1+cuda12.5",
        cuda="12.6",
        pythons=("3.10",),
        dla_compiler=True,
    )


@pytest.mark.parametrize(
    ("tree", "brings", "there", "generation"),
    [
        (NANO_JETPACK_4_6, "8.0.1", "8.0.1", None),
        (XAVIER_NX_JETPACK_5_1, "8.5.2", "8.5.2", "8.5"),
        (ORIN_NANO_JETPACK_6_2, "10.3.0", "10.3.0.30", "10"),
        (THOR_JETPACK_7_0, "10.13.3", "10.13.3.9", "10"),
    ],
)
def test_what_a_jetpack_brings_and_what_is_there_are_told_apart(
    tmp_path: Path, tree: Tree, brings: str, there: str, generation: str | None
) -> None:
    software = _look(tmp_path, tree)
    assert software.release is not None
    assert (software.release.tensorrt, software.installed.tensorrt) == (brings, there)
    assert (software.dialect and software.dialect.name) == generation
    assert not software.differs


def test_other_tensorrt_than_the_jetpack_brings_is_seen_and_counts(tmp_path: Path) -> None:
    status = installed(libnvinfer8="8.5.2-1+cuda11.4")
    software = _look(tmp_path, {**ORIN_NANO_JETPACK_6_2, "var/lib/dpkg/status": status})
    assert software.differs
    assert software.tensorrt == "8.5.2"
    assert software.dialect is not None
    assert software.dialect.name == "8.5"


def test_newest_of_several_libraries_counts(tmp_path: Path) -> None:
    status = installed(libnvinfer8="8.6.2.3-1+cuda12.2", libnvinfer10="10.3.0.30-1+cuda12.5")
    software = _look(tmp_path, {**ORIN_NANO_JETPACK_6_2, "var/lib/dpkg/status": status})
    assert software.installed.source == "libnvinfer10 10.3.0.30-1+cuda12.5"


def test_library_without_a_package_is_found_by_its_file(tmp_path: Path) -> None:
    tree = {f"{LIBRARIES}/libnvinfer.so.{name}": "ELF" for name in ("10", "10.3.0", "8.5.2", "x")}
    found = jetpack.find_installed(plant(tmp_path, tree))
    assert (found.tensorrt, found.source) == ("10.3.0", f"{LIBRARIES}/libnvinfer.so.10.3.0")
    assert found.cuda is None


def test_libraries_of_a_container_without_the_runtime_are_empty(tmp_path: Path) -> None:
    tree: Tree = {
        f"{LIBRARIES}/libnvinfer.so.8.2.1": "",
        f"{LIBRARIES}/nvidia/libnvdla_compiler.so": "",
    }
    found = jetpack.find_installed(plant(tmp_path, tree))
    assert found.empty == ("libnvinfer.so.8.2.1", "nvidia/libnvdla_compiler.so")
    assert not found.dla_compiler


def test_every_python_that_has_the_module_is_listed_oldest_first(tmp_path: Path) -> None:
    tree: Tree = {
        "usr/local/lib/python3.12/site-packages/tensorrt/__init__.py": "",
        "usr/lib/python3.8/dist-packages/tensorrt/__init__.py": "",
        "usr/lib/python3.11/dist-packages/tensorrt_rtx/__init__.py": "",
        "usr/lib/python3/dist-packages/apt/__init__.py": "",
    }
    assert jetpack.find_installed(plant(tmp_path, tree)).pythons == ("3.8", "3.12")


def test_nothing_is_installed_where_nothing_is(tmp_path: Path) -> None:
    assert jetpack.find_installed(str(tmp_path)) == Installed()


def test_jetpack_counts_where_nothing_is_installed() -> None:
    release = devices.release(devices.find("jetson-nano"), "4.6.1")
    software = Software(release=release, installed=Installed())
    assert (software.tensorrt, software.python) == ("8.2.1", "3.6")
    assert Software(release=None, installed=Installed()).tensorrt is None


@pytest.mark.parametrize(
    ("config", "isolated"),
    [
        ("home = /usr/bin\ninclude-system-site-packages = false\n", True),
        ("include-system-site-packages = true\nversion = 3.10.12\n", False),
        (None, False),
    ],
)
def test_virtual_environment_tells_whether_it_hides_system_packages(
    tmp_path: Path,
    config: str | None,
    isolated: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    if config is not None:
        plant(tmp_path, {"pyvenv.cfg": config})
    own = jetpack.this_interpreter(str(tmp_path))
    assert own.version >= (3, 10)
    assert own.isolated == isolated


FILES = (
    "var/lib/dpkg/status",
    f"{LIBRARIES}/libnvinfer.so.8.2.1",
    f"{LIBRARIES}/nvidia/libnvdla_compiler.so",
    "usr/lib/python3.8/dist-packages/tensorrt",
    "etc/nv_tegra_release",
    "proc/device-tree/compatible",
    "proc/device-tree/model",
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.lists(st.binary(max_size=200), min_size=7, max_size=7))
def test_no_content_of_any_file_breaks_it(tmp_path: Path, data: list[bytes]) -> None:
    software = _look(tmp_path, dict(zip(FILES, data, strict=True)))
    assert re.fullmatch(r"[\d.]+", software.tensorrt or "0")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(versions=st.dictionaries(st.sampled_from(["libnvinfer8", "libnvinfer99"]), st.text()))
def test_no_version_of_a_package_breaks_it(tmp_path: Path, versions: dict[str, str]) -> None:
    status = installed(**versions, cuda_cudart_12_6="x")
    found = jetpack.find_installed(plant(tmp_path, {"var/lib/dpkg/status": status}))
    assert found.tensorrt is None or found.source
