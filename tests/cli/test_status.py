from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from edgedeploy.cli.status import StatusLine

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")


def test_steps_are_drawn_over_each_other_and_never_wider_than_the_terminal() -> None:
    terminal, clock = Terminal(), Clock()
    steps = StatusLine(terminal, clock).told("mobilenet_v1_0.25_224 for trt int8")
    steps("Timing kernels", 1, 40)
    clock.now_ns += 200_000_000
    steps("Timing kernels", 2, 40)
    lines = terminal.getvalue().split("\r\x1b[K")
    assert lines == ["", *["mobilenet_v1_0.25_224 for trt int8: Tim"] * 2]


def test_a_thousand_steps_in_a_moment_are_drawn_once() -> None:
    terminal, clock = Terminal(), Clock()
    steps = StatusLine(terminal, clock).told("m")
    for step in range(1000):
        steps("phase", step, 1000)
    assert terminal.getvalue().count("phase") == 1


def test_a_phase_without_a_number_of_steps_says_none() -> None:
    terminal = Terminal()
    StatusLine(terminal, Clock()).told("m")("parsing", 0, 0)
    assert terminal.getvalue().endswith("m: parsing")


def test_nothing_is_written_where_there_is_no_terminal() -> None:
    plain = io.StringIO()
    line = StatusLine(plain, Clock())
    line.told("m")("phase", 1, 2)
    line.clear()
    assert plain.getvalue() == ""


def test_the_line_is_gone_before_a_result_is_printed_and_after_an_error() -> None:
    terminal = Terminal()
    line = StatusLine(terminal, Clock())

    def results() -> Iterator[str]:
        line.told("a")("phase", 1, 2)
        yield "a"
        line.told("b")("phase", 1, 2)
        raise RuntimeError("refused")

    shown = line.cleared(results())
    assert next(shown) == "a"
    assert terminal.getvalue().endswith("\r\x1b[K")
    with pytest.raises(RuntimeError, match="refused"):
        next(shown)
    assert terminal.getvalue().endswith("\r\x1b[K")
