"""Points in series as an SVG that stands alone: named, described, for light and dark pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from edgedeploy.reporting import palette, vega

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEAD = re.compile(r'^<svg ([^>]*?) role="img" aria-label="[^"]*">')
_FONT = "font-family:Arial,sans-serif;font-size:12px"
_FONT_ON_WHITE = 'font-family="Arial, sans-serif" font-size="12px"'
_VARIABLE = re.compile(r"var\(--([a-z0-9-]+)\)")


class Point(NamedTuple):
    """A place in a drawing.

    Attributes:
        x: Across.
        y: Upwards.
        label: What stands beside it.
        is_hollow: Whether it is drawn as an outline alone.
    """

    x: float
    y: float
    label: str = ""
    is_hollow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One direction of a drawing.

    Attributes:
        title: With the unit.
        format: Of the numbers, in d3's notation.
        is_log: Whether it is logarithmic.
    """

    title: str
    format: str = "~g"
    is_log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plot:
    """A drawing before it is drawn.

    Attributes:
        file: Its name under ``docs/images/``.
        title: Short.
        desc: What a person who cannot see it must know.
        series: Points by name; each name has a colour and a shape, and a line.
        x: Across.
        y: Upwards.
        front: Points that no other beats, from left to right, joined by steps.
        is_joined: Whether the points of a series are joined by a line.
    """

    file: str
    title: str
    desc: str
    series: Mapping[str, Sequence[Point]]
    x: Axis
    y: Axis
    front: Sequence[Point] = ()
    is_joined: bool = True

    def markdown(self) -> str:
        """Return the picture for a page in ``docs/``."""
        return f"![{self.title}](images/{self.file})"

    def draw(self) -> str:
        """Return the SVG, with a title, a description, and colours for both schemes.

        Raises:
            MissingDependencyError: vl-convert is not installed.
        """
        drawn = vega.draw(self._spec(), alt=self.title)
        about = (
            f'<title id="title">{escape(self.title)}</title>'
            f'<desc id="desc">{escape(self.desc)}</desc>{_style()}'
        )
        head = rf'<svg \1 role="img" aria-labelledby="title desc">{_escaped(about)}'
        return _HEAD.sub(head, drawn, count=1) + "\n"

    def _spec(self) -> dict[str, Any]:
        points = [point for each in self.series.values() for point in each]
        return {
            "background": palette.variable("paper"),
            "width": 560,
            "height": 300,
            "encoding": {
                "x": _channel("x", self.x, [point.x for point in points]),
                "y": _channel("y", self.y, [point.y for point in points]),
            },
            "layer": [*([self._front()] if self.front else []), *self._layers()],
        }

    def _front(self) -> dict[str, Any]:
        return {
            "data": {"values": [{"x": point.x, "y": point.y} for point in self.front]},
            "mark": {
                "type": "line", "interpolate": "step-after", "strokeDash": [4, 3],
                "color": palette.variable("quiet"),
            },
        }  # fmt: skip

    def _layers(self) -> list[dict[str, Any]]:
        names = list(self.series)
        looks = [palette.series(number) for number in range(len(names))]
        values = [
            {"series": name, **point._asdict()}
            for name, points in self.series.items()
            for point in points
        ]
        legend = {"title": None, "columns": 4}
        kind = {"field": "series", "type": "nominal", "legend": legend}
        colour = {**kind, "scale": {"domain": names, "range": [look[0] for look in looks]}}
        shape = {**kind, "scale": {"domain": names, "range": [look[1] for look in looks]}}
        data = {"values": values}
        line = {"data": data, "mark": "line", "encoding": {"color": colour}}
        hollow = {"condition": {"test": "datum.is_hollow", "value": 0}, "value": 1}
        return [
            *([line] if self.is_joined else []),
            {
                "data": data,
                "mark": {"type": "point", "size": 70, "opacity": 1},
                "encoding": {
                    "color": colour,
                    "fill": {**colour, "legend": None},
                    "shape": shape,
                    "fillOpacity": hollow,
                },
            },
            {
                "data": data,
                "mark": {"type": "text", "align": "center", "dy": -11, "fontSize": 11},
                "encoding": {"text": {"field": "label"}},
            },
        ]


def on_white(spec: dict[str, Any], *, alt: str) -> str:
    """Draw a Vega-Lite specification in the report's light colours, for a page of any colour.

    Raises:
        MissingDependencyError: vl-convert is not installed.
    """
    white = {**spec, "background": palette.LIGHT["paper"]}
    drawn = vega.draw(white, alt=alt).replace("<svg ", f"<svg {_FONT_ON_WHITE} ", 1)
    return _VARIABLE.sub(lambda found: palette.LIGHT[found[1]], drawn) + "\n"


def _channel(field: str, axis: Axis, values: Sequence[float]) -> dict[str, Any]:
    channel: dict[str, Any] = {"field": field, "type": "quantitative"}
    if not axis.is_log:
        scale = {"zero": False, "padding": 18}
        return {**channel, "scale": scale, "axis": vega.axis(axis.title, format=axis.format)}
    room = 1.15 if max(values) > 1.5 * min(values) else 1.5
    domain = [min(values) / room, max(values) * room]
    words = vega.axis(f"{axis.title} (logarithmic)", format=axis.format, values=vega.ticks(*domain))
    return {**channel, "scale": {"type": "log", "domain": domain, "nice": False}, "axis": words}


def _style() -> str:
    schemes = [
        ";".join(f"--{name}:{colour}" for name, colour in colours.items())
        for colours in (palette.LIGHT, palette.DARK)
    ]
    dark = f"@media(prefers-color-scheme:dark){{svg{{{schemes[1]}}}}}"
    return f"<style>svg{{{_FONT};{schemes[0]}}}{dark}</style>"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\")
