"""Colours and shapes of the charts: told apart without colour vision, seen on light and dark.

The page's style sheet declares the colours as variables, so that one drawing serves both themes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "panel": "#f4f6f8",
    "line": "#c8ced6",
    "ink": "#1b2128",
    "quiet": "#4f5965",
    "link": "#0a58a8",
    "series-0": "#0a4bd6",
    "series-1": "#b86e00",
    "series-2": "#0b4a1c",
    "series-3": "#e0176a",
    "series-4": "#55106b",
    "series-5": "#9a73dc",
    "good": "#00664f",
    "doubt": "#8a4b00",
    "bad": "#b3261e",
}
DARK: Mapping[str, str] = {
    "paper": "#12161b",
    "panel": "#1b2128",
    "line": "#3d4651",
    "ink": "#eef1f4",
    "quiet": "#b3bcc7",
    "link": "#7cbcff",
    "series-0": "#86dcff",
    "series-1": "#ff6a45",
    "series-2": "#9be22d",
    "series-3": "#f4f0a8",
    "series-4": "#12a583",
    "series-5": "#dc48d4",
    "good": "#45d1a9",
    "doubt": "#ffb86b",
    "bad": "#ff8f80",
}
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
"""One more than there are colours: colour and shape together repeat after 42."""

_COLOURS = 6
_COLD, _WARM = "#e3f0fb", "#08306b"  # of the heat map: pale is fast
_INKS = ("#000000", "#ffffff")


def variable(name: str) -> str:
    """Return a colour as the style sheet's variable, e.g. ``var(--ink)``."""
    return f"var(--{name})"


def series(index: int) -> tuple[str, str]:
    """Return the colour (a variable) and the shape of the series with this number."""
    return variable(f"series-{index % _COLOURS}"), SHAPES[index % len(SHAPES)]


def heat(share: float) -> tuple[str, str]:
    """Return a cell's colour and that of the text on it, whichever is easier to read.

    Args:
        share: From 0, the fastest, to 1.
    """
    ends = zip(_channels(_COLD), _channels(_WARM), strict=True)
    mixed = [round(255 * (low + (high - low) * share)) for low, high in ends]
    colour = "#" + "".join(f"{channel:02x}" for channel in mixed)
    return colour, max(_INKS, key=lambda ink: contrast(ink, colour))


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours ``#rrggbb``, from 1 to 21.

    Source:
        WCAG 2.2, contrast ratio and relative luminance.
    """
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour)
    ]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _channels(colour: str) -> Sequence[float]:
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
