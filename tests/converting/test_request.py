from __future__ import annotations

import pytest

from edgedeploy.converting.request import DacRequest, RankRule, parse_sparing
from edgedeploy.errors import UsageError


def test_ranks_are_read_from_one_text_or_several() -> None:
    both = RankRule(default=4, named={"conv1": 5, "conv2": None})
    assert RankRule.parse(["4,conv1=5, conv2=keep"]) == both
    assert RankRule.parse(["conv1=5", "4", "conv2=keep"]) == both


def test_a_layer_may_have_an_equals_sign_in_its_name() -> None:
    assert RankRule.parse(["a=b=3"]).named == {"a=b": 3}


@pytest.mark.parametrize("text", ["four", "conv1=", "", "4,", "conv1=0.5", "keep"])
def test_a_rank_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--rank holds"):
        RankRule.parse([text])


@pytest.mark.parametrize(
    ("text", "what"),
    [("4,5", "all layers two ranks: 4 and 5"), ("a=1, a = keep", "a two ranks: 1 and keep")],
)
def test_two_ranks_for_one_thing_are_refused(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=f"--rank gives {what}"):
        RankRule.parse([text])


def test_exactly_one_of_ranks_and_budgets_is_given() -> None:
    with pytest.raises(UsageError, match="0 of --rank, --target-flops and --max-error are given"):
        DacRequest()
    with pytest.raises(UsageError, match="2 of --rank, --target-flops and --max-error are given"):
        DacRequest(target_flops=0.5, max_error=0.1)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 40.0, float("nan")])
def test_shares_lie_between_0_and_1(share: float) -> None:
    with pytest.raises(UsageError, match="--target-flops is"):
        DacRequest(target_flops=share)
    with pytest.raises(UsageError, match="--max-error is"):
        DacRequest(max_error=share)


def test_budgets_spare_by_measurement_and_ranks_spare_nothing() -> None:
    assert DacRequest(target_flops=0.5).sparing == "auto"
    assert DacRequest(rank=RankRule(default=4)).sparing == 0
    assert DacRequest(target_flops=0.5, spare_first=0).sparing == 0


def test_what_is_spared_is_a_number_or_auto() -> None:
    assert [parse_sparing(text) for text in (None, "auto", "2")] == [None, "auto", 2]
    with pytest.raises(UsageError, match="--spare-first is '-1'"):
        parse_sparing("-1")
