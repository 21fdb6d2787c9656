"""An analysis as something to look at: tables for a terminal, and one JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgedeploy.analyzing import energy
from edgedeploy.analyzing.counting import COUNTS, images_of

if TYPE_CHECKING:
    from edgedeploy.analyzing.counting import Analysis
    from edgedeploy.graph.cost import Cost

KIND_COLUMNS = ("kind", "layers", "multiply-adds", "parameters", "memory access", "per byte")
ENERGY_COLUMN = "mJ, estimate"  # in place of the last
LAYER_COLUMNS = (
    "layer",
    "kind",
    "output",
    "multiply-adds",
    "parameters",
    "memory access",
    "per byte",
    "GEMM m·n·k",
)

_TITLES = {
    "multiply_adds": "multiply-adds",
    "parameters": "parameters",
    "memory_access_bytes": "memory access",
}
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def head(analysis: Analysis) -> str:
    """Return the line of totals."""
    model, totals = analysis.model, analysis.totals()
    height, width = model.side or (0, 0)
    said = [
        f"{amount(totals['multiply_adds'])} multiply-adds",
        f"{amount(totals['parameters'])} parameters",
        f"{amount(totals['memory_access_bytes'], 'B')} of memory access",
    ]
    images = images_of(model)
    batch = "" if images == 1 else f", {images} images a call"
    return f"{model.name} @{height}x{width}{batch}: {', '.join(said)}"


def kind_rows(analysis: Analysis, *, estimates: bool = False) -> list[tuple[str | None, ...]]:
    """Return shares by kind under `KIND_COLUMNS`, with multiply-adds per byte.

    Args:
        analysis: Of a model.
        estimates: Whether the last column is `ENERGY_COLUMN`.
    """
    totals = analysis.totals()
    rows: list[tuple[str | None, ...]] = []
    for kind in analysis.kinds():
        own = analysis.totals(kind)
        layers = sum(each.kind == kind for each in analysis.layers)
        shares = (percent(_share(own[name], totals[name])) for name in COUNTS)
        last = _millijoules(analysis, kind) if estimates else intensity(_per_byte(own))
        rows.append((kind, str(layers), *shares, last))
    return rows


def layer_rows(analysis: Analysis) -> list[tuple[str | None, ...]]:
    """Return the layers that cost something under `LAYER_COLUMNS`."""
    return [
        (
            name_of(each),
            each.kind,
            _sides(each.op.output),
            amount(each.multiply_adds) if each.multiply_adds != 0 else None,
            amount(each.parameters) if each.parameters != 0 else None,
            amount(each.memory_access_bytes, "B"),
            intensity(each.intensity),
            _gemm(each),
        )
        for each in analysis.layers
    ]


def energy_note(analysis: Analysis) -> str:
    """Return the line of the total that is an estimate, with its source."""
    total = _millijoules(analysis) or "–"
    return f"estimate: {total} mJ, no measurement ({energy.SOURCE}; {energy.ASSUMES})"


def notes(analysis: Analysis) -> list[str]:
    """Say what costs nothing, and what is not known."""
    free = [f"{count} {word}" for word, count in analysis.free().items()]
    found = [f"cost nothing and have no row: {', '.join(free)}"] if free else []
    return [*found, *(f"– {_TITLES[name]}: {why}" for name, why in _reasons(analysis).items())]


def document(analysis: Analysis, *, estimates: bool = False) -> dict[str, Any]:
    """Return the JSON document that docs/analyze.md describes.

    Args:
        analysis: Of a model.
        estimates: Whether energy is estimated in it.
    """
    model, totals = analysis.model, analysis.totals()
    kinds = {}
    for kind in analysis.kinds():
        own = analysis.totals(kind)
        kinds[kind] = {
            "layers": sum(each.kind == kind for each in analysis.layers),
            **own,
            "intensity": _per_byte(own),
            "share": {name: _share(own[name], totals[name]) for name in COUNTS},
        }
    estimated = {"energy_estimate": _estimate(analysis)} if estimates else {}
    return {
        **estimated,
        "model": model.name,
        "path": str(model.path),
        "sha256": model.sha256,
        "input_shape": [images_of(model), 3, *(model.side or ())],
        "totals": {**totals, "intensity": _per_byte(totals)},
        "kinds": kinds,
        "layers": [_layer(each) for each in analysis.costs],
        "free": dict(analysis.free()),
        "reasons": {f"totals.{name}": why for name, why in _reasons(analysis).items()},
    }


def _estimate(analysis: Analysis) -> dict[str, Any]:
    return {
        "total_mj": _sum_mj(analysis),
        "kinds_mj": {kind: _sum_mj(analysis, kind) for kind in analysis.kinds()},
        "source": energy.SOURCE,
        "assumes": energy.ASSUMES,
    }


def _sum_mj(analysis: Analysis, kind: str | None = None) -> float | None:
    found = [energy.estimate_mj(each) for each in analysis.costs if kind in (None, each.kind)]
    known = [number for number in found if number is not None]
    return sum(known) if len(known) == len(found) else None


def _millijoules(analysis: Analysis, kind: str | None = None) -> str | None:
    total = _sum_mj(analysis, kind)
    return None if total is None else f"{total:.3g}"


def _layer(each: Cost) -> dict[str, Any]:
    return {
        "name": name_of(each),
        "op": each.op.type,
        "kind": each.kind,
        "multiply_adds": each.multiply_adds,
        "parameters": each.parameters,
        "memory_access_bytes": each.memory_access_bytes,
        "intensity": each.intensity,
        "output_shape": None if each.op.output is None else list(each.op.output),
        "gemm": None if each.gemm is None else asdict(each.gemm),
    }


def name_of(each: Cost) -> str:
    """Return the name of a node; of one without a name, that of what it puts out."""
    found = next((name for name in each.op.names if name), each.op.type)
    return found if found.isprintable() else ascii(found)


def _reasons(analysis: Analysis) -> dict[str, str]:
    unknown = {name: analysis.unknown(name) for name in COUNTS}
    return {
        name: f"not known of {', '.join(words)}: a shape that cannot be inferred, or an operator "
        "that is not counted"
        for name, words in unknown.items()
        if words
    }


def _per_byte(totals: dict[str, int | None]) -> float | None:
    added, moved = totals["multiply_adds"], totals["memory_access_bytes"]
    return added / moved if added is not None and moved else None


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def percent(share: float | None) -> str | None:
    """Return a share in percent; None if not known."""
    return None if share is None else f"{share:.1%}"


def intensity(value: float | None) -> str | None:
    """Return multiply-adds per byte; None where there are none."""
    return f"{value:.2f}" if value else None


def _gemm(each: Cost) -> str | None:
    """Return the product's sides; one that needs no im2col is marked with ``=``."""
    if each.gemm is None:
        return None
    sides = f"{each.gemm.m}·{each.gemm.n}·{each.gemm.k}"
    groups = f" ×{each.gemm.groups}" if each.gemm.groups > 1 else ""
    return f"{sides}{groups}{' =' if each.gemm.is_gemm else ''}"


def _sides(shape: tuple[int | None, ...] | None) -> str | None:
    """Return a shape without its batch."""
    return None if shape is None else "x".join("?" if n is None else str(n) for n in shape[1:])


def amount(number: int | None, unit: str = "") -> str:
    """Return a number for people, with two digits behind the point where it has a prefix.

    Example:
        >>> amount(568_740_352), amount(1_250, "B"), amount(12, "B"), amount(None)
        ('568.74 M', '1.25 kB', '12 B', '–')
    """
    if number is None:
        return "–"
    for scale, prefix in _PREFIXES:
        if number >= scale:
            return f"{number / scale:.2f} {prefix}{unit}"
    return f"{number} {unit}".rstrip()
