from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.runtime import cpu

if TYPE_CHECKING:
    from pathlib import Path


def flags(tmp_path: Path, text: str) -> frozenset[str]:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    return cpu.x86_flags(str(path))


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("flags\t\t: fpu avx2\n", False),
        ("flags\t\t: fpu avx512f avx512bw\nbugs\t: avx_vnni\n", False),
        ("flags\t\t: avx512f avx512_vnni\n", True),
        ("flags\t\t: avx2 avx_vnni\n", True),
        ("flags\t\t: amx_tile amx_int8\n", True),
    ],
)
def test_x86_without_dot_products_saturates(tmp_path: Path, text: str, *, exact: bool) -> None:
    assert cpu.multiplies_bytes_exactly(flags(tmp_path, text)) is exact


@pytest.mark.parametrize("text", ["", "Features\t: fp asimd asimddp\n", "vmx flags\t: vnmi\n"])
def test_nothing_is_claimed_of_other_processors(tmp_path: Path, text: str) -> None:
    assert flags(tmp_path, text) == frozenset()
    assert cpu.multiplies_bytes_exactly(frozenset())


def test_without_linux_nothing_is_known(tmp_path: Path) -> None:
    assert cpu.x86_flags(str(tmp_path / "absent")) == frozenset()
