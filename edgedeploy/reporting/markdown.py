"""The table as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.reporting import table
from edgedeploy.reporting.notes import footnotes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.reporting.table import Row


def render(rows: Sequence[Row]) -> str:
    """Return a GitHub table with all columns, its footnotes, and what it was measured with."""
    columns = table.columns(rows)
    lines = [
        _line([column.title for column in columns]),
        _line(["---:" if column.is_number else "---" for column in columns]),
        *(_line([_escaped(column.write(row) or "–") for column in columns]) for row in rows),
    ]
    notes = [f"- {_escaped(note)}" for note in footnotes(rows, columns)]
    setups = [f"- measured on {_escaped(setup)}" for setup in table.setups(rows)]
    return "\n".join([*lines, "", *notes, *setups]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Keep a name from ending its cell or becoming HTML or emphasis."""
    for mark in "\\|<>*_[]`":
        text = text.replace(mark, f"\\{mark}")
    return text
