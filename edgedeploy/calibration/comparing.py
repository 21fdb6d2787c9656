"""Two calibrations side by side: what they come from, and what they say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.calibration import arrays

if TYPE_CHECKING:
    from edgedeploy.calibration_values import Calibration, TensorRange

_PROVENANCE = (
    "model_sha256",
    "data_digest",
    "data_count",
    "method",
    "steps",
    "max_drop",
    "left_float",
    "side",
    "preprocessing",
    "versions",
    "unreadable",
)


@dataclass(frozen=True, slots=True)
class RangeChange:
    """One tensor whose range differs.

    Attributes:
        name: Of the tensor.
        first: In the first calibration.
        second: In the second.
    """

    name: str
    first: TensorRange
    second: TensorRange

    @property
    def size(self) -> float:
        """How far an end of the chosen range moved, as a share of the wider of the two ranges."""
        low, high = self.second.low - self.first.low, self.second.high - self.first.high
        widest = max(self.first.high - self.first.low, self.second.high - self.second.low)
        return max(abs(low), abs(high)) / widest


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What two calibrations say differently.

    Attributes:
        provenance: Field of `Calibration`, and its two values.
        ranges: The largest change first.
        only_first: Tensors that only the first has a range of, sorted.
        only_second: Tensors that only the second has a range of, sorted.
        arrays: What differs of equalisation and corrections, e.g. ``"bias of 'conv' (s8)"``.
    """

    provenance: tuple[tuple[str, object, object], ...]
    ranges: tuple[RangeChange, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    arrays: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the two say the same."""
        found = (self.provenance, self.ranges, self.only_first, self.only_second, self.arrays)
        return not any(found)


def compare(first: Calibration, second: Calibration) -> Difference:
    """Return what differs between two calibrations, of one model or of two."""
    changes = [
        RangeChange(name, first.ranges[name], second.ranges[name])
        for name in first.ranges
        if name in second.ranges and _differ(first.ranges[name], second.ranges[name])
    ]
    one, two = arrays.named(first), arrays.named(second)
    return Difference(
        provenance=tuple(
            (field, getattr(first, field), getattr(second, field))
            for field in _PROVENANCE
            if getattr(first, field) != getattr(second, field)
        ),
        ranges=tuple(sorted(changes, key=lambda change: (-change.size, change.name))),
        only_first=tuple(sorted(set(first.ranges) - set(second.ranges))),
        only_second=tuple(sorted(set(second.ranges) - set(first.ranges))),
        arrays=tuple(
            what
            for what in sorted({*one, *two})
            if what not in one or what not in two or not np.array_equal(one[what], two[what])
        ),
    )


def _differ(first: TensorRange, second: TensorRange) -> bool:
    """Compare two ranges; what chose them only where both say it."""
    if not (first.method and second.method):
        first, second = replace(first, method=""), replace(second, method="")
    return first != second
