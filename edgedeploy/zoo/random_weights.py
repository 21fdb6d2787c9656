"""Untrained weights, to time a network before it is trained: they predict nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.zoo.weights import Weights

if TYPE_CHECKING:
    from edgedeploy.types import Array
    from edgedeploy.zoo.rows import Network


def random(network: Network, seed: int) -> Weights:
    """Draw weights whose activations have the size of a trained network's.

    Args:
        network: The rows to fill.
        seed: The same seed, network and NumPy give the same numbers.

    Returns:
        Weights without preprocessing and labels; ``origin`` says that they are random.

    Source:
        He et al. 2015, "Delving Deep into Rectifiers", equation 10 (variance 2 / fan-in before a
        ReLU, 1 / fan-in before nothing); batch norm's numbers are drawn around its neutral ones.
    """
    draw = np.random.default_rng(seed)
    tensors: dict[str, Array] = {}
    for row in network.rows:
        fan_in = math.prod(row.weight_shape[1:])
        gain = 1.0 if row.activation is None else 2.0
        size = row.out_channels
        tensors[f"{row.name}/weight"] = draw.normal(0, math.sqrt(gain / fan_in), row.weight_shape)
        tensors[f"{row.name}/gamma"] = draw.uniform(0.8, 1.2, size)
        tensors[f"{row.name}/beta"] = draw.normal(0, 0.2, size)
        tensors[f"{row.name}/mean"] = draw.normal(0, 0.2, size)
        tensors[f"{row.name}/variance"] = draw.uniform(0.6, 1.4, size)
    shape = (network.classes, network.features)
    tensors["classifier/weight"] = draw.normal(0, 1 / math.sqrt(network.features), shape)
    tensors["classifier/bias"] = draw.normal(0, 0.1, network.classes)
    return Weights(
        network=network,
        tensors={name: array.astype(np.float32) for name, array in tensors.items()},
        origin={"random_seed": str(seed)},
    )
