from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edgedeploy.errors import UnknownNameError, UsageError
from edgedeploy.training import optimisers, recipes
from edgedeploy.training.recipes import BEST, PAPER, RECIPES, SEED, adjusted
from edgedeploy.training.spec import STYLE
from edgedeploy.types import Family
from edgedeploy.zoo import networks
from edgedeploy.zoo.rows import Kind
from edgedeploy.zoo.torch_module import NetworkModule

if TYPE_CHECKING:
    from edgedeploy.training.recipes import Recipe


@pytest.fixture(params=list(Family))
def module(request: pytest.FixtureRequest) -> NetworkModule:
    return NetworkModule(networks.network(request.param, alpha=0.05, classes=2, style=STYLE))


def test_weight_decay_spares_depthwise_kernels_batch_norm_and_biases(
    module: NetworkModule,
) -> None:
    decayed, kept = ({id(p) for p in group} for group in optimisers.parameters(module))
    for row in module.row_modules():
        depthwise = row.row.kind is Kind.DEPTHWISE
        assert (id(row.convolution.weight) in kept) is depthwise
        assert (id(row.convolution.weight) in decayed) is not depthwise
        assert {id(row.norm.weight), id(row.norm.bias)} <= kept
    assert id(module.classifier.weight) in decayed
    assert id(module.classifier.bias) in kept
    assert decayed | kept == {id(p) for p in module.parameters()}


@pytest.mark.parametrize(
    ("recipe", "kind", "numbers"),
    [
        (PAPER, torch.optim.RMSprop, {"lr": 0.045, "alpha": 0.9, "momentum": 0.9, "eps": 1.0}),
        (SEED, torch.optim.Adam, {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8}),
        (BEST, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ],
)
def test_recipe_makes_its_optimiser(
    module: NetworkModule, recipe: Recipe, kind: type, numbers: dict[str, Any]
) -> None:
    optimiser = optimisers.make(module, recipe)
    assert type(optimiser) is kind
    for group in optimiser.param_groups:
        assert {name: group[name] for name in numbers} == numbers
    decays = [group["weight_decay"] for group in optimiser.param_groups]
    assert decays == [{"paper": 4e-5, "seed": 0.0, "best": 1e-4}[recipe.name], 0.0]


def test_the_paper_smooths_no_labels_and_shifts_less_than_the_best() -> None:
    assert PAPER.label_smoothing == 0
    assert 0 < PAPER.shift < BEST.shift


def test_the_seed_is_adam_with_batch_256() -> None:
    assert (SEED.batch, SEED.rate(0, 10), SEED.rate(299, 10)) == (256, 1e-4, 1e-4)


def test_the_papers_rate_falls_in_fifty_stairs() -> None:
    rates = [PAPER.rate(step, 100) for step in range(3000)]
    assert rates[:60] == [0.045] * 60
    assert rates[60] == pytest.approx(0.045 * 0.94)
    assert len(set(rates)) == 50
    assert rates[-1] == pytest.approx(0.045 * 0.94**49)


def test_the_best_rate_warms_up_and_falls_to_zero() -> None:
    rates = [BEST.rate(step, 10) for step in range(300)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == rates[9] == rates[10] == pytest.approx(0.1)
    assert rates[155] == pytest.approx(0.05)  # half of what follows the warm-up
    assert rates[-1] < 1e-5


def test_adjusting_keeps_what_is_not_given() -> None:
    assert adjusted(PAPER) == PAPER
    assert adjusted(PAPER, epochs=3, batch=4, learning_rate=0.5) == replace(
        PAPER, epochs=3, batch=4, learning_rate=0.5
    )


def test_unknown_recipe_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no recipe is called 'papers'") as raised:
        recipes.get("papers")
    assert raised.value.fix == "did you mean 'paper'?"
    assert all(recipes.get(name) is recipe for name, recipe in RECIPES.items())


@pytest.mark.parametrize(
    "bad", [{"epochs": 0}, {"batch": 1}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}]
)
def test_impossible_recipe_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        adjusted(BEST, **bad)
