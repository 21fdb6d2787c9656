from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.types import Family
from edgedeploy.zoo import networks
from edgedeploy.zoo.mobilenet_v2 import make_divisible
from edgedeploy.zoo.rows import Kind, Padding, Row, Style
from tests.zoo.peers import STYLE, V1, V2

if TYPE_CHECKING:
    from edgedeploy.zoo.rows import Network


def _network(family: Family, alpha: float, style: Style = STYLE) -> Network:
    return networks.network(family, alpha=alpha, classes=1000, style=style)


@pytest.mark.parametrize(
    ("family", "alpha", "parameters", "millions"),
    [
        (V1, 1.0, 4_231_976, 568.74),
        (V1, 0.75, 2_585_560, 325.40),
        (V1, 0.5, 1_331_592, 149.50),
        (V1, 0.25, 470_072, 41.03),
        (V2, 1.4, 6_108_776, 582.20),
        (V2, 1.0, 3_504_872, 300.77),
        (V2, 0.75, 2_636_424, 209.07),
        (V2, 0.5, 1_968_680, 97.13),
        (V2, 0.35, 1_677_128, 59.29),
    ],
)
def test_counts_are_those_of_the_published_networks(
    family: Family, alpha: float, parameters: int, millions: float
) -> None:
    network = _network(family, alpha)
    assert network.parameters() == parameters
    assert round(network.multiply_adds(224) / 1e6, 2) == millions


@pytest.mark.parametrize(
    ("family", "alpha", "millions", "parameters"),
    [
        (Family.MOBILENET_V1_FULL, 1.0, 4866, 29.3e6),  # table 4
        (V1, 1.0, 569, 4.2e6),
        (V1, 0.75, 325, 2.6e6),  # table 5
        (Family.MOBILENET_V1_SHALLOW, 1.0, 307, 2.9e6),
    ],
)
def test_the_networks_that_the_paper_compares_cost_what_it_says(
    family: Family, alpha: float, millions: float, parameters: float
) -> None:
    network = _network(family, alpha)
    assert network.multiply_adds(224) / 1e6 == pytest.approx(millions, rel=0.02)
    assert network.parameters() == pytest.approx(parameters, rel=0.02)


def test_the_shallow_network_is_v1_without_five_blocks_of_one_map() -> None:
    wanted = [row for row in _network(V1, 1.0).rows if row.name.split("/")[0] not in
              {f"block_{number:02}" for number in range(7, 12)}]  # fmt: skip
    found = _network(Family.MOBILENET_V1_SHALLOW, 1.0)
    assert [replace(row, name="") for row in found.rows] == [replace(r, name="") for r in wanted]
    assert found.sides(224)[-1] == _network(V1, 1.0).sides(224)[-1] == 7


def test_the_full_network_has_the_maps_and_widths_of_v1() -> None:
    v1, full = _network(V1, 0.5), _network(Family.MOBILENET_V1_FULL, 0.5)
    pointwise = [row.out_channels for row in v1.rows if row.kind is Kind.POINTWISE]
    assert [row.out_channels for row in full.rows[1:]] == pointwise
    assert {row.kind for row in full.rows} == {Kind.STANDARD}
    strides = [row.stride for row in v1.rows if row.kind is not Kind.POINTWISE]
    assert [row.stride for row in full.rows] == strides


@pytest.mark.parametrize(("resolution", "millions"), [(192, 418), (160, 290), (128, 186)])
def test_multiply_adds_fall_with_the_resolution(resolution: int, millions: int) -> None:
    counted = _network(V1, 1.0).multiply_adds(resolution)
    assert counted // 1_000_000 == millions  # the paper's table 7 cuts the decimals off


def test_v1_has_thirteen_blocks_and_v2_ten_skip_connections() -> None:
    v1, v2 = _network(V1, 1.0), _network(V2, 1.0)
    assert [sum(row.kind is kind for row in v1.rows) for kind in Kind] == [1, 13, 13]
    assert sum(row.adds is not None for row in v2.rows) == 10
    assert sum(row.activation is None for row in v2.rows) == 17  # the linear bottlenecks


def test_every_row_reads_what_the_row_before_writes() -> None:
    for family in Family:
        rows = _network(family, 0.35).rows
        for before, row in itertools.pairwise(rows):
            assert row.in_channels == before.out_channels
            if row.kind is Kind.DEPTHWISE:
                assert row.out_channels == row.in_channels


def test_skip_connections_join_maps_of_one_shape() -> None:
    network = _network(V2, 0.35)
    rows = {row.name: row for row in network.rows}
    names = list(rows)
    sides = dict(zip(names, network.sides(97), strict=True))
    for row in network.rows:
        if row.adds is not None:
            source = rows[row.adds]
            assert source.out_channels == row.out_channels
            assert source.out_side(sides[row.adds]) == row.out_side(sides[row.name])


def test_narrow_v1_keeps_eight_channels() -> None:
    assert min(row.out_channels for row in _network(V1, 0.1).rows) == 8


@given(st.floats(min_value=1, max_value=4000))
def test_v2_widths_are_multiples_of_eight_and_lose_at_most_a_tenth(channels: float) -> None:
    rounded = make_divisible(channels)
    assert rounded % 8 == 0
    assert rounded >= 8
    assert rounded >= 0.9 * channels


@given(
    side=st.integers(1, 400),
    stride=st.sampled_from([1, 2]),
    kernel=st.sampled_from([1, 3]),
)
def test_same_padding_rounds_the_side_up(side: int, stride: int, kernel: int) -> None:
    row = _row(Padding.SAME, stride, kernel)
    assert row.out_side(side) == -(-side // stride)
    before, after = row.pads(side)
    assert 0 <= after - before <= 1  # the odd zero comes last


@pytest.mark.parametrize(
    ("padding", "side", "pads", "out"),
    [
        (Padding.SYMMETRIC, 64, (1, 1), 32),
        (Padding.SYMMETRIC, 97, (1, 1), 49),
        (Padding.SAME, 64, (0, 1), 32),
        (Padding.SAME, 97, (1, 1), 49),
        (Padding.BOTTOM_RIGHT, 64, (0, 1), 32),
        (Padding.BOTTOM_RIGHT, 97, (0, 1), 48),
    ],
)
def test_each_rule_pads_odd_and_even_sides_its_own_way(
    padding: Padding, side: int, pads: tuple[int, int], out: int
) -> None:
    row = _row(padding, 2, 3)
    assert row.pads(side) == pads
    assert row.out_side(side) == out


def test_stem_is_padded_by_its_own_rule_where_there_is_one() -> None:
    style = replace(STYLE, padding=Padding.BOTTOM_RIGHT, stem_padding=Padding.SAME)
    for family in Family:
        stem, *others = _network(family, 1.0, style).rows
        assert stem.padding is Padding.SAME
        assert {row.padding for row in others} == {Padding.BOTTOM_RIGHT}


def _row(padding: Padding, stride: int, kernel: int) -> Row:
    return Row(
        name="row",
        kind=Kind.STANDARD,
        in_channels=1,
        out_channels=1,
        kernel=kernel,
        stride=stride,
        activation=None,
        padding=padding,
        eps=1e-5,
    )
