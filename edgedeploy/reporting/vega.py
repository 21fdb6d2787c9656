"""Vega-Lite specifications to static SVG: no script, colours of the page, small.

Drawn by vl-convert, which holds Vega and needs neither a browser nor a network.
"""

from __future__ import annotations

import math
import re
from html import escape
from typing import Any

from edgedeploy.optional import needs
from edgedeploy.reporting.palette import variable

Spec = dict[str, Any]

_VERSION = "5.20"
_FONT = "Arial, sans-serif"
# What the renderer writes and no reader of a still picture needs, or the style sheet says.
_NOISE = re.compile(
    r' (?:aria-\w+="[^"]*"|role="[^"]*"|class="(?!marks)[^"]*"|font-family="[^"]*"'
    r'|font-size="12px"|font-weight="normal"|opacity="1"|pointer-events="none"|stroke-width="1"'
    r'|stroke-miterlimit="10"|transform="translate\(0,0\)"|version="1.1"|x2="0"|y2="0"'
    r'|xmlns:xlink="[^"]*")'
)
_EMPTY = re.compile(r'<path d="(?:M0,0h0v0h0Z|)"(?: display="none")?/>')
_DECIMALS = re.compile(r"(\d+\.\d)\d+")
_TAG = re.compile(r"<[^>]*>")


def draw(spec: Spec, *, alt: str) -> str:
    """Return the drawing of a specification as one ``<svg>`` element.

    Args:
        spec: Vega-Lite with its data inside; ``$schema`` and the theme are added.
        alt: What the element is called for a screen reader.

    Raises:
        MissingDependencyError: vl-convert is not installed.
    """
    with needs("vl_convert", extra="report"):
        import vl_convert
    whole = {
        "config": _theme(),
        "background": None,
        "padding": {"left": 8, "right": 8, "top": 4, "bottom": 4},
        **spec,
    }
    text: str = vl_convert.vegalite_to_svg(whole, vl_version=_VERSION, allowed_base_urls=[])
    head, body = (_TAG.sub(_cleaned, part) for part in re.split("(?<=>)", text, maxsplit=1))
    return f'{head[:-1]} role="img" aria-label="{escape(alt)}">{_flattened(_EMPTY.sub("", body))}'


def _cleaned(tag: re.Match[str]) -> str:
    """Shorten one tag; text between tags holds no ``<`` of its own and stays as it is."""
    return _DECIMALS.sub(r"\1", _NOISE.sub("", tag[0]))


def _flattened(body: str) -> str:
    """Drop groups without attributes, which change nothing, and keep what is in them."""
    kept: list[bool] = []

    def without(tag: re.Match[str]) -> str:
        if tag[0].startswith(("<g>", "<g ")) and not tag[0].endswith("/>"):
            kept.append(tag[0] != "<g>")
            return tag[0] * kept[-1]
        return tag[0] * kept.pop() if tag[0] == "</g>" else tag[0]

    return re.sub(r"<g [^>]*></g>", "", _TAG.sub(without, body))


def axis(title: str, **more: Any) -> Spec:
    """Return an axis with few labels."""
    return {"title": title, **({} if "values" in more else {"tickCount": 5}), **more}


def milliseconds(field: str, title: str, low: float, high: float) -> Spec:
    """Return the channel of a latency: logarithmic, but linear where zero is among its values."""
    channel: Spec = {"field": field, "type": "quantitative"}
    if low <= 0:
        scale = {"type": "linear", "domain": [min(low, 0), high * 1.05 or 1], "nice": False}
        return {**channel, "scale": scale, "axis": axis(title, format="~g")}
    domain = [low * 0.95, high * 1.05]
    words = axis(f"{title} (logarithmic)", format="~g", values=ticks(*domain))
    return {**channel, "scale": {"type": "log", "domain": domain, "nice": False}, "axis": words}


def ticks(low: float, high: float) -> list[float]:
    """Return three to ten round numbers between two positive ones that are not equal.

    Example:
        >>> ticks(0.5, 60), ticks(4.1, 4.9)
        ([0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0], [4.2, 4.4, 4.6, 4.8])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        found = [float(f"{step}e{power}") for power in powers for step in steps]
        found = [value for value in found if low <= value <= high]
        if len(found) >= 4:
            return found[:: -(-len(found) // 10)]
    unit = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(
        unit * factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (unit * factor) <= 7
    )
    first = math.ceil(low / step)
    return [float(f"{i * step:.12g}") for i in range(first, math.floor(high / step) + 1)]


def _theme() -> Spec:
    ink, quiet, line = variable("ink"), variable("quiet"), variable("line")
    words = {"labelColor": quiet, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "aria": False,  # the svg element speaks for all of its parts, the table holds the numbers
        "font": _FONT,
        "view": {"stroke": line},
        "axis": {
            **words,
            "titleFontWeight": "normal",
            "gridColor": line,
            "domainColor": line,
            "tickColor": line,
            "labelOverlap": "greedy",
        },
        "legend": {
            **words,
            "orient": "bottom",
            "symbolStrokeWidth": 1.5,
            "labelLimit": 300,
            "columnPadding": 24,
        },
        "header": words,
        "text": {"color": ink, "fontSize": 12},
    }
