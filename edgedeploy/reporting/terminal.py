"""The table on a terminal: what does not fit drops out, last column first; nothing is wrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from edgedeploy.reporting import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from edgedeploy.reporting.table import Column, Row

_GAP = "  "
_STYLES = {"measured": "", "suspect": "yellow", "invalid": "red"}


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the table and its footnotes.

    On a terminal, columns are left out until the table fits, the last first, and a footnote names
    them; the model's name stays whole even where it alone is too wide. Off a terminal everything
    is printed, as wide as it gets. (Rich's own table would cut names at the console's width, which
    off a terminal is 80 for no reason.)
    """
    columns = table.columns(rows)
    cells = [[column.write(row) or "–" for column in columns] for row in rows]
    widths = [
        max(map(cell_len, (column.title, *(line[i] for line in cells))))
        for i, column in enumerate(columns)
    ]
    fitting = _fitting(widths, console.width) if console.is_terminal else len(columns)
    visible, dropped = columns[:fitting], columns[fitting:]
    _print(_line([column.title for column in visible], visible, widths), "bold", console)
    for row, line in zip(rows, cells, strict=True):
        _print(_line(line, visible, widths), _STYLES[row.verdict], console)
    for note in table.footnotes(rows, visible):
        _print(note, "dim", console, wrap=True)
    if dropped:
        titles = ", ".join(column.title for column in dropped)
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
    for text, column, width in zip(texts, columns, widths, strict=False):
        blanks = " " * (width - cell_len(text))
        cells.append(blanks + text if column.is_number else text + blanks)
    return _GAP.join(cells).rstrip()


def _print(line: str, style: str, console: Console, *, wrap: bool = False) -> None:
    # Text, not str: brackets in a model's name are no markup. Notes may wrap at words, rows never.
    console.print(Text(line, style=style), soft_wrap=not (wrap and console.is_terminal))
