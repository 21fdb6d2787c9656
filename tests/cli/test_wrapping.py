from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.cli.wrapping import print_lines

if TYPE_CHECKING:
    import pytest

LONG = f"  fell: a: {'energy is above what was asked for, ' * 4}in /a/path/{'x' * 90}"


def test_long_lines_go_on_below_at_words_and_further_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_lines(["  a   b", LONG])
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "  a   b"
    assert " ".join(line.strip() for line in rest) == LONG.strip()
    assert all(len(line) <= 80 for line in rest[:-1])
    assert rest[-1] == f"    /a/path/{'x' * 90}"
    assert all(line.startswith("    ") for line in rest[1:])


def test_off_a_terminal_a_line_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines([LONG])
    assert capsys.readouterr().out == f"{LONG}\n"
