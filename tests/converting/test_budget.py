from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.converting import budget
from edgedeploy.converting.layers import Layer
from edgedeploy.converting.trials import outstanding
from edgedeploy.errors import UsageError


def layer(name: str, *, out: int = 16, positions: int = 64, energies: list[float]) -> Layer:
    shape = (out, 8, 3, 3)
    return Layer(name=name, shape=shape, energies=np.array(energies), positions=positions)


def geometric(name: str, ratio: float, **about: int) -> Layer:
    return layer(name, energies=[ratio**i for i in range(9)], **about)


LAYERS = [geometric("a", 0.5, positions=256), geometric("b", 0.2), geometric("c", 0.9)]
TOTAL = 1_000_000
GAINS = st.lists(st.floats(0.01, 100), min_size=3, max_size=3).map(
    lambda gains: dict(zip("abc", gains, strict=True))
)


def test_work_changes_by_the_factor_of_the_paper() -> None:
    found = LAYERS[0]
    for rank in range(1, 10):
        factor = rank * (1 / 9 + 1 / 16)
        assert found.multiply_adds(rank) == pytest.approx(factor * 256 * 8 * 16 * 9)
        assert (factor < 1) == (rank <= found.saving_rank)


def test_a_weight_error_is_the_root_of_what_is_left_out() -> None:
    found = layer("a", energies=[3.0, 1.0, 0.0])
    assert [found.loses_nothing(rank) for rank in (None, 1, 2)] == [True, False, True]
    assert [found.weight_error(rank) for rank in (None, 1, 2, 3)] == [0.0, 0.5, 0.0, 0.0]
    assert layer("zero", energies=[0.0] * 9).weight_error(1) == 0.0


@given(gains=GAINS)
def test_each_choice_is_cheaper_than_the_last(gains: dict[str, float]) -> None:
    choices = budget.descent(LAYERS, gains)
    work = [budget.remaining(LAYERS, ranks, TOTAL) for ranks in choices]
    assert work == sorted(set(work), reverse=True)
    assert choices[0] == {}
    assert choices[-1] == {"a": 1, "b": 1, "c": 1}


@given(gains=GAINS, target=st.floats(0.4, 0.99))
def test_a_budget_is_kept_and_no_room_for_a_rank_is_left(
    gains: dict[str, float], target: float
) -> None:
    total = sum(one.multiply_adds(None) or 0 for one in LAYERS)
    ranks = budget.within(LAYERS, gains, total=total, target=target)
    work = budget.remaining(LAYERS, ranks, total)
    assert work <= target * total
    for name, rank in ranks.items():
        if rank < LAYERS["abc".index(name)].saving_rank:
            raised = {**ranks, name: rank + 1}
            assert budget.remaining(LAYERS, raised, total) > target * total


def test_a_sensitive_layer_is_left_alone_as_long_as_others_can_save() -> None:
    twins = [geometric("first", 0.5), geometric("second", 0.5)]
    total = sum(one.multiply_adds(None) or 0 for one in twins)
    ranks = budget.within(twins, {"first": 50.0, "second": 1.0}, total=total, target=0.7)
    assert list(ranks) == ["second"]


def test_only_first_layers_that_stand_out_are_spared() -> None:
    layers = [geometric(name, 0.5) for name in "abcde"]
    gains = dict(zip("abcde", (9.0, 5.0, 1.0, 8.0, 1.1), strict=True))
    assert outstanding(layers, gains) == ()  # the median is 5
    gains |= {"d": 1.0}  # now it is 1.1
    assert outstanding(layers, gains) == ("a", "b")
    assert outstanding(layers[:1], gains) == ()


def test_only_layers_that_are_spared_are_offered_for_a_budget_that_is_too_small() -> None:
    for layers, which in ((LAYERS, "all 3 layers"), (LAYERS[:1], "the one layer")):
        gains = dict.fromkeys("abc", 1.0)
        total = sum(one.multiply_adds(None) or 0 for one in layers)
        with pytest.raises(UsageError, match=f"with rank 1 in {which} that may be") as said:
            budget.within(layers, gains, total=total, target=0.001)
        assert "--spare-first" not in said.value.fix
        with pytest.raises(UsageError) as said:
            budget.within(layers, gains, total=total, target=0.001, spared=1)
        assert said.value.fix.endswith("or spare fewer layers: --spare-first 0")
        share = float(said.value.fix.split()[2])
        assert budget.within(layers, gains, total=total, target=share)


def test_a_share_that_only_the_whole_network_keeps_is_not_offered() -> None:
    work = LAYERS[1].multiply_adds(None) or 0
    with pytest.raises(UsageError, match=r"may be converted more than 0\.999 of the") as said:
        budget.within(LAYERS[1:2], {"b": 1.0}, total=work * 10_000, target=0.5)
    assert said.value.fix == "leave the model as it is: no budget can be kept"


def test_a_rank_that_loses_nothing_is_free_and_no_higher_one_is_chosen() -> None:
    low = layer("low", energies=[1.0, 0.5, *[1e-16] * 7], positions=16)
    layers, gains = [low, geometric("b", 0.5)], {"low": 100.0, "b": 0.01}
    total = sum(one.multiply_adds(None) or 0 for one in layers)
    assert budget.descent(layers, gains)[1:5] == [{"low": rank} for rank in (5, 4, 3, 2)]
    wanted = {"low": 2, "b": 4}
    two_ranks = (low.multiply_adds(4) or 0) - (low.multiply_adds(2) or 0)
    target = (budget.remaining(layers, wanted, total) + two_ranks) / total
    assert budget.within(layers, gains, total=total, target=target) == wanted
