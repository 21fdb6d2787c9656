"""Trained numbers under the zoo's own names, and the check that they fit a network's rows.

Names: ``<row>/weight`` (out, in / groups, k, k), ``<row>/gamma|beta|mean|variance`` (out,) and,
where a convolution has one, ``<row>/bias`` (out,); a row whose batch norm is already folded has
``weight`` and ``bias`` only. ``classifier/weight`` (classes, features), ``classifier/bias``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.errors import FileError
from edgedeploy.types import Family
from edgedeploy.zoo import networks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.runtime.preprocessing import Preprocessing
    from edgedeploy.types import Array
    from edgedeploy.zoo.rows import Network

NORM = ("gamma", "beta", "mean", "variance")
_LIKELY_ALPHAS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.25, 1.3, 1.4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A trained network: its rows and the numbers that fill them.

    Attributes:
        network: The rows, with the style that the weights were trained in.
        tensors: float32 arrays by the names above; checked against the rows.
        base_resolution: Input side for which ρ is 1.
        preprocessing: What the network was trained with, or None where the file does not say.
        labels: Class names by index, or None.
    """

    network: Network
    tensors: Mapping[str, Array]
    base_resolution: int = 224
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] | None = None
    origin: Mapping[str, str] = field(default_factory=dict)

    def folded(self, row: str) -> tuple[Array, Array]:
        """Return a row's kernel and bias with batch norm folded in, float32.

        Source:
            Jacob et al. 2018, section 3.2: w' = w·γ/√(σ² + eps), b' = β + (b − μ)·γ/√(σ² + eps).
        """
        tensors = self.tensors
        weight = tensors[f"{row}/weight"].astype(np.float64)
        bias = tensors.get(f"{row}/bias", np.zeros(len(weight), np.float32)).astype(np.float64)
        if f"{row}/gamma" in tensors:
            eps = next(r.eps for r in self.network.rows if r.name == row)
            gamma, beta, mean, variance = (
                tensors[f"{row}/{part}"].astype(np.float64) for part in NORM
            )
            scale = gamma / np.sqrt(variance + eps)
            weight *= scale[:, None, None, None]
            bias = beta + (bias - mean) * scale
        return weight.astype(np.float32), bias.astype(np.float32)


def check(network: Network, tensors: Mapping[str, Array], *, source: str) -> None:
    """Refuse tensors that do not fill ``network`` exactly.

    Raises:
        FileError: Names or shapes differ, or a value is not finite; the first few are named,
            with the likely reason.
    """
    wanted = _shapes(network, tensors)
    problems = [
        f"{name} has shape {tensors[name].shape}, the rows have {shape}"
        for name, shape in wanted.items()
        if name in tensors and tensors[name].shape != shape
    ]
    problems += [f"{name} is missing" for name in wanted if name not in tensors]
    problems += [f"{name} is not in the rows" for name in tensors if name not in wanted]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise FileError(
            f"{source} does not fit {network.family.value} α = {network.alpha:g} with "
            f"{network.classes} classes: {'; '.join(problems[:3])}{more}",
            fix=_likely_reason(network, tensors),
        )
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise FileError(
                f"{source}: {name} has values that are not finite",
                fix="export the weights again from a training run that did not diverge",
            )


def other_family(wanted: Family, found: Family, *, source: str) -> FileError:
    """Return the error for weights of the other family."""
    return FileError(
        f"{source}: these are weights of {found.value}, {wanted.value} was asked for",
        fix=f"export {found.value} instead, or pass weights of {wanted.value}",
    )


def _shapes(network: Network, tensors: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for row in network.rows:
        shapes[f"{row.name}/weight"] = row.weight_shape
        folded = not any(f"{row.name}/{part}" in tensors for part in NORM)
        if f"{row.name}/bias" in tensors or folded:
            shapes[f"{row.name}/bias"] = (row.out_channels,)
        if not folded:
            shapes.update({f"{row.name}/{part}": (row.out_channels,) for part in NORM})
    shapes["classifier/weight"] = (network.classes, network.features)
    shapes["classifier/bias"] = (network.classes,)
    return shapes


def _likely_reason(network: Network, tensors: Mapping[str, Array]) -> str:
    for family in (network.family, *(f for f in Family if f is not network.family)):
        alpha = _fitting_alpha(family, network, tensors)
        if alpha is None:
            continue
        if family is not network.family:
            return f"these are weights of {family.value} α = {alpha:g}: export that"
        if alpha != network.alpha:
            return f"these weights are α = {alpha:g}: pass --alpha {alpha:g}"
        classifier = tensors.get("classifier/weight")
        if classifier is not None and len(classifier) != network.classes:
            return f"these weights have {len(classifier)} classes: pass --classes {len(classifier)}"
    return f"pass weights of a whole {network.family.value}, as it was published or trained here"


def _fitting_alpha(family: Family, network: Network, tensors: Mapping[str, Array]) -> float | None:
    """Return the α whose kernels all have these shapes, the network's own first."""
    for alpha in (network.alpha, *_LIKELY_ALPHAS):
        other = networks.network(family, alpha=alpha, classes=network.classes, style=network.style)
        if all(
            f"{row.name}/weight" in tensors
            and tensors[f"{row.name}/weight"].shape == row.weight_shape
            for row in other.rows
        ):
            return alpha
    return None
