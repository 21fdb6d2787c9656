"""Values of a JSON document, each checked for its type; ``what`` is what an error calls it.

They raise TypeError for another type, ValueError for a value out of place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_number(value: object, what: str, largest: float) -> float:
    """Return a float of at most ``largest`` in magnitude."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is {value!r}, no number")
    if not abs(value) <= largest:  # nan too
        raise ValueError(f"{what} is {value!r}, no number up to {largest:g}")
    return float(value)


def check_count(value: object, what: str) -> int:
    """Return a whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{what} is {value!r}, it must be a whole number above 0")
    return value


def check_text(value: object, what: str) -> str:
    """Return a text that can be written again."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is {value!r}, no text")
    value.encode()  # half a surrogate pair could be read, but never written again
    return value


def check_texts(values: Mapping[str, object], what: str) -> dict[str, str]:
    """Return texts by texts."""
    return {check_text(key, what): check_text(value, what) for key, value in values.items()}
