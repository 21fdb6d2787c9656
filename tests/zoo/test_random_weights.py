from __future__ import annotations

import numpy as np
import pytest

from edgedeploy.exporting.network import emit
from edgedeploy.types import Family
from edgedeploy.zoo import networks
from edgedeploy.zoo.random_weights import random
from edgedeploy.zoo.weights import check
from tests.zoo import peers


def test_seed_decides_every_number() -> None:
    network = networks.network(peers.V1, alpha=0.25, classes=4, style=peers.STYLE)
    first, again, other = (random(network, seed).tensors for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["stem/weight"], other["stem/weight"])
    assert random(network, 1).origin == {"random_seed": "1"}


@pytest.mark.parametrize("family", list(Family))
def test_activations_neither_vanish_nor_explode(family: Family) -> None:
    network = networks.network(family, alpha=0.25, classes=50, style=peers.STYLE)
    weights = random(network, seed=3)
    check(network, weights.tensors, source="random")
    logits = peers.run_onnx(emit(weights, 64), peers.images(2, 64))
    assert 0.05 < logits.std() < 50
