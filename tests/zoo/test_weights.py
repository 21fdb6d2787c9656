from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedeploy.errors import FileError
from edgedeploy.zoo import networks
from edgedeploy.zoo.random_weights import random
from edgedeploy.zoo.weights import check
from tests.zoo.peers import STYLE, V1, V2

SMALL = networks.network(V1, alpha=0.25, classes=4, style=STYLE)


def test_folded_kernel_computes_batch_norm() -> None:
    weights = random(SMALL, seed=0)
    weight, bias = weights.folded("stem")
    patch = np.random.default_rng(0).normal(size=weight.shape[1:])
    plain = (weights.tensors["stem/weight"] * patch).sum((1, 2, 3))
    gamma, beta, mean, variance = (
        weights.tensors[f"stem/{part}"] for part in ("gamma", "beta", "mean", "variance")
    )
    wanted = (plain - mean) / np.sqrt(variance + STYLE.eps) * gamma + beta
    assert np.allclose((weight * patch).sum((1, 2, 3)) + bias, wanted, atol=1e-5)


def test_bias_before_batch_norm_is_folded_too() -> None:
    weights = random(SMALL, seed=0)
    shifted = replace(
        weights,
        tensors={**weights.tensors, "stem/bias": weights.tensors["stem/mean"].copy()},
    )
    _, bias = shifted.folded("stem")
    assert np.allclose(bias, weights.tensors["stem/beta"], atol=1e-6)


def test_wrong_alpha_is_named() -> None:
    weights = random(networks.network(V1, alpha=0.5, classes=4, style=STYLE), seed=0)
    with pytest.raises(FileError, match=r"and 1\d\d more\n  fix: these weights are α = 0.5"):
        check(SMALL, weights.tensors, source="file")


def test_wrong_class_count_is_named() -> None:
    weights = random(replace(SMALL, classes=10), seed=0)
    with pytest.raises(FileError, match="these weights have 10 classes: pass --classes 10"):
        check(SMALL, weights.tensors, source="file")


def test_missing_and_extra_tensors_are_named() -> None:
    tensors = dict(random(SMALL, seed=0).tensors)
    tensors["extra/weight"] = tensors.pop("stem/gamma")
    with pytest.raises(FileError, match="stem/gamma is missing; extra/weight is not in the rows"):
        check(SMALL, tensors, source="file")


def test_the_other_family_is_named() -> None:
    other = random(networks.network(V2, alpha=0.35, classes=4, style=STYLE), seed=0)
    with pytest.raises(FileError, match="these are weights of mobilenet_v2"):
        check(SMALL, other.tensors, source="file")


def test_values_that_are_not_finite_are_refused() -> None:
    tensors = dict(random(SMALL, seed=0).tensors)
    tensors["classifier/bias"] = np.array([0, np.nan, 0, 0], np.float32)
    with pytest.raises(FileError, match="classifier/bias has values that are not finite"):
        check(SMALL, tensors, source="file")
