"""doctor and devices as a user types them; boards are acted out by their files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgedeploy.cli import app
from tests import fake_trees
from tests.fake_trees import plant

if TYPE_CHECKING:
    from pathlib import Path

# Acted-out board -> what doctor prints of it; lines of prose are wrapped here and not there
BOARDS = {
    "NANO_JETPACK_4_6": """\
device: jetson-nano (NVIDIA Jetson Nano Developer Kit)
board: module p3448-0000, GPU sm 5.3, no DLA
system: Jetson Linux 32.6.1 (JetPack 4.6), power mode MAXN
memory: 685 of 3964 MiB free; free swap: 0 MiB on disk, 1980 MiB on zram

software            JetPack 4.6 brings  installed
TensorRT                         8.0.1      8.0.1
CUDA                              10.2       10.2
Python of TensorRT                 3.6        3.6

TensorRT runs here: fp32 fp16; too old for edgedeploy

backends and sensors: not examined, these are the files of another machine

trt int8: the GPU of Jetson Nano has compute capability 5.3, without INT8 arithmetic
  use --fp16

tensorrt: TensorRT 8.0.1 is older than 8.2, the oldest that edgedeploy supports; JetPack \
4.6.6 brings 8.2.1
  write the newest JetPack to the card, or set r32.7 in \
/etc/apt/sources.list.d/nvidia-l4t-apt-source.list and run: sudo apt-get update && \
sudo apt-get dist-upgrade

python: TensorRT's module is for Python 3.6 here, edgedeploy's commands need 3.10 or \
newer; its folders runtime, meters and worker need 3.6
  on a PC: edgedeploy build --backend trt --device jetson-nano; copy the \
artifact, and edgedeploy/__init__.py, runtime, meters and worker as edgedeploy/…, to the \
board, and there build the engine: python3 -m edgedeploy.runtime.trt_rebuild ARTIFACT \
(docs/jetson.md)

memory: 685 of 3964 MiB are free, with 0 MiB of swap on a disk (zram, 1980 MiB, lies in \
the same memory); a TensorRT build wants about 1146: 890 for CUDA's libraries and 256 of \
workspace, or Linux kills it
  stop the desktop until the next start: sudo systemctl isolate multi-user.target; add \
swap: sudo fallocate -l 4G /var/edgedeploy.swap && sudo chmod 600 /var/edgedeploy.swap \
&& sudo mkswap /var/edgedeploy.swap && sudo swapon /var/edgedeploy.swap; or pass a \
smaller --workspace-mb
""",
    "NANO_JETPACK_4_6_6": """\
device: jetson-nano (NVIDIA Jetson Nano Developer Kit)
board: module p3448-0000, GPU sm 5.3, no DLA
system: Jetson Linux 32.7.6 (JetPack 4.6.6), power mode MAXN
memory: 685 of 3964 MiB free; free swap: 4095 MiB on disk, 0 MiB on zram

software            JetPack 4.6.6 brings  installed
TensorRT                           8.2.1      8.2.1
CUDA                                10.2       10.2
Python of TensorRT                   3.6        3.6

TensorRT runs here: fp32 fp16

backends and sensors: not examined, these are the files of another machine

trt int8: the GPU of Jetson Nano has compute capability 5.3, without INT8 arithmetic
  use --fp16

python: TensorRT's module is for Python 3.6 here, edgedeploy's commands need 3.10 or \
newer; its folders runtime, meters and worker need 3.6
  on a PC: edgedeploy build --backend trt --device jetson-nano --jetpack 4.6.6; copy the \
artifact, and edgedeploy/__init__.py, runtime, meters and worker as edgedeploy/…, to the \
board, and there build the engine: python3 -m edgedeploy.runtime.trt_rebuild ARTIFACT \
(docs/jetson.md)
""",
    "XAVIER_NX_JETPACK_5_1": """\
device: jetson-xavier-nx (NVIDIA Jetson Xavier NX Developer Kit)
board: module p3668-0000, GPU sm 7.2, 2 DLA cores
system: Jetson Linux 35.2.1 (JetPack 5.1), power mode MODE_15W_6CORE
memory: 5285 of 6953 MiB free; free swap: 0 MiB on disk, 0 MiB on zram

software            JetPack 5.1 brings  installed
TensorRT                         8.5.2      8.5.2
CUDA                              11.4       11.4
Python of TensorRT                 3.8        3.8

TensorRT runs here: fp32 fp16 int8; INT8 mode auto is qdq

backends and sensors: not examined, these are the files of another machine

python: TensorRT's module is for Python 3.8 here, edgedeploy's commands need 3.10 or \
newer; its folders runtime, meters and worker need 3.6
  on a PC: edgedeploy build --backend trt --device jetson-xavier-nx --jetpack 5.1; copy \
the artifact, and edgedeploy/__init__.py, runtime, meters and worker as edgedeploy/…, to \
the board, and there build the engine: python3 -m edgedeploy.runtime.trt_rebuild ARTIFACT \
(docs/jetson.md)
""",
    "ORIN_NANO_JETPACK_6_2": """\
device: jetson-orin-nano (NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super)
board: module p3767-0005, GPU sm 8.7, no DLA
system: Jetson Linux 36.4.3 (JetPack 6.2), power mode 25W
memory: 5090 of 7620 MiB free; free swap: 0 MiB on disk, 0 MiB on zram

software            JetPack 6.2 brings  installed
TensorRT                        10.3.0  10.3.0.30
CUDA                              12.6       12.6
Python of TensorRT                3.10       3.10

TensorRT runs here: fp32 fp16 int8; INT8 mode auto is typed

backends and sensors: not examined, these are the files of another machine
""",
    "THOR_JETPACK_7_0": """\
device: jetson-agx-thor (NVIDIA Jetson AGX Thor Developer Kit)
board: module p3834-0008, GPU sm 11.0, no DLA
system: Jetson Linux 38.2.0 (JetPack 7.0), power mode 120W
memory: 119347 of 125809 MiB free; free swap: 0 MiB on disk, 0 MiB on zram

software            JetPack 7.0 brings  installed
TensorRT                       10.13.3  10.13.3.9
CUDA                              13.0       13.0
Python of TensorRT                3.12       3.12

TensorRT runs here: fp32 fp16 int8; INT8 mode auto is typed

backends and sensors: not examined, these are the files of another machine
""",
}


@pytest.mark.parametrize("name", BOARDS)
def test_doctor_prints_what_a_board_is_has_and_lacks(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = plant(tmp_path, getattr(fake_trees, name))
    assert app.run(["doctor", "--root", root]) == 0
    assert capsys.readouterr().out == BOARDS[name]


@pytest.mark.parametrize("name", BOARDS)
def test_facts_of_a_board_fit_80_columns(name: str) -> None:
    facts = BOARDS[name].split("backends and sensors")[0].splitlines()[1:]
    assert max(map(len, facts)) <= 80


def _examine(root: str, capsys: pytest.CaptureFixture[str]) -> Any:
    assert app.run(["doctor", "--root", root, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_of_a_board_tells_jetpack_and_installed_tensorrt_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = _examine(plant(tmp_path, fake_trees.ORIN_NANO_JETPACK_6_2), capsys)
    assert document["device"]["name"] == "jetson-orin-nano"
    assert document["board"] == {
        "title": "Jetson Orin Nano",
        "module": "p3767-0005",
        "soc": "tegra234",
        "compute_capability": "8.7",
        "dla_cores": 0,
        "l4t": "36.4.3",
        "jetpack": "6.2",
        "power_mode": "25W",
    }
    assert document["release"]["tensorrt"] == "10.3.0"
    assert document["tensorrt"] == {
        "expected": "10.3.0",
        "installed": "10.3.0.30",
        "source": "libnvinfer10 10.3.0.30-1+cuda12.5",
        "cuda": "12.6",
        "pythons": ["3.10"],
        "generation": "10",
        "precisions": ["fp32", "fp16", "int8"],
        "int8_mode": "typed",
    }
    assert document["memory"]["available_mb"] == 5090


def test_other_machines_files_are_not_mixed_with_this_machines_libraries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = _examine(plant(tmp_path, fake_trees.ORIN_NANO_JETPACK_6_2), capsys)
    assert list(document["backends"]) == ["ort", "openvino", "trt"]
    for state in document["backends"].values():
        assert (state["can_build"], state["can_run"], state["version"]) == (False, False, None)
        assert state["reason"].startswith("not examined")
    assert all(state["reason"].startswith("not examined") for state in document["sensors"].values())
    assert document["missing"] == []


def test_system_that_says_nothing_is_local(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc").mkdir()
    document = _examine(str(tmp_path), capsys)
    assert document["device"] == {"name": "local", "model": "unknown processor"}
    assert (document["board"], document["release"], document["tensorrt"]) == (None, None, None)


def test_card_of_a_board_that_is_off_is_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = {
        name: data
        for name, data in fake_trees.NANO_JETPACK_4_6_6.items()
        if not name.startswith("proc/")
    }
    tree["etc/nv_boot_control.conf"] = "TNSPEC 3448-300---1-0-jetson-nano-qspi-sd-mmcblk0p1\n"
    document = _examine(plant(tmp_path, tree), capsys)
    assert document["device"]["name"] == "jetson-nano"
    assert document["tensorrt"]["installed"] == "8.2.1"
    assert document["memory"] is None


def test_other_machine_is_not_measured_and_must_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["doctor", "--root", str(tmp_path)]) == 2
    assert "is not the root of a Linux system" in capsys.readouterr().err
    (tmp_path / "etc").mkdir()
    assert app.run(["doctor", "--measure", "--root", str(tmp_path)]) == 2
    assert "--measure times this machine" in capsys.readouterr().err
    assert app.run(["doctor", "--root", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


NAMES = tuple(fake_trees.XAVIER_NX_JETPACK_5_1)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=300) | st.none()))
def test_no_file_of_another_machine_breaks_doctor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, bytes | None]
) -> None:
    root = tmp_path / str(abs(hash(tuple(sorted(changes)))))
    tree = {**fake_trees.XAVIER_NX_JETPACK_5_1, **changes}
    plant(root, {name: data for name, data in tree.items() if data is not None})
    (root / "etc").mkdir(parents=True, exist_ok=True)
    assert app.run(["doctor", "--root", str(root)]) == 0
    assert capsys.readouterr().out.startswith("device: ")
