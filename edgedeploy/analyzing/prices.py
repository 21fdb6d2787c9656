"""What breaking a guideline costs on this device, as `benchmarks/guidelines.py` has measured it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy.analyzing import kept
from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedeploy.analyzing.kept import Host

WIDTHS, GROUPS, FRAGMENTS, ELEMENTWISE = "G1", "G2", "G3", "G4"
"""The guidelines of ShuffleNet V2, section 2."""
CHANNELS = "channels"
"""Channels that fill no block of 8 or 16."""
ACTIVATIONS, SUMS, SUMS_AND_ACTIVATIONS = 1, 2, 3
"""How far `ELEMENTWISE` is broken: what a block has."""

_BLOCK = 8

_KIND = "guidelines"
_FIX = "measure again: python benchmarks/guidelines.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """How fast a small network runs that breaks a guideline, beside one that does not.

    Attributes:
        rule: One of the guidelines, or `CHANNELS`.
        number: How far it is broken: the ratio of widths, groups, fragments side by side,
            channels; of `ELEMENTWISE` one of `ACTIVATIONS` and its like.
        setting: The same in words, e.g. ``"1:6"``.
        baseline: What it is compared with, in words.
        backend: ``ort`` or ``openvino``.
        precision: ``fp32`` or ``int8``.
        relative: Its multiply-adds per second over those of the baseline.
    """

    rule: str
    number: float
    setting: str
    baseline: str
    backend: str
    precision: str
    relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """All that was measured at one time.

    Attributes:
        date: When, ISO 8601 in UTC.
        prices: One for each setting, backend and precision.
    """

    date: str
    prices: tuple[Price, ...]

    def nearest(self, rule: str, number: float, precision: str | None) -> tuple[Price, ...]:
        """Return, of each backend, the price of what was measured nearest to ``number``.

        Channels that are a multiple of 8 are set against such, all others against all others.
        """
        found: dict[str, Price] = {}
        for each in self.prices:
            if (each.rule, each.precision) != (rule, precision):
                continue
            if rule == CHANNELS and bool(each.number % _BLOCK) != bool(number % _BLOCK):
                continue
            best = found.get(each.backend)
            if best is None or _distance(each, number) < _distance(best, number):
                found[each.backend] = each
        return tuple(found.values())


def of_this_device(*, threads: int | None = None, folder: Path | None = None) -> Prices | None:
    """Return what is kept of this device and these versions; None where nothing is.

    Args:
        threads: As `kept.this_host`.
        folder: Where it is kept; None: the user's cache folder.

    Raises:
        FileError: What is kept is damaged.
    """
    place = folder or kept.default_folder()
    if not (place / _KIND).is_dir():
        return None  # before any library is loaded
    path = kept.place(place, _KIND, kept.this_host(threads))
    found = kept.read(path, _FIX)
    return None if found is None else _parsed(found, path)


def keep(prices: Prices, host: Host, *, folder: Path | None = None) -> Path:
    """Keep what was measured, and return its file.

    Raises:
        FileError: The folder cannot be written to.
    """
    path = kept.place(folder or kept.default_folder(), _KIND, host)
    kept.write(path, host, asdict(prices))
    return path


def in_words(prices: Sequence[Price]) -> str:
    """Say e.g. ``"measured: 1:6 at 81% (ort) of the speed of 1:1"``; nothing of nothing."""
    if not prices:
        return ""
    first = prices[0]
    shares = ", ".join(f"{each.relative:.0%} ({each.backend})" for each in prices)
    return f"measured: {first.setting} at {shares} of the speed of {first.baseline}"


def _distance(price: Price, number: float) -> float:
    return abs(price.number - number)


def _parsed(document: dict[str, Any], path: Path) -> Prices:
    try:
        return Prices(
            date=kept.text(document["date"]),
            prices=tuple(_price(each) for each in document["prices"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"{path} is damaged: {type(error).__name__}: {error}", fix=_FIX) from error


def _price(found: dict[str, Any]) -> Price:
    return Price(
        rule=kept.text(found["rule"]),
        number=kept.positive(found["number"]),
        setting=kept.text(found["setting"]),
        baseline=kept.text(found["baseline"]),
        backend=kept.text(found["backend"]),
        precision=kept.text(found["precision"]),
        relative=kept.positive(found["relative"]),
    )
