from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.analyzing import kept, peaks
from edgedeploy.analyzing.kept import Host
from edgedeploy.errors import FileError, MeasurementError, MissingDependencyError
from edgedeploy.meters.memory import Memory
from tests.analyzing import peaks_examples

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.analyzing.peaks import Peaks


class Ticking:
    """A clock that every look at moves on by a millisecond."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1_000_000
        return self.now


def test_both_roofs_are_measured_by_the_clock() -> None:
    pytest.importorskip("onnxruntime")
    host = Host(cpu="A CPU", threads=2, versions={"ort": "1"})
    found = peaks.measure(host, array_bytes=8000, side=16, duration_s=0, clock=Ticking())
    # a millisecond a round: two arrays of 8000 bytes are copied, three are added
    assert {each.kernel: each.best for each in found.bandwidths} == {"copy": 16e6, "add": 24e6}
    assert found.bandwidth == 24e6
    assert [(each.backend, each.precision) for each in found.rates] == [
        ("ort", "fp32"),
        ("ort", "int8"),
    ]
    assert found.rate("fp32") == found.rate("int8") == 16**3 * 1e3
    assert found.rate("fp16") is None
    assert found.rate(None) is None
    assert found.steadiness == 1
    assert found.array_bytes == 8000


def test_without_a_library_nothing_is_measured() -> None:
    host = Host(cpu="A CPU", threads=1, versions={"numpy": "2"})
    with pytest.raises(MissingDependencyError, match="neither onnxruntime nor openvino"):
        peaks.measure(host)


def test_arrays_that_do_not_fit_into_memory_are_refused() -> None:
    host = Host(cpu="A CPU", threads=1, versions={"ort": "1"})
    with pytest.raises(MeasurementError, match="no cache holds take 3072 MiB, 1000 are free"):
        peaks.measure(host, array_bytes=1 << 30, free=Memory(2000, 1000))


def test_arrays_are_four_times_the_largest_cache(tmp_path: Path) -> None:
    for number, size in enumerate(("32K", "512K", "32M")):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        (folder / "size").write_text(f"{size}\n")
    assert peaks.beyond_caches(str(tmp_path)) == 128 << 20
    assert peaks.beyond_caches(str(tmp_path / "none")) == 64 << 20


def test_peaks_are_measured_once_and_then_kept(tmp_path: Path) -> None:
    measured = []

    def measuring(host: Host) -> Peaks:
        measured.append(host)
        return peaks_examples.peaks(host=host, bandwidth=len(measured) * 1e9)

    def ask(*, again: bool = False, threads: int = 1) -> Peaks:
        return peaks.of_this_device(
            threads=threads, again=again, folder=tmp_path, measuring=measuring
        )

    first = ask()
    assert ask() == first
    assert first.bandwidth == 1e9
    assert ask(again=True).bandwidth == 2e9
    assert ask().bandwidth == 2e9
    assert ask(threads=2).bandwidth == 3e9
    assert [host.threads for host in measured] == [1, 1, 2]


def test_damaged_peaks_say_how_to_measure_again(tmp_path: Path) -> None:
    host = kept.this_host(1)
    kept.write(kept.place(tmp_path, "peaks", host), host, {"date": "today"})
    with pytest.raises(FileError, match="is damaged: KeyError: 'load'") as error:
        peaks.of_this_device(threads=1, folder=tmp_path)
    assert "--remeasure" in error.value.fix
