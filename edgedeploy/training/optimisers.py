"""From a recipe to torch's optimiser, with its groups of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from edgedeploy.training.recipes import Optimiser

if TYPE_CHECKING:
    from edgedeploy.training.recipes import Recipe
    from edgedeploy.zoo.torch_module import NetworkModule


def make(module: NetworkModule, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser of all parameters, in the order of `parameters`."""
    decayed, kept = parameters(module)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    if recipe.optimiser is Optimiser.SGD:
        return torch.optim.SGD(
            groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True
        )
    if recipe.optimiser is Optimiser.RMSPROP:
        return torch.optim.RMSprop(
            groups,
            lr=recipe.learning_rate,
            alpha=recipe.smoothing,
            eps=recipe.epsilon,
            momentum=recipe.momentum,
        )
    return torch.optim.Adam(groups, lr=recipe.learning_rate, eps=recipe.epsilon)


def parameters(
    module: NetworkModule,
) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """Return what weight decay acts on, and the rest.

    It acts on the kernels of dense convolutions and of the classifier; the rest are depthwise
    kernels, batch norm and biases.
    """
    dense = [part.convolution.weight for part in module.row_modules() if part.row.groups == 1]
    known = {id(parameter) for parameter in (*dense, module.classifier.weight)}
    return (
        [parameter for parameter in module.parameters() if id(parameter) in known],
        [parameter for parameter in module.parameters() if id(parameter) not in known],
    )
