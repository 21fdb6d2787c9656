from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.types import Family, Variant


@given(
    family=st.sampled_from(Family),
    alpha=st.floats(min_value=1e-4, max_value=16),
    resolution=st.integers(min_value=1, max_value=4096),
    tag=st.sampled_from(["", "_cifar10", "_a_2"]),
)
def test_a_name_says_which_variant_it_is(
    family: Family, alpha: float, resolution: int, tag: str
) -> None:
    variant = Variant(family, alpha, resolution)
    assert Variant.from_name(variant.name + tag) == variant


@pytest.mark.parametrize(
    ("alpha", "word"), [(1, "1.00"), (0.5, "0.50"), (0.35, "0.35"), (0.125, "0.125"), (16, "16.00")]
)
def test_alpha_has_two_decimals_or_as_many_as_it_takes(alpha: float, word: str) -> None:
    assert Variant(Family.MOBILENET_V1, alpha, 64).name == f"mobilenet_v1_{word}_64"
