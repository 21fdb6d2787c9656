"""Amounts with their unit, as people type them and read them: ``10ms``, ``20mJ``, ``0.60``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?|\.\d+) ?([^\d\s.].*)?", re.ASCII)
_DIGITS = 4  # that are shown


@dataclass(frozen=True, slots=True)
class Dimension:
    """What an amount is of.

    Attributes:
        name: In words, e.g. ``"time"``.
        unit: That values are kept in.
        units: Every unit that may be typed, by how many of `unit` it is; ``""``: none.
        example: One that parses.
    """

    name: str
    unit: str
    units: Mapping[str, float]
    example: str


TIME = Dimension("time", "ms", {"us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3}, "10ms")
ENERGY = Dimension("energy", "mJ", {"uJ": 1e-3, "mJ": 1.0, "J": 1e3}, "20mJ")
SIZE = Dimension(
    "size",
    "MB",
    {
        "kB": 1e-3,
        "MB": 1.0,
        "GB": 1e3,
        "KiB": 1024 / 1e6,
        "MiB": 1024**2 / 1e6,
        "GiB": 1024**3 / 1e6,
    },
    "5MB",
)
SHARE = Dimension("share", "", {"": 1.0, "%": 0.01}, "0.60 or 60%")
RATE = Dimension("rate", "fps", {"": 1.0, "fps": 1.0}, "30")
COUNT = Dimension("count", "", {"": 1.0}, "27")
WORK = Dimension("work", "M", {"": 1e-6, "k": 1e-3, "M": 1.0, "G": 1e3}, "569M")


def parse(text: str, dimension: Dimension, *, name: str) -> float:
    """Return an amount in the unit that ``dimension`` keeps.

    Args:
        text: E.g. ``"10ms"``; a blank may stand before the unit, a sign may not.
        dimension: What it must be of.
        name: What an error calls it, e.g. ``"--max-p99"``.

    Raises:
        UsageError: It is no number, has no unit or a wrong one, or is no share from 0 to 1.

    Example:
        >>> parse("10ms", TIME, name="--max-p99"), parse("60 %", SHARE, name="--min-top1")
        (10.0, 0.6)
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{name} is {text!r}: that is no {dimension.name}",
            fix=f"write an amount such as {dimension.example}",
        )
    unit = (found[2] or "").strip()
    if unit not in dimension.units:
        wrong = f"has the unit {unit!r}" if unit else "has no unit"
        known = ", ".join(one for one in dimension.units if one)
        units = f"the units are {known}: " if known else ""
        raise UsageError(
            f"{name} is {text!r}: it {wrong}", fix=f"{units}write e.g. {dimension.example}"
        )
    # divided where that is exact: 60 % is the 0.6 that anyone would type
    factor = dimension.units[unit]
    amount = float(found[1]) / 100 if unit == "%" else float(found[1]) * factor
    if not math.isfinite(amount):
        raise UsageError(f"{name} is {text!r}: too large", fix=f"write e.g. {dimension.example}")
    if dimension is SHARE and amount > 1:
        raise UsageError(
            f"{name} is {text!r}: a share is from 0 to 1, or from 0 % to 100 %",
            fix=f"write e.g. {dimension.example}",
        )
    return amount


def write(amount: float, dimension: Dimension) -> str:
    """Return an amount for people, with four digits.

    Example:
        >>> write(12.34567, TIME), write(0.87654, SHARE), write(27, COUNT)
        ('12.35 ms', '87.65 %', '27')
    """
    if dimension is COUNT:
        return f"{amount:g}"
    if dimension is SHARE:
        return f"{amount * 100:.2f} %"
    return f"{amount:.{_decimals(amount)}f} {dimension.unit}"


def write_limit(amount: float, dimension: Dimension, *, up: bool) -> str:
    """Return an amount ≥ 0 as `parse` reads it, with four digits, rounded to the side asked for.

    Args:
        amount: In the dimension's unit.
        dimension: Of the amount.
        up: Never below ``amount``; else never above it.

    Example:
        >>> write_limit(12.34567, TIME, up=True), write_limit(0.87654, SHARE, up=False)
        ('12.35ms', '0.8765')
    """
    step = Decimal(1).scaleb(-_decimals(amount))
    # of the shortest decimal that is this float: 0.6 stays 0.6
    rounded = Decimal(repr(float(amount))).quantize(
        step, rounding=ROUND_CEILING if up else ROUND_FLOOR
    )
    return f"{rounded:f}{dimension.unit}"


def _decimals(amount: float) -> int:
    if amount == 0:
        return 0
    return min(max(_DIGITS - 1 - math.floor(math.log10(abs(amount))), 0), 12)
