"""Networks by family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.types import Family
from edgedeploy.zoo import mobilenet_v1, mobilenet_v2

if TYPE_CHECKING:
    from edgedeploy.zoo.rows import Network, Style

_FAMILIES = {
    Family.MOBILENET_V1: mobilenet_v1.network,
    Family.MOBILENET_V2: mobilenet_v2.network,
    Family.MOBILENET_V1_SHALLOW: mobilenet_v1.shallow,
    Family.MOBILENET_V1_FULL: mobilenet_v1.full,
}


def network(family: Family, *, alpha: float, classes: int, style: Style) -> Network:
    """Return the rows of one network; the resolution is chosen at export."""
    return _FAMILIES[family](alpha, classes, style)
