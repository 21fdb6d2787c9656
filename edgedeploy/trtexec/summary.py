"""One line of trtexec's summary: ``min = 1.42 ms, max = …, percentile(99%) = 2.61 ms``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NUMBER = r"(\d{1,30}(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?)"

_LARGEST = 1e9
_TIMES = re.compile(
    rf"min = {NUMBER} ms, max = {NUMBER} ms, mean = {NUMBER} ms, median = {NUMBER} ms"
    rf"((?:, percentile\({NUMBER}%\) = {NUMBER} ms)*)",
    re.ASCII,
)
_PERCENTILE = re.compile(rf"percentile\({NUMBER}%\) = {NUMBER} ms", re.ASCII)


class DamagedError(Exception):
    """A line is not what it must be, or missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One line of the summary, in milliseconds, by trtexec's own rules.

    Attributes:
        min: Smallest.
        max: Largest.
        mean: Average.
        median: Of an even number, the mean of the two in the middle.
        percentiles: By percent, e.g. ``{99.0: 91.5}``: ``sorted[n - 1 - int((1 - p) * n)]``.
    """

    min: float
    max: float
    mean: float
    median: float
    percentiles: Mapping[float, float]


def timing(title: str, summary: Mapping[str, str]) -> Timing:
    """Read one line.

    Args:
        title: What stands before its colon.
        summary: The lines by their titles.

    Raises:
        DamagedError: It is missing, or not what trtexec prints.
    """
    line = summary.get(title)
    if line is None:
        raise DamagedError(f"the summary has no line {title!r}")
    match = _TIMES.fullmatch(line)
    if match is None:
        raise DamagedError(f"the line {title!r} reads {line[:80]!r}")
    found = Timing(
        min=number(match[1]),
        max=number(match[2]),
        mean=number(match[3]),
        median=number(match[4]),
        percentiles=dict(_percentiles(match[5])),
    )
    if not found.min <= found.median <= found.max:
        raise DamagedError(f"the line {title!r} has a median that is not between its ends")
    return found


def _percentiles(text: str) -> Iterator[tuple[float, float]]:
    for percent, value in _PERCENTILE.findall(text):
        yield number(percent), number(value)


def number(text: str) -> float:
    """Read what `NUMBER` matched.

    Raises:
        DamagedError: It is larger than any time or size.
    """
    value = float(text)
    if value > _LARGEST:
        raise DamagedError(f"{text} is too large a number")
    return value
