from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.analyzing import counting, roofline
from edgedeploy.graph import cost, operations
from edgedeploy.graph.operations import Op, Tensor
from edgedeploy.model_file import ModelHints
from tests.analyzing.peaks_examples import peaks
from tests.graph.test_operations import SHAPE, quantised
from tests.models import save, stem

if TYPE_CHECKING:
    from edgedeploy.analyzing.counting import Analysis


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    path = tmp_path_factory.mktemp("models") / "stem.onnx"
    return counting.analyze(save(stem((1, 3, 8, 8)), path), ModelHints())


def of_ops(analysis: Analysis, *ops: Op) -> Analysis:
    return replace(analysis, costs=cost.of(ops))


def pointwise(channels: int, side: int, bits: int | None = 32) -> Op:
    sides = (1, channels, side, side)
    return Op(
        names=("c",),
        type="Conv",
        source=None,
        inputs=(Tensor(sides, bits),),
        constants=(Tensor((channels, channels, 1, 1), bits),),
        outputs=(Tensor(sides, bits),),
    )


def test_the_lower_roof_bounds_a_layer(analysis: Analysis) -> None:
    # 10 GB/s and 40 G multiply-adds/s meet at 4 multiply-adds per byte
    thin, wide = (
        roofline.of(of_ops(analysis, pointwise(channels, 16)), peaks()).positions[0]
        for channels in (8, 128)
    )
    moved = 4 * (2 * 8 * 256 + 64)
    assert thin.bound_by == "memory"
    assert thin.least_s == pytest.approx(moved / 10e9)
    assert thin.attainable == pytest.approx(10e9 * 8 * 8 * 256 / moved)
    assert wide.bound_by == "arithmetic"
    assert wide.attainable == pytest.approx(40e9)
    assert wide.least_s == pytest.approx(128 * 128 * 256 / 40e9)


@given(
    channels=st.integers(1, 512),
    side=st.integers(1, 64),
    bandwidth=st.floats(1e8, 1e12),
    rate=st.floats(1e8, 1e13),
)
def test_attainable_is_the_lower_of_peak_and_bandwidth_times_intensity(
    analysis: Analysis, channels: int, side: int, bandwidth: float, rate: float
) -> None:
    model = of_ops(analysis, pointwise(channels, side))
    found = roofline.of(model, peaks(bandwidth=bandwidth, fp32=rate)).positions[0]
    assert found.cost.intensity is not None
    assert found.attainable == pytest.approx(min(rate, bandwidth * found.cost.intensity))


def test_a_layer_without_arithmetic_is_bound_by_memory(analysis: Analysis) -> None:
    found = roofline.of(analysis, peaks())
    by_type = {each.cost.op.type: each for each in found.positions}
    assert by_type.keys() == {"Conv", "Clip", "GlobalAveragePool"}
    clip = by_type["Clip"]
    assert (clip.bound_by, clip.attainable, clip.precision) == ("memory", 0, None)
    # 4 channels of 4x4 read and written, and both limits
    assert clip.least_s == pytest.approx((2 * 4 * 16 * 4 + 8) / 10e9)


def test_the_share_of_memory_is_of_the_least_time(analysis: Analysis) -> None:
    ops = (pointwise(8, 16), pointwise(128, 16))
    found = roofline.of(of_ops(analysis, *ops), peaks())
    thin, wide = (each.least_s or 0 for each in found.positions)
    assert found.least_s() == pytest.approx(thin + wide)
    assert found.memory_share() == pytest.approx(thin / (thin + wide))
    assert found.memory_share("pointwise") == found.memory_share()
    assert found.memory_share("depthwise") is None
    assert found.unknown() == {}


def test_int8_layers_are_set_against_the_rate_of_int8(analysis: Analysis) -> None:
    quantised_model = replace(analysis, costs=cost.of(operations.from_onnx(quantised(), SHAPE)))
    found = roofline.of(quantised_model, peaks(int8=1.0))
    (conv,) = (each for each in found.positions if each.cost.multiply_adds)
    assert conv.precision == "int8"
    assert conv.attainable == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("bits", "words"), [(16, "for 16 bits"), (8, "for 8 bits"), (None, "count is not known")]
)
def test_without_a_rate_or_a_type_nothing_is_claimed(
    analysis: Analysis, bits: int | None, words: str
) -> None:
    found = roofline.of(of_ops(analysis, pointwise(8, 16, bits)), peaks(int8=None))
    assert found.positions[0].least_s is found.positions[0].attainable is None
    assert found.least_s() is found.memory_share() is None
    assert words in found.unknown()["Conv"]
