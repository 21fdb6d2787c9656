from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from edgedeploy.analyzing import caches, kept, peaks
from edgedeploy.analyzing.kept import Host
from edgedeploy.errors import FileError, MeasurementError, MissingDependencyError
from edgedeploy.meters.memory import Memory
from tests.analyzing import peaks_examples

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.analyzing.peaks import Peaks


def _rate(**changed: object) -> dict[str, object]:
    kept_as = {"backend": "ort", "precision": "fp32", "best": 2e9, "median": 1e9, "reason": None}
    return {**kept_as, **changed}


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


def test_arrays_are_as_large_as_the_threads_ask_for() -> None:
    pytest.importorskip("onnxruntime")
    wanted = caches.array_beyond(1)
    host = Host(cpu="A CPU", threads=1, versions={"ort": "1"})
    with pytest.raises(MeasurementError, match=f"take {3 * wanted >> 20} MiB, 1 are free") as error:
        peaks.measure(host, free=Memory(2000, 1))
    assert error.value.fix.endswith("edgedeploy analyze MODEL --roofline --threads 1")


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


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("load", None, None),
        ("load", 0.0, None),
        ("load", "", "ValueError: '' is no number from 0"),
        ("load", "high", "ValueError: 'high' is no number from 0"),
        ("date", 20260102, "TypeError: 20260102 is no text"),
        ("array_bytes", [], r"ValueError: \[\] is no number from 0"),
        ("bandwidths", [], "ValueError: no bandwidths"),
        ("bandwidths", 1, "TypeError"),
        ("bandwidths", ["copy"], "TypeError"),
        ("bandwidths", [{"kernel": "copy", "best": 1.0}], "KeyError: 'median'"),
        ("bandwidths", [{"kernel": "copy", "best": 0, "median": 1}], "ValueError: 0 is no speed"),
        ("rates", [], "ValueError: no rates"),
        ("rates", [_rate(best=None)], "ValueError: None is no number from 0"),
        ("rates", [_rate(best=True)], "ValueError: True is no number from 0"),
        ("rates", [_rate(best=float("nan"))], "ValueError: nan is no number from 0"),
        ("rates", [_rate(best=10**99)], "ValueError: 10{59} is no number from 0"),
        ("rates", [_rate(reason=5)], "TypeError: 5 is no text"),
    ],
)
def test_damaged_peaks_say_how_to_measure_again(
    tmp_path: Path, key: str, value: object, why: str | None
) -> None:
    host = kept.this_host(1)
    document = asdict(peaks_examples.peaks()) | {key: value}
    kept.write(kept.place(tmp_path, "peaks", host), host, document)
    if why is None:
        assert peaks.of_this_device(threads=1, folder=tmp_path).load == value
        return
    with pytest.raises(FileError, match=f"is damaged: {why}") as error:
        peaks.of_this_device(threads=1, folder=tmp_path)
    assert "--remeasure" in error.value.fix
