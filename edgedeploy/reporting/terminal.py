"""The table on a terminal: what does not fit drops out, last column first; no row is wrapped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from edgedeploy.reporting import notes, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from edgedeploy.reporting.table import Column, Row

_GAP = "  "
_VITAL = "verdict"  # the last column for which the model's name moves to a line of its own
_SHORT = {"precision": "type"}  # titles that are wider than what stands under them
_STYLES = {"measured": "", "suspect": "yellow", "invalid": "red"}


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the table and its footnotes.

    On a terminal, columns are left out until the table fits, the last first, and a footnote names
    them. Where that would take one up to the verdict, each model's name stands above its rows
    instead of in them; it stays whole even where it alone is too wide. Off a terminal everything is
    printed, as wide as it gets. (Rich's own table would cut names at the console's width, which off
    a terminal is 80 for no reason.)
    """
    columns = table.columns(rows)
    limit = console.width if console.is_terminal else sys.maxsize
    vital = [column.attribute for column in columns].index(_VITAL) + 1
    cells = [[column.write(row) or "–" for column in columns] for row in rows]
    titles = [column.title for column in columns]
    if _fitting(_widths(titles, cells), limit) < vital:
        titles = [_SHORT.get(title, title) for title in titles]
    widths = _widths(titles, cells)
    fitting = _fitting(widths, limit)
    is_stacked = fitting < vital
    if is_stacked:  # the name's column makes room, and the others are indented
        fitting = 1 + _fitting(widths[1:], limit - len(_GAP))
    inside = slice(int(is_stacked), fitting)
    margin = _GAP if is_stacked else ""

    def put(texts: Sequence[str], style: str) -> None:
        line = _line(texts[inside], columns[inside], widths[inside])
        _print(f"{margin}{line}", style, console)

    put(titles, "bold")
    above = None
    for row, texts in zip(rows, cells, strict=True):
        if is_stacked and row.model != above:
            _print(row.model, "bold", console)
        above = row.model
        put(texts, _STYLES[row.verdict])
    _below(rows, columns, fitting, console)


def _widths(titles: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(titles, *cells, strict=True)]


def _below(rows: Sequence[Row], columns: Sequence[Column], fitting: int, console: Console) -> None:
    """Print the notes on the columns that fit, and name the others."""
    for note in notes.footnotes(rows, columns[:fitting]):
        _print(note, "dim", console, wrap=True)
    if fitting < len(columns):
        titles = ", ".join(column.title for column in columns[fitting:])
        note = f"too narrow for: {titles} (a wider terminal, a pipe or --json has them)"
        _print(note, "dim", console, wrap=True)


def _fitting(widths: Sequence[int], limit: int) -> int:
    """Return how many of the first columns fit side by side, at least one."""
    count = len(widths)
    while count > 1 and sum(widths[:count]) + len(_GAP) * (count - 1) > limit:
        count -= 1
    return count


def _line(texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    cells = []
    for text, column, width in zip(texts, columns, widths, strict=True):
        blanks = " " * (width - cell_len(text))
        cells.append(blanks + text if column.is_number else text + blanks)
    return _GAP.join(cells).rstrip()


def _print(line: str, style: str, console: Console, *, wrap: bool = False) -> None:
    # Text, not str: brackets in a model's name are no markup. Notes may wrap at words, rows never.
    console.print(Text(line, style=style), soft_wrap=not (wrap and console.is_terminal))
