"""How far one figure of one run may be off where no samples tell: memory and accuracy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgedeploy.comparing.intervals import Interval

if TYPE_CHECKING:
    from edgedeploy.comparing.sides import Side

_Z = 1.959964  # of a normal distribution, 95 %
_RSS_MB, _RSS_SHARE = 1.0, 0.01


def memory_mb(first: float, second: float) -> float:
    """Return by how many MB the peaks of two runs of one artifact may differ.

    A peak depends on where the allocator and the loader happened to put things. Ten runs of one
    artifact (a MobileNet on ONNX Runtime, 1 thread, 2026-11-22) had peaks of 70.9 to 71.3 MB. Twice
    that spread is taken, as a share too, since larger processes vary by more.

    Args:
        first: Peak in MB.
        second: That of the other.

    Example:
        >>> memory_mb(71.0, 70.0), memory_mb(500.0, 100.0)
        (1.0, 5.0)
    """
    return max(_RSS_MB, _RSS_SHARE * max(first, second))


def images(side: Side) -> int | None:
    """Return of how many images a side's accuracy is; None where nobody said."""
    count = (side.record.document["accuracy"] or {}).get("count")
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 < count < 1e18
    return count if is_count else None


def shares(first: float, second: float, count: int) -> Interval:
    """Return where 95 % of the difference of two shares lie, if the images were drawn anew.

    Both are taken as of images of their own. Two models that were shown the same ones mostly err
    on the same ones, so their difference is surer than this: which ones it was, nobody kept.

    Args:
        first: From 0 to 1.
        second: Like it.
        count: Images, of each.

    Source:
        A. Agresti and B. Caffo, Simple and effective confidence intervals for proportions and
        differences of proportions, 2000: one hit and one miss are added to each.
    """
    one, two = ((share * count + 1) / (count + 2) for share in (first, second))
    half = _Z * math.sqrt((one * (1 - one) + two * (1 - two)) / (count + 2))
    return Interval(two - one - half, two - one + half)
