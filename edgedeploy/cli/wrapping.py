"""Lines of text on a terminal: what is too long for it goes on below, at words."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEEPER = "  "


def print_lines(lines: Iterable[str]) -> None:
    """Print lines, on a terminal none wider than it; off one each as it is.

    What goes on below is indented further. A word that is too long alone, such as a path, stays
    whole.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines:
        print(line if width is None or len(line) <= width else _wrapped(line, width))


def _wrapped(line: str, width: int) -> str:
    margin = line[: len(line) - len(line.lstrip(" "))]
    return textwrap.fill(
        line,
        width,
        subsequent_indent=margin + _DEEPER,
        break_long_words=False,
        break_on_hyphens=False,
    )
