from __future__ import annotations

import itertools

import pytest

from edgedeploy.reporting import palette

# Deuteranopia and protanopia of full strength, on linear RGB: Machado, Oliveira and
# Fernandes, A physiologically-based model for simulation of color vision deficiency, 2009.
BLINDNESS = {
    "none": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
}
THEMES = {"light": palette.LIGHT, "dark": palette.DARK}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("paper", ["paper", "panel"])
def test_words_have_the_contrast_of_text_and_drawn_things_that_of_graphics(
    theme: str, paper: str
) -> None:
    colours = THEMES[theme]
    for name in set(colours) - {"paper", "panel", "line"}:
        least = 3 if name.startswith("series") else 4.5  # WCAG 2.2: 1.4.11 and 1.4.3
        assert palette.contrast(colours[name], colours[paper]) >= least, name


def test_both_themes_have_the_same_names() -> None:
    assert set(palette.LIGHT) == set(palette.DARK)


def test_contrast_is_that_of_wcag() -> None:
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_text_on_a_heat_map_can_be_read_everywhere() -> None:
    for step in range(101):
        colour, ink = palette.heat(step / 100)
        assert palette.contrast(ink, colour) >= 4.5, colour


def test_slower_is_darker() -> None:
    shades = [palette.contrast(palette.heat(step / 20)[0], "#ffffff") for step in range(21)]
    assert shades == sorted(shades)


def test_42_series_look_different_and_neighbours_differ_in_both() -> None:
    looks = [palette.series(index) for index in range(42)]
    assert len(set(looks)) == 42
    for one, other in itertools.pairwise(looks):
        assert one[0] != other[0]
        assert one[1] != other[1]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_stay_apart_without_colour_vision(theme: str, kind: str) -> None:
    seen = [_simulated(THEMES[theme][f"series-{index}"], BLINDNESS[kind]) for index in range(6)]
    for one, other in itertools.combinations(seen, 2):
        assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 0.15


def _simulated(colour: str, matrix: tuple[tuple[float, ...], ...]) -> list[float]:
    """A colour as it is seen, gamma-encoded, each channel from 0 to 1."""
    linear = [(int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)]
    mixed = [sum(m * c for m, c in zip(row, linear, strict=True)) for row in matrix]
    return [max(value, 0.0) ** (1 / 2.2) for value in mixed]
