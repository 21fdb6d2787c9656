from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import cpu
from tests.fake_trees import PC, plant

if TYPE_CHECKING:
    from pathlib import Path


def test_processor_is_named(tmp_path: Path) -> None:
    facts = cpu.read(plant(tmp_path, PC))
    assert (facts.model, facts.governor) == ("Intel(R) N100", None)
    assert facts.x86_flags == {"fpu", "avx2", "avx_vnni"}


@pytest.mark.parametrize(
    ("line", "exact"),
    [
        ("flags\t\t: fpu avx2", False),
        ("flags\t\t: avx512f avx512_vnni", True),
        ("flags\t\t: avx2 avx_vnni", True),
        ("flags\t\t: avx2 amx_int8", True),
        ("Features\t: fp asimd", True),
        ("", True),
    ],
)
def test_x86_without_dot_products_saturates(tmp_path: Path, line: str, *, exact: bool) -> None:
    facts = cpu.read(plant(tmp_path, {"proc/cpuinfo": f"model name\t: x\n{line}\n"}))
    assert facts.multiplies_bytes_exactly is exact


def test_arm_features_are_read_and_those_of_others_are_not(tmp_path: Path) -> None:
    arm = plant(tmp_path / "arm", {"proc/cpuinfo": "Features\t: fp asimd asimddp\n"})
    assert cpu.read(arm).arm_features == {"fp", "asimd", "asimddp"}
    loongarch = plant(tmp_path / "la", {"proc/cpuinfo": "Features\t\t: cpucfg lam lsx\n"})
    assert cpu.read(loongarch).arm_features == frozenset()
    assert cpu.read(plant(tmp_path / "pc", PC)).arm_features == frozenset()


@pytest.mark.parametrize("text", ["", "model name\t:\nflags: x\n", b"\xff\xfe\0", "model name"])
def test_processor_without_a_name_is_unknown(tmp_path: Path, text: str | bytes) -> None:
    assert cpu.read(plant(tmp_path, {"proc/cpuinfo": text})).model == "unknown processor"


def test_arm_board_is_named_at_the_end_of_cpuinfo(tmp_path: Path) -> None:
    text = "processor\t: 0\nCPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
    root = plant(tmp_path, {"proc/cpuinfo": text})
    assert cpu.read(root).model == "Raspberry Pi 5 Model B Rev 1.0"


def test_governors_of_all_cpus_are_named(tmp_path: Path) -> None:
    files = {
        f"sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor": text
        for n, text in enumerate(["schedutil\n", "performance\n", "schedutil\n"])
    }
    files["sys/devices/system/cpu/cpufreq/cpufreq/scaling_governor"] = "no cpu"
    assert cpu.governor(plant(tmp_path, files)) == "performance, schedutil"


@pytest.mark.parametrize(
    ("text", "load"), [("1.25 0.5 0.1 1/99 7", 1.25), ("2.5\n", 2.5), ("nan 1 2", None), ("", None)]
)
def test_load_average_is_a_number_or_none(tmp_path: Path, text: str, load: float | None) -> None:
    assert cpu.load_average(plant(tmp_path, {"proc/loadavg": text})) == load


def test_this_machine_has_a_processor() -> None:
    assert cpu.read().model
