from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import sysfs
from tests.fake_trees import plant

if TYPE_CHECKING:
    from pathlib import Path


def test_text_loses_what_is_no_text(tmp_path: Path) -> None:
    root = plant(tmp_path, {"file": b"\xff\xfe Jetson\0 Nano\x1b[31m\r\n"})
    assert sysfs.read_text(f"{root}/file") == "Jetson Nano[31m"


def test_strings_of_a_device_tree_are_kept_apart(tmp_path: Path) -> None:
    root = plant(tmp_path, {"compatible": b"nvidia,p3767-0005\0nvidia,tegra234\0"})
    text = sysfs.read_text(f"{root}/compatible", separator="\n")
    assert text == "nvidia,p3767-0005\nnvidia,tegra234"


def test_huge_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    root = plant(tmp_path, {"file": b"a" * 1_000_000})
    assert len(sysfs.read_text(f"{root}/file") or "") == 65536


def test_pipe_has_no_text_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not sysfs.read_text(str(tmp_path / "pipe"))


@pytest.mark.parametrize("name", ["absent", "folder", "folder/absent", "nul\0byte"])
def test_what_cannot_be_read_is_none(tmp_path: Path, name: str) -> None:
    plant(tmp_path, {"folder/file": "1"})
    assert sysfs.read_text(f"{tmp_path}/{name}") is None
    assert sysfs.read_int(f"{tmp_path}/{name}") is None


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("12\n", 12),
        ("-7", -7),
        ("", None),
        ("12 mA", None),
        ("0x10", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 5000, None),
        (b"\x00\xff", None),
    ],
)
def test_integer_is_read_only_when_it_is_all_there_is(
    tmp_path: Path, content: str | bytes, value: int | None
) -> None:
    assert sysfs.read_int(plant(tmp_path, {"file": content}) + "/file") == value


def test_absolute_parts_stay_below_the_root() -> None:
    assert sysfs.join("/fake", "/usr/bin", "tegrastats") == "/fake/usr/bin/tegrastats"


def test_folder_that_is_absent_is_empty(tmp_path: Path) -> None:
    assert sysfs.list_folder(f"{tmp_path}/absent") == []
