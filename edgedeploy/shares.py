"""How sure a share of images is, such as top-1: what others of their kind could have given."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def images(document: Mapping[str, Any]) -> int | None:
    """Return of how many images a profile's accuracy is; None where nobody said."""
    count = (document["accuracy"] or {}).get("count")
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 < count < 1e18
    return count if is_count else None


def difference(first: float, second: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of second less first, two shares of images drawn anew.

    Both are taken as of images of their own. Two models that were shown the same ones mostly err
    on the same ones, so their difference is surer than this.

    Args:
        first: From 0 to 1.
        second: Like it.
        count: Images, of each; at least 1.

    Example:
        >>> low, high = difference(0.777, 0.778, 10_000)
        >>> round(low, 4), round(high, 4)
        (-0.0105, 0.0125)

    Source:
        A. Agresti and B. Caffo, Simple and effective confidence intervals for proportions and
        differences of proportions, 2000: one hit and one miss are added to each.
    """
    one, two = ((share * count + 1) / (count + 2) for share in (first, second))
    spread = math.sqrt((one * (1 - one) + two * (1 - two)) / (count + 2))
    half = NormalDist().inv_cdf(0.975) * spread
    return two - one - half, two - one + half
