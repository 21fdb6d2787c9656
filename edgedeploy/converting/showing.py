"""A conversion as a table, a few lines, and a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedeploy.converting.dac import METHOD

if TYPE_CHECKING:
    from edgedeploy.converting.dac import Conversion
    from edgedeploy.converting.layers import Layer

COLUMNS = ("layer", "rank", "of", "energy", "error", "M before", "M after", "left", "gain")

_NOT_COUNTED = "not known of all layers; where the model takes any size, pass --resolution R"
_NOT_MEASURED = "not measured: the model takes images of any size; pass --resolution R"


def rows(conversion: Conversion) -> list[tuple[str | None, ...]]:
    """Return a row for each layer that could be decomposed, in graph order.

    Energy is what is kept of the squared weights, error the rest's root; ``M before`` and
    ``M after`` are millions of multiply-adds, ``left`` their share.
    """
    return [_row(conversion, layer) for layer in conversion.network.layers]


def lines(conversion: Conversion) -> list[str]:
    """Return what the whole conversion comes to."""
    before, after = conversion.network.multiply_adds, conversion.multiply_adds
    said = []
    if before is None or after is None:
        said.append(f"multiply-adds: {_NOT_COUNTED}")
    else:
        said.append(
            f"multiply-adds of the whole model: {_millions(before)} M → {_millions(after)} M, "
            f"{after / before:.1%} remain"
        )
    layers = len(conversion.choice.ranks)
    said.append(
        f"weights of the {layers} converted layers: {_parameters(conversion, converted=False)} → "
        f"{_parameters(conversion, converted=True)}"
    )
    found = conversion.measured
    if found is None:
        said.append(f"error of the output: {_NOT_MEASURED}")
        return said
    said.append(f"error of the output on {found.inputs}: {found.output_error:.2%}")
    if found.uncorrected_error is not None:
        said[-1] += f", {found.uncorrected_error:.2%} before the biases were corrected"
    if found.agreement is not None:
        said.append(f"same best class on {found.inputs}: {found.agreement:.1%}")
    return said


def document(conversion: Conversion) -> dict[str, Any]:
    """Return all of it as JSON values; what is not known is null, with a reason."""
    before, after = conversion.network.multiply_adds, conversion.multiply_adds
    found = conversion.measured
    reasons = {}
    if before is None:
        reasons["totals.multiply_adds"] = _NOT_COUNTED
    if found is None:
        reasons["measured"] = _NOT_MEASURED
    return {
        "method": METHOD,
        "layers": [_layer(conversion, layer) for layer in conversion.network.layers],
        "spared": list(conversion.choice.spared),
        "totals": {
            "multiply_adds": {"before": before, "after": after},
            "converted_parameters": {
                "before": _parameters(conversion, converted=False),
                "after": _parameters(conversion, converted=True),
            },
        },
        "measured": found
        and {
            "inputs": found.inputs,
            "output_error": found.output_error,
            "uncorrected_error": found.uncorrected_error,
            "agreement": found.agreement,
        },
        "reasons": reasons,
        "notes": list(conversion.notes),
    }


def _layer(conversion: Conversion, layer: Layer) -> dict[str, Any]:
    rank = conversion.choice.ranks.get(layer.name)
    error = layer.weight_error(rank)
    return {
        "name": layer.name,
        "shape": list(layer.shape),
        "rank": rank,
        "full_rank": layer.full_rank,
        "kept_energy": 1 - error**2,
        "weight_error": error,
        "multiply_adds": {"before": layer.multiply_adds(None), "after": layer.multiply_adds(rank)},
        "parameters": {"before": layer.parameters(None), "after": layer.parameters(rank)},
        "gain": conversion.choice.gains.get(layer.name),
    }


def _row(conversion: Conversion, layer: Layer) -> tuple[str | None, ...]:
    about = _layer(conversion, layer)
    rank, work, gain = about["rank"], about["multiply_adds"], about["gain"]
    left = about["parameters"]["after"] / about["parameters"]["before"]
    return (
        layer.name,
        None if rank is None else str(rank),
        str(layer.full_rank),
        None if rank is None else f"{about['kept_energy']:.1%}",
        None if rank is None else f"{about['weight_error']:.1%}",
        None if work["before"] is None else _millions(work["before"]),
        None if work["after"] is None else _millions(work["after"]),
        f"{left:.1%}",
        None if gain is None else _two_digits(gain),
    )


def _parameters(conversion: Conversion, *, converted: bool) -> int:
    ranks = conversion.choice.ranks
    return sum(
        layer.parameters(ranks[layer.name] if converted else None)
        for layer in conversion.network.layers
        if layer.name in ranks
    )


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f}"


def _two_digits(value: float) -> str:
    """Return a value with as many digits as its neighbours.

    Example:
        >>> _two_digits(0.8), _two_digits(0.584), _two_digits(12)
        ('0.80', '0.58', '12')
    """
    return f"{value:#.2g}".rstrip(".")
