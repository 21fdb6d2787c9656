from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import parent, recorder, sources
from edgedeploy.meters.counters import monotonic_ns
from edgedeploy.meters.recorder import Order, Recorder
from edgedeploy.meters.sampling import Reader, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER = Order("tegrastats", interval_ms=2, gap_s=0.2, start_s=0.1)


class Fake(Reader):
    """A sensor that gives what it is told; after that ``then``, and it has ended without one."""

    def __init__(self, *powers: dict[str, int], then: dict[str, int] | None = None) -> None:
        self._powers = list(powers)
        self._then = then
        self.closed = False

    def read(self) -> list[Sample]:
        if self._powers:
            return [Sample(monotonic_ns(), self._powers.pop(0))]
        if self._then is None:
            self.ended = "it is over"
            return []
        return [Sample(monotonic_ns(), self._then)]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def commands() -> Iterator[tuple[int, int]]:
    """A pipe: where the recorder hears, and where it is told."""
    hears, tells = os.pipe()
    with os.fdopen(hears, "rb"), os.fdopen(tells, "wb"):
        yield hears, tells


def test_sample_after_the_request_is_the_last(commands: tuple[int, int]) -> None:
    hears, tells = commands
    made = Recorder(Fake(then={"VDD_IN": 5000}), ORDER, hears)
    assert made.begin() is None
    os.write(tells, b"stop\n")
    asked_ns = monotonic_ns()
    made.record()
    document = made.document()
    assert document["t_ns"] == sorted(document["t_ns"])
    assert document["t_ns"][-1] >= asked_ns
    assert set(document["rails_mw"]["VDD_IN"]) == {5000}
    assert (document["ended"], document["steps_mw"]) == (None, {})


def test_rail_that_is_told_now_and_then_is_none_in_between(commands: tuple[int, int]) -> None:
    hears, tells = commands
    made = Recorder(Fake({"A": 1, "B": 2}, {"A": 3}), ORDER, hears)
    assert made.begin() is None
    made._wait(None)  # the second sample
    made._wait(None)  # its end
    os.write(tells, b"stop\n")
    made.record()
    assert made.document()["rails_mw"] == {"A": [1, 3], "B": [2, None]}
    assert made.document()["ended"] == "it is over"


@pytest.mark.parametrize(
    ("sensor", "reason"),
    [
        (Fake(), "it gives no power; it is over"),
        (Fake(then={}), "it gives no power"),
        (Fake({}, {}), "it gives no power; it is over"),
    ],
)
def test_no_power_at_the_start_is_a_reason(
    commands: tuple[int, int], sensor: Fake, reason: str
) -> None:
    assert Recorder(sensor, ORDER, commands[0]).begin() == reason


def test_sensor_that_is_late_is_given_up(commands: tuple[int, int]) -> None:
    slow = Recorder(Fake({}, {"A": 1}), ORDER._replace(interval_ms=60_000), commands[0])
    assert slow.begin() == "it gives no power for 0.1 s"


def test_end_of_its_input_ends_it_without_a_word() -> None:
    hears, tells = os.pipe()
    os.close(tells)
    with os.fdopen(hears, "rb"):
        made = Recorder(Fake(then={"A": 1}), ORDER, hears)
        with pytest.raises(EOFError):
            made.begin()


class Asking(Fake):
    """A sensor that asks for the end of the recording itself, at its second reading."""

    def __init__(self, tells: int) -> None:
        super().__init__(then={"A": 1})
        self._tells = tells
        self._readings = 0

    def read(self) -> list[Sample]:
        self._readings += 1
        if self._readings == 2:
            os.write(self._tells, b"stop\n")
        return super().read()


def _run(monkeypatch: pytest.MonkeyPatch, sensor: Reader, hears: int) -> tuple[int, list[str]]:
    source = sources.SOURCES["battery"]._replace(open=lambda _root, _ms: (sensor, None))
    monkeypatch.setitem(sources.SOURCES, "battery", source)
    out = io.StringIO()
    arguments = [json.dumps(ORDER._replace(source="battery")._asdict())]
    return recorder.main(arguments, out, hears), out.getvalue().splitlines()


def test_program_answers_twice_and_lets_go_of_the_sensor(
    monkeypatch: pytest.MonkeyPatch, commands: tuple[int, int]
) -> None:
    sensor = Asking(commands[1])
    code, lines = _run(monkeypatch, sensor, commands[0])
    assert (code, lines[0]) == (0, '{"reason": null}')
    assert set(json.loads(lines[1])) == {"t_ns", "rails_mw", "steps_mw", "ended"}
    assert sensor.closed


def test_program_that_is_alone_says_nothing_and_lets_go_of_the_sensor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hears, tells = os.pipe()
    os.close(tells)
    sensor = Fake(then={"A": 1})
    with os.fdopen(hears, "rb"):
        assert _run(monkeypatch, sensor, hears) == (1, [])
    assert sensor.closed


def test_system_without_such_a_signal_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert parent.death_signal() is None
