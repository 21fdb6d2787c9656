from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console

from edgedeploy.reporting import notes, table, terminal
from tests.reporting.profiles import made, sweep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedeploy.reporting.table import Row

TITLES = [
    column.title
    for column in table._COLUMNS
    if column.attribute not in (*table._ONLY_IF_SEVERAL, *table._ONLY_IF_ANY)
]


def shown(rows: Sequence[Row], *, width: int, is_terminal: bool = True) -> list[str]:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=is_terminal, color_system=None, legacy_windows=False
    )
    terminal.show(rows, console)
    return out.getvalue().splitlines()


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    return table.rows(sweep(tmp_path))


@pytest.mark.parametrize("width", [200, 120, 100, 80, 60, 45, 30])
def test_the_table_fits_and_drops_its_last_columns_first(rows: list[Row], width: int) -> None:
    lines = shown(rows, width=width)
    assert max(map(cell_len, lines)) <= width
    head = lines[0].replace(" type ", " precision ")
    is_stacked = not head.startswith("model")
    expected = TITLES[1:] if is_stacked else TITLES
    kept = sum(title in head for title in expected)
    assert [title for title in expected if title in head] == expected[:kept]
    for row in rows:
        assert any(line.startswith(row.model) for line in lines)
    if kept < len(expected):
        assert f"too narrow for: {expected[kept]}" in " ".join(lines)


def test_eighty_columns_hold_all_that_counts_and_forty_hold_the_median(rows: list[Row]) -> None:
    assert shown(rows, width=80)[0].split("  ")[0] == "model"
    for title in ("p50 ms", "p99 ms", "top-1", "verdict"):
        assert title in shown(rows, width=80)[0]
    assert "p50 ms" in shown(rows, width=40)[0]


def test_a_name_moves_above_its_rows_where_its_scenarios_take_the_room(tmp_path: Path) -> None:
    model = "mobilenet_v1_0.25_112_cifar10"
    server = {"scenario": "server", "scenario_options": {"rate": 100.0, "streams": 1}}
    rows = table.rows([made(tmp_path, model=model), made(tmp_path, model=model, **server)])
    lines = shown(rows, width=80)
    assert lines[0].split()[:3] == ["backend", "type", "scenario"]
    assert all(title in lines[0] for title in ("p50 ms", "p99 ms", "top-1", "verdict"))
    assert lines[1] == model
    assert lines[2].startswith("  ort ")
    assert "server, 100/s" in lines[3]


def test_a_wider_terminal_would_have_shown_one_column_more(rows: list[Row]) -> None:
    full = max(map(len, shown(rows, width=500)[: 1 + len(rows)]))
    assert shown(rows, width=full)[0].endswith("ρ")
    assert not shown(rows, width=full - 1)[0].endswith("ρ")


def test_a_names_own_width_is_never_cut(rows: list[Row]) -> None:
    lines = shown(rows, width=10)
    assert "mobilenet_v1_0.25_96_cifar10" in lines


def test_off_a_terminal_nothing_is_dropped_or_wrapped(tmp_path: Path) -> None:
    rows = table.rows([made(tmp_path, model="m" * 300)])
    lines = shown(rows, width=80, is_terminal=False)
    assert lines[0].split()[-1] == "ρ"
    assert lines[1].startswith("m" * 300)
    assert "top-1: not evaluated: edgedeploy eval ARTIFACT --data DIR" in "\n".join(lines)
    assert len(lines) == 2 + len(notes.footnotes(rows, table.columns(rows)))


def test_numbers_stand_under_each_other(rows: list[Row]) -> None:
    lines = shown(rows, width=200)
    end = lines[0].index("p50 ms") + len("p50 ms")
    for line in lines[1 : 1 + len(rows)]:
        assert line[end - 1].isdigit()
        assert line[end : end + 1] in ("", " ")


def test_brackets_in_a_name_are_no_markup(rows: list[Row]) -> None:
    assert any(line.startswith("my|net[red]") for line in shown(rows, width=200))
