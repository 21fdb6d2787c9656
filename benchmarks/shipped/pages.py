"""Pages of which a part is generated: between two marks, compared with what is committed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def marks(name: str) -> tuple[str, str]:
    """Return the two lines between which a part called ``name`` stands."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def filled(page: Path, parts: Mapping[str, str]) -> str:
    """Return a page with other text between the marks of some of its parts.

    Args:
        page: The file.
        parts: What is to stand there, by the name in the marks.

    Raises:
        FileError: The page cannot be read, or does not have the two marks once each.
    """
    try:
        found = page.read_text(encoding="utf-8")
    except OSError as error:
        raise FileError(f"{page} cannot be read: {error}", fix="run git checkout on it") from error
    for name, text in parts.items():
        begin, end = marks(name)
        before, *rest = found.split(begin)
        after = rest[0].split(end) if len(rest) == 1 and end not in before else []
        if len(after) != 2:
            raise FileError(
                f"{page} does not have {begin} and then {end} once each", fix="put the marks back"
            )
        found = f"{before}{begin}\n\n{text}\n\n{end}{after[1]}"
    return found


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
