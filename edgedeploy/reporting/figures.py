"""What a chart of the report is: a drawing, its words, and the table of the same numbers."""

from __future__ import annotations

from dataclasses import dataclass

Cell = str | float | int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTable:
    """The numbers behind a chart.

    Attributes:
        caption: What they are, with their units.
        head: One title a column; the first column names the row.
        rows: As long as ``head`` each; None is shown as a dash.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One chart.

    Attributes:
        title: Short, above it.
        alt: What a person who cannot see it must know; no repetition of the table.
        caption: How to read it, and what was left out or thinned.
        svg: The drawing, one ``<svg>`` element.
        table: The same numbers.
        wide: Whether it takes the page's whole width.
    """

    title: str
    alt: str
    caption: str
    svg: str
    table: DataTable
    wide: bool = False


def number(value: float | None, digits: int = 4) -> str | None:
    """Return a number with so many significant digits and no exponent; None stays None.

    Example:
        >>> number(0.0123456), number(1234567.0), number(5), number(None)
        ('0.01235', '1234567', '5', None)
    """
    if value is None:
        return None
    rounded = float(f"{value:.{digits - 1}e}") if abs(value) < 10 ** (digits - 1) else round(value)
    text = f"{rounded:.12f}".rstrip("0").rstrip(".")
    return text if text not in ("-0", "") else "0"
