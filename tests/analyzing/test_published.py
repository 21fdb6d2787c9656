"""Totals against published ones: torchvision's, and the tables of the MobileNet papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.analyzing import counting
from edgedeploy.exporting.network import emit as emit_mobilenet
from edgedeploy.model_file import ModelHints
from edgedeploy.types import Family, Variant
from edgedeploy.zoo import networks, presets, random_weights
from tests.analyzing import published
from tests.models import save

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.analyzing.counting import Analysis


def analysis(folder: Path, rows: list[str]) -> Analysis:
    path = save(published.emit(rows), folder / "model.onnx")
    return counting.analyze(path, ModelHints())


@pytest.mark.parametrize(
    ("rows", "multiply_adds", "parameters"),
    [
        (published.VGG16, 15.47e9, 138_357_544),
        (published.ALEXNET, 0.71e9, 61_100_840),
        (published.GOOGLENET, 1.50e9, 6_624_904),
        (published.SQUEEZENET, 0.82e9, 1_248_424),
    ],
    ids=["VGG16", "AlexNet", "GoogLeNet", "SqueezeNet 1.0"],
)
def test_torchvisions_networks_cost_what_torchvision_says(
    tmp_path: Path, rows: list[str], multiply_adds: float, parameters: int
) -> None:
    totals = analysis(tmp_path, rows).totals()
    assert totals["multiply_adds"] == pytest.approx(multiply_adds, rel=0.01)
    assert totals["parameters"] == parameters
    assert totals["memory_access_bytes"] is not None


@pytest.mark.parametrize(
    ("variant", "multiply_adds", "parameters"),
    [
        # tables 6 and 7 of the V1 paper
        (Variant(Family.MOBILENET_V1, 1.0, 224), 569e6, 4.2e6),
        (Variant(Family.MOBILENET_V1, 1.0, 160), 290e6, 4.2e6),
        (Variant(Family.MOBILENET_V1, 0.5, 224), 149e6, 1.33e6),
        (Variant(Family.MOBILENET_V1, 0.25, 224), 41e6, 0.47e6),
        # not printed there; TF-Slim's table rounds it to 14 M
        (Variant(Family.MOBILENET_V1, 0.25, 128), 13.6e6, 0.47e6),
        # table 4 of the V2 paper, and torchvision's parameters
        (Variant(Family.MOBILENET_V2, 1.0, 224), 300e6, 3.5e6),
    ],
)
def test_mobilenets_cost_what_the_papers_say(
    tmp_path: Path, variant: Variant, multiply_adds: float, parameters: float
) -> None:
    side = variant.resolution
    style = presets.get("keras").style(variant.family, None)
    network = networks.network(variant.family, alpha=variant.alpha, classes=1000, style=style)
    path = tmp_path / "model.onnx"
    save(emit_mobilenet(random_weights.random(network, 0), side), path)
    totals = counting.analyze(path, ModelHints()).totals()
    assert totals["multiply_adds"] == pytest.approx(multiply_adds, rel=0.02)
    assert totals["parameters"] == pytest.approx(parameters, rel=0.02)
    # and exactly what the rows of the zoo say, with one bias for a batch norm's two numbers
    scales = sum(row.out_channels for row in network.rows)
    assert totals["multiply_adds"] == network.multiply_adds(side)
    assert totals["parameters"] == network.parameters() - scales


def test_vgg16_has_its_weights_in_the_classifier_and_its_work_elsewhere(tmp_path: Path) -> None:
    found = analysis(tmp_path, published.VGG16)
    assert found.kinds() == ("standard", "fully connected", "pooling", "elementwise")
    assert found.totals("fully connected")["multiply_adds"] == 123_633_664
    assert found.totals("fully connected")["parameters"] == 123_642_856


def test_a_1x1_convolution_behind_a_pool_that_leaves_a_map_is_pointwise(tmp_path: Path) -> None:
    found = analysis(tmp_path, published.GOOGLENET)
    assert found.totals("fully connected")["multiply_adds"] == 1_024_000
    assert sum(each.kind == "pointwise" for each in found.layers) == 1 + 4 * 9
