from __future__ import annotations

import pytest

from edgedeploy.analyzing.energy import estimate_mj
from edgedeploy.graph import cost, operations
from edgedeploy.graph.operations import Op, Tensor
from tests.graph.test_operations import SHAPE, quantised


def conv(bits: int | None) -> Op:
    sides = (1, 1, 10, 10)
    return Op(
        names=("c",),
        type="Conv",
        source=None,
        inputs=(Tensor(sides, bits),),
        constants=(Tensor((1, 1, 1, 1), bits),),
        outputs=(Tensor(sides, bits),),
    )


@pytest.mark.parametrize(("bits", "picojoules"), [(32, 4.6), (16, 1.5), (8, 0.3)])
def test_a_multiply_add_and_a_byte_take_what_was_published(bits: int, picojoules: float) -> None:
    (only,) = cost.of([conv(bits)])
    expected = 100 * picojoules + 201 * bits / 8 * 162.5
    assert estimate_mj(only) == pytest.approx(expected * 1e-9)


@pytest.mark.parametrize("bits", [None, 64])
def test_a_type_that_nothing_was_published_for_has_no_estimate(bits: int | None) -> None:
    (only,) = cost.of([conv(bits)])
    assert estimate_mj(only) is None


def test_q_and_dq_take_nothing() -> None:
    found = cost.of(operations.from_onnx(quantised(), SHAPE))
    assert [estimate_mj(each) for each in found if each.is_free] == [0, 0, 0, 0]
