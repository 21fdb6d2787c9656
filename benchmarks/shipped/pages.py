"""Pages of which a part is generated: between two marks, compared with what is committed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def filled(page: Path, text: str) -> str:
    """Return a page with ``text`` between its marks.

    Raises:
        FileError: The page cannot be read, or does not have the two marks once each.
    """
    try:
        found = page.read_text(encoding="utf-8")
    except OSError as error:
        raise FileError(f"{page} cannot be read: {error}", fix="run git checkout on it") from error
    parts = found.split(BEGIN)
    ends = [part.split(END) for part in parts]
    if [len(end) for end in ends] != [1, 2]:
        raise FileError(
            f"{page} does not have {BEGIN} and then {END} once each", fix="put the marks back"
        )
    return f"{parts[0]}{BEGIN}\n\n{text}\n\n{END}{ends[1][1]}"


def differences(path: Path, wanted: str) -> str:
    """Return the lines in which a file differs from what it should be, ``""`` for none."""
    found = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), f"{path} as it is", "as it should be",
        lineterm="", n=0,
    )  # fmt: skip
    return "\n".join(lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str | None]], *, text: int = 1) -> str:
    """Return a Markdown table; None is a dash.

    Args:
        head: Titles.
        rows: Cells.
        text: How many of the first columns are words; numbers stand at the right.
    """
    marks = ["---" if number < text else "---:" for number in range(len(head))]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(marks) + "|"]
    lines += ["| " + " | ".join(cell or "–" for cell in row) + " |" for row in rows]
    return "\n".join(lines)
