"""Findings as something to look at: some lines for a terminal, and a part of the JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgedeploy.analyzing import prices as pricing
from edgedeploy.analyzing.kept import count_of
from edgedeploy.analyzing.lints import LEAST_SHARE
from edgedeploy.analyzing.showing import amount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.analyzing.lints import Finding
    from edgedeploy.analyzing.prices import Prices

TITLES = {
    pricing.WIDTHS: "G1, unequal widths",
    pricing.GROUPS: "G2, groups",
    pricing.FRAGMENTS: "G3, fragments",
    pricing.ELEMENTWISE: "G4, element-wise operations",
    pricing.CHANNELS: "channels that fill no block",
}
_UNMEASURED = (
    "Counted, not measured: benchmarks/guidelines.py of the repository measures the\n"
    "price on this device."
)


def lines(findings: Sequence[Finding], prices: Prices | None) -> list[str]:
    """Return four lines a finding at most, and what the prices are."""
    if not findings:
        return [
            f"no guideline of ShuffleNet V2 costs {LEAST_SHARE:.0%} of the memory access or more"
        ]
    found = [line for each in findings for line in _lines(each)]
    if prices is None:
        return [*found, _UNMEASURED]
    return [*found, f"measured {prices.date[:10]} by benchmarks/guidelines.py on this device"]


def document(findings: Sequence[Finding], prices: Prices | None) -> dict[str, Any]:
    """Return the key ``lints`` of the JSON document that docs/analyze.md describes."""
    return {
        "findings": [asdict(each) for each in findings],
        "measured": None if prices is None else prices.date,
        "least_share": LEAST_SHARE,
    }


def _lines(each: Finding) -> list[str]:
    layers = count_of(len(each.layers), "layer")
    more = amount(each.extra_bytes, "B")
    price = pricing.in_words(each.prices)
    return [
        f"{TITLES[each.rule]}: {layers}, {more} of memory access, {each.share:.1%} of all",
        f"  most in {each.layers[0]}, {amount(each.dearest_bytes, 'B')}:",
        f"  {each.what}",
        *([f"  {price}"] if price else []),
    ]
