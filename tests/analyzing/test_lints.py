from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import onnx_ir as ir
import pytest

from edgedeploy import miniatures
from edgedeploy.analyzing import counting, lints, prices
from edgedeploy.analyzing.prices import Price, Prices
from edgedeploy.calibration_values import QdqStyle, TensorRange
from edgedeploy.exporting.network import emit as emit_mobilenet
from edgedeploy.graph import cost, operations
from edgedeploy.graph.qdq import quantise
from edgedeploy.graph.tensors import activations
from edgedeploy.model_file import ModelHints
from edgedeploy.types import Family
from edgedeploy.zoo import networks, presets, random_weights
from tests.analyzing import published
from tests.analyzing.small_graphs import Nodes, counted
from tests.models import save

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.analyzing.counting import Analysis
    from edgedeploy.analyzing.lints import Finding

IMAGE = miniatures.INPUT


def only(analysis: Analysis, rule: str) -> Finding:
    (found,) = (each for each in lints.find(analysis) if each.rule == rule)
    return found


def rules(analysis: Analysis) -> list[str]:
    return [each.rule for each in lints.find(analysis)]


def mobilenet(family: Family, alpha: float, folder: Path) -> Analysis:
    style = presets.get("keras").style(family, None)
    network = networks.network(family, alpha=alpha, classes=10, style=style)
    path = save(emit_mobilenet(random_weights.random(network, 0), 96), folder / "m.onnx")
    return counting.analyze(path, ModelHints())


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.75])
def test_a_mobilenet_v1_is_told_nothing(tmp_path: Path, alpha: float) -> None:
    assert lints.find(mobilenet(Family.MOBILENET_V1, alpha, tmp_path)) == ()


def test_a_mobilenet_v2_is_told_of_its_expansions_only(tmp_path: Path) -> None:
    (found,) = lints.find(mobilenet(Family.MOBILENET_V2, 0.35, tmp_path))
    assert found.rule == prices.WIDTHS
    assert found.layers[0] == "block_02/expand/conv"
    assert found.what.startswith("8 to 48 channels, 1:6;")


def test_googlenets_modules_are_fragments_by_what_they_read_again(tmp_path: Path) -> None:
    path = save(published.emit(published.GOOGLENET), tmp_path / "googlenet.onnx")
    found = only(counting.analyze(path, ModelHints()), prices.FRAGMENTS)
    assert len(found.layers) == 9
    assert found.what.startswith("4 branches side by side")
    # the dearest reads 28x28 maps of 256 channels by three convolutions; the pool reads it too
    assert found.dearest_bytes == 2 * 28 * 28 * 256 * 4


def test_unequal_widths_cost_what_equal_ones_would_save(tmp_path: Path) -> None:
    nodes = Nodes(channels=8)
    nodes.conv(IMAGE, 8, 128)
    found = only(counted(nodes, tmp_path), prices.WIDTHS)
    places = 16 * 16
    assert found.what == "8 to 128 channels, 1:16; as many multiply-adds at 32 to 32"
    assert found.extra_bytes == 4 * places * (8 + 128 - 2 * 32)
    assert found.share == found.extra_bytes / (4 * (places * (8 + 128) + 8 * 128))


@pytest.mark.parametrize("pair", [(32, 32), (32, 64), (64, 32)])
def test_widths_up_to_one_to_two_are_normal(tmp_path: Path, pair: tuple[int, int]) -> None:
    nodes = Nodes(channels=pair[0])
    nodes.conv(IMAGE, *pair)
    assert rules(counted(nodes, tmp_path)) == []


def test_groups_cost_the_channels_that_they_need_more(tmp_path: Path) -> None:
    nodes = Nodes(channels=64)
    nodes.conv(IMAGE, 64, 64, kernel=3, groups=4)
    found = only(counted(nodes, tmp_path), prices.GROUPS)
    assert found.what == "4 groups of 16 channels; as many multiply-adds without groups at 32"
    assert found.extra_bytes == 4 * 256 * (64 + 64) // 2


def test_depthwise_convolutions_are_no_groups(tmp_path: Path) -> None:
    nodes = Nodes(channels=64)
    nodes.conv(IMAGE, 64, 64, kernel=3, groups=64)
    assert rules(counted(nodes, tmp_path)) == []


def test_channels_that_fill_no_block_cost_what_is_padded(tmp_path: Path) -> None:
    nodes = Nodes(channels=33)
    nodes.conv(IMAGE, 33, 48)
    found = only(counted(nodes, tmp_path), prices.CHANNELS)
    assert found.what == "33 to 48 channels; in blocks of 8 the work of 40 to 48"
    assert found.extra_bytes == 4 * (256 * 7 + 7 * 48)


def test_the_channels_of_a_picture_are_nobodys_choice(tmp_path: Path) -> None:
    nodes = Nodes(channels=3)
    nodes.conv(IMAGE, 3, 32)
    assert rules(counted(nodes, tmp_path)) == []


def test_int8_has_blocks_of_sixteen(tmp_path: Path) -> None:
    nodes = Nodes(channels=32)
    nodes.conv(IMAGE, 32, 24)
    assert rules(counted(nodes, tmp_path)) == []
    graph = ir.serde.deserialize_model(nodes.proto())
    quantise(graph, dict.fromkeys(activations(graph), TensorRange(0, 6, 0, 6)), QdqStyle.U8)
    ops = operations.from_onnx(ir.serde.serialize_model(graph), nodes.shape)
    analysis = counting.Analysis(counted(nodes, tmp_path).model, cost.of(ops))
    found = only(analysis, prices.CHANNELS)
    assert found.what == "32 to 24 channels; in blocks of 16 the work of 32 to 32"


def test_sums_cost_and_activations_behind_convolutions_do_not(tmp_path: Path) -> None:
    nodes = Nodes(channels=32)
    value = nodes.node("Relu", nodes.conv(IMAGE, 32, 32))
    value = nodes.node("Relu", nodes.conv(value, 32, 32))
    assert rules(counted(nodes, tmp_path)) == []
    nodes = Nodes(channels=32)
    value = nodes.node("Relu", nodes.conv(IMAGE, 32, 32))
    value = nodes.node("Add", nodes.conv(value, 32, 32), IMAGE, name="sum")
    found = only(counted(nodes, tmp_path), prices.ELEMENTWISE)
    assert found.layers == ("sum",)
    assert found.extra_bytes == 3 * 32 * 256 * 4


def test_an_activation_of_what_is_read_twice_is_not_fused(tmp_path: Path) -> None:
    nodes = Nodes(channels=32)
    value = nodes.conv(IMAGE, 32, 32)
    gate = nodes.node("Sigmoid", value, name="gate")
    nodes.node("Mul", value, gate, name="product")
    found = only(counted(nodes, tmp_path), prices.ELEMENTWISE)
    assert set(found.layers) == {"gate", "product"}


def test_densenets_concatenations_are_no_fragments(tmp_path: Path) -> None:
    nodes = Nodes(channels=16)
    first = nodes.conv(IMAGE, 16, 16)
    second = nodes.conv(nodes.node("Concat", IMAGE, first, axis=1), 32, 16)
    third = nodes.conv(nodes.node("Concat", IMAGE, first, second, axis=1), 48, 16)
    nodes.node("Concat", first, second, third, axis=1)
    assert prices.FRAGMENTS not in rules(counted(nodes, tmp_path))


def test_branches_of_several_maps_read_nothing_again(tmp_path: Path) -> None:
    nodes = Nodes(channels=16)
    ends = []
    for _ in range(3):
        pooled = nodes.node(
            "MaxPool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1]
        )
        ends.append(nodes.conv(pooled, 16, 16))
    nodes.node("Concat", *ends, axis=1)
    assert prices.FRAGMENTS not in rules(counted(nodes, tmp_path))


def test_a_measured_price_stands_beside_the_count(tmp_path: Path) -> None:
    nodes = Nodes(channels=8)
    nodes.conv(IMAGE, 8, 128)
    price = Price(
        rule=prices.WIDTHS,
        number=12,
        setting="1:12",
        baseline="1:1",
        backend="ort",
        precision="fp32",
        relative=0.8,
    )
    known = Prices(date="2026-01-02", prices=(price,))
    (found,) = lints.find(counted(nodes, tmp_path), known)
    assert found.prices == (price,)


def test_nothing_is_found_where_memory_access_is_not_known(tmp_path: Path) -> None:
    nodes = Nodes(channels=8)
    nodes.conv(IMAGE, 8, 128)
    analysis = counted(nodes, tmp_path)
    (conv,) = analysis.costs
    unknown = replace(analysis, costs=(conv, replace(conv, memory_access_bytes=None)))
    assert lints.find(analysis) != ()
    assert lints.find(unknown) == ()
