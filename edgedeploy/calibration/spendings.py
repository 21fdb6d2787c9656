"""What a budget took, as a calibration's JSON holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedeploy.calibration.arrays import STYLES
from edgedeploy.calibration.values import check_count, check_number, check_text
from edgedeploy.calibration_values import Spending

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_DROP = 100.0
_LOSSES = ("before", "after", "changed_before", "changed_after")
_LARGEST_HARM = 1e6  # nats; probabilities are float32, of which none is below 1e-38


def document(spending: Mapping[str, Spending]) -> dict[str, Any]:
    """Return what `parse` reads."""
    return {
        style: {
            "images": found.images,
            **{part: getattr(found, part) for part in _LOSSES},
            "left_float": list(found.left_float),
            "harms": dict(found.harms),
        }
        for style, found in spending.items()
    }


def parse(listed: Mapping[str, Any]) -> dict[str, Spending]:
    """Return what a budget took, by style.

    Raises:
        ValueError: A value is out of place; or TypeError, KeyError, AttributeError.
    """
    for style in listed:
        if style not in STYLES:
            raise ValueError(f"spending is for {style!r}, known are {', '.join(STYLES)}")
    return {style: _spending(found, f"spending of {style}") for style, found in listed.items()}


def parse_budget(value: object) -> float | None:
    """Return the points that may be lost; None where there is no budget.

    Raises:
        ValueError: It is no number above 0 and up to 100; or TypeError.
    """
    if value is None:
        return None
    budget = check_number(value, "max_drop", LARGEST_DROP)
    if budget <= 0:
        raise ValueError(f"max_drop is {budget:g}, it must be above 0")
    return budget


def _spending(found: Mapping[str, Any], what: str) -> Spending:
    if not isinstance(found["left_float"], list):
        raise TypeError(f"left_float of {what} is {found['left_float']!r}, no list")
    left = tuple(check_text(name, f"left_float of {what}") for name in found["left_float"])
    if len(set(left)) < len(left):
        raise ValueError(f"left_float of {what} names a layer twice")
    return Spending(
        images=check_count(found["images"], f"images of {what}"),
        **{p: check_number(found[p], f"{p} of {what}", LARGEST_DROP) for p in _LOSSES},
        left_float=left,
        harms={
            check_text(name, f"harms of {what}"): check_number(
                harm, f"harm of {name} in {what}", _LARGEST_HARM
            )
            for name, harm in found["harms"].items()
        },
    )
