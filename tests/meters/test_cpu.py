from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import cpu
from tests.fake_trees import PC, plant

if TYPE_CHECKING:
    from pathlib import Path


def _topology(cpus: list[tuple[int, int]]) -> dict[str, str | bytes | int]:
    """Sysfs of CPUs given as (package, core), in order of their numbers."""
    files: dict[str, str | bytes | int] = {"sys/devices/system/cpu/cpufreq/junk": 1}
    for number, (package, core) in enumerate(cpus):
        folder = f"sys/devices/system/cpu/cpu{number}"
        files[f"{folder}/topology/physical_package_id"] = package
        files[f"{folder}/topology/core_id"] = core
    return files


def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    root = plant(tmp_path, _topology([(0, 0), (0, 1), (0, 0), (0, 1), (1, 0), (1, 0)]))
    assert cpu.physical_cores(root) == 3
    assert cpu.physical_cores(root, allowed=[0, 2]) == 1
    assert cpu.physical_cores(root, allowed=[0, 1, 4]) == 3


def test_core_that_is_offline_does_not_count(tmp_path: Path) -> None:
    files = _topology([(0, 0), (0, 1)])
    files["sys/devices/system/cpu/cpu1/online"] = 0
    assert cpu.physical_cores(plant(tmp_path, files)) == 1


def test_clusters_of_arm_cores_are_told_apart(tmp_path: Path) -> None:
    files = _topology([(0, 0), (0, 1), (0, 0), (0, 1)])
    for number in range(4):
        files[f"sys/devices/system/cpu/cpu{number}/topology/cluster_id"] = number // 2
    assert cpu.physical_cores(plant(tmp_path, files)) == 4


def test_there_is_at_least_one_core(tmp_path: Path) -> None:
    assert cpu.physical_cores(str(tmp_path)) == 1
    assert cpu.physical_cores(str(tmp_path), allowed=range(3)) == 3


def test_cpu_without_topology_counts_as_a_core(tmp_path: Path) -> None:
    files = {"sys/devices/system/cpu/cpu0/online": 1, "sys/devices/system/cpu/cpu1/online": 1}
    assert cpu.physical_cores(plant(tmp_path, files)) == 2


@pytest.mark.parametrize(
    ("flags", "dot"),
    [
        ("flags\t\t: fpu avx2", False),
        ("flags\t\t: avx512f avx512_vnni", True),
        ("flags\t\t: avx_vnni", True),
        ("flags\t\t: amx_int8", True),
        ("Features\t: fp asimd asimddp", True),
        ("Features\t: fp asimd", False),
        ("", False),
    ],
)
def test_int8_dot_products_are_seen_in_the_flags(tmp_path: Path, flags: str, *, dot: bool) -> None:
    assert cpu.read(plant(tmp_path, {"proc/cpuinfo": flags + "\n"})).has_int8_dot is dot


def test_processor_is_named(tmp_path: Path) -> None:
    facts = cpu.read(plant(tmp_path, PC))
    assert facts.model == "Intel(R) N100"
    assert facts.flags == {"fpu", "avx2", "avx_vnni"}
    assert facts.governor is None


def test_governors_of_all_cpus_are_named(tmp_path: Path) -> None:
    files = {
        f"sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor": text
        for n, text in enumerate(["schedutil\n", "performance\n", "schedutil\n"])
    }
    assert cpu.governor(plant(tmp_path, files)) == "performance, schedutil"


@pytest.mark.parametrize(
    ("text", "load"), [("1.25 0.5 0.1 1/99 7", 1.25), ("nan 1 2", None), ("", None)]
)
def test_load_average_is_a_number_or_none(tmp_path: Path, text: str, load: float | None) -> None:
    assert cpu.load_average(plant(tmp_path, {"proc/loadavg": text})) == load


def test_this_machine_has_a_processor() -> None:
    facts = cpu.read()
    assert facts.model
    assert facts.physical_cores >= 1
