"""How calibrations and their differences are printed, as tables and as JSON."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgedeploy.cli.output import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgedeploy.calibration.comparing import Difference
    from edgedeploy.calibration_values import Calibration, Spending, TensorRange
    from edgedeploy.pipeline import FloatCost

_UNKNOWN = "not known"
_FEW = 4
_NOT_TIMED = "the calibration was there already"


def print_calibration(path: Path, calibration: Calibration) -> None:
    """Print where a calibration comes from, and its table of tensors."""
    lines = _provenance(path, calibration)
    width = max(len(title) for title in lines) + 2
    for title, text in lines.items():
        print(f"{title + ':':{width}}{text}")
    print()
    columns = ["tensor", "low", "high", "kept", "min", "max"]
    rows = [
        [name, _number(r.low), _number(r.high), _kept(r), _number(r.min), _number(r.max)]
        for name, r in calibration.ranges.items()
    ]
    if any(found.method for found in calibration.ranges.values()):
        columns.append("method")
        for row, found in zip(rows, calibration.ranges.values(), strict=True):
            row.append(found.method or None)
    print_table(columns, rows)


def print_difference(first: Path, second: Path, found: Difference) -> None:
    """Print what two calibrations differ in; one line where that is nothing."""
    if found.is_empty:
        print(f"{first} and {second} say the same")
    for field, one, two in found.provenance:
        print(f"{field}: {_text(one)}\n{'':{len(field)}}→ {_text(two)}")
    if found.ranges:
        print_table(
            ("tensor", "change", "low", "→ low", "high", "→ high"),
            [
                (
                    change.name,
                    f"{change.size:.2%}",
                    _number(change.first.low),
                    _number(change.second.low),
                    _number(change.first.high),
                    _number(change.second.high),
                )
                for change in found.ranges
            ],
        )
    for path, names in ((first, found.only_first), (second, found.only_second)):
        if names:
            print(f"only in {path}: {', '.join(names)}")
    if found.arrays:
        print(f"arrays that differ: {_arrays(found.arrays)}")


def _arrays(names: Sequence[str]) -> str:
    """Name a few arrays, and count more of them by kind: ``28 x bias of … (s8)``."""
    if len(names) <= _FEW:
        return ", ".join(names)
    kinds = Counter(re.sub(r""" of ['"].*['"]""", " of …", name) for name in names)
    return ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items()))


def document(path: Path, calibration: Calibration) -> dict[str, Any]:
    """Return a calibration's JSON form, without the numbers in its arrays."""
    from edgedeploy.calibration import arrays, spendings
    from edgedeploy.runtime.manifest import format_preprocessing

    return {
        "calibration": str(path),
        "sha256": calibration.sha256,
        "model_sha256": calibration.model_sha256,
        "data": {
            "digest": calibration.data_digest or None,
            "count": calibration.data_count or None,
            "unreadable": dict(calibration.unreadable),
        },
        "method": calibration.method,
        "side": list(calibration.side),
        "preprocessing": format_preprocessing(calibration.preprocessing),
        "steps": list(calibration.steps),
        "max_drop": calibration.max_drop,
        "spending": spendings.document(calibration.spending),
        "versions": dict(calibration.versions),
        **arrays.index(calibration),
        "tensors": {name: _range(found) for name, found in calibration.ranges.items()},
    }


def made_document(
    path: Path, calibration: Calibration, costs: Mapping[str, FloatCost], *, there: bool
) -> dict[str, Any]:
    """Return the JSON of what calibrate made; ``there``: whether it was there already."""
    return {
        "path": str(path),
        "up_to_date": there,
        "model_sha256": calibration.model_sha256,
        "method": calibration.method,
        "images": calibration.data_count,
        "unreadable": [
            {"name": name, "problem": problem} for name, problem in calibration.unreadable.items()
        ],
        "tensors": len(calibration.ranges),
        "steps": calibration.steps,
        "max_drop": calibration.max_drop,
        "spending": spending_document(calibration, costs),
    }


def print_made(
    path: Path, calibration: Calibration, costs: Mapping[str, FloatCost], *, there: bool
) -> None:
    """Print what calibrate made; ``there``: whether it was there already."""
    print(
        f"{path}  {'up to date, ' if there else ''}{len(calibration.ranges)} tensors, "
        f"{calibration.data_count} images, {calibration.method}"
    )
    for style, line in spending_lines(calibration, costs).items():
        print(f"{style}: {line}")


def spending_lines(
    calibration: Calibration, costs: Mapping[str, FloatCost] | None = None
) -> dict[str, str]:
    """Return a line for every style with a budget: what INT8 loses, what stays in float, the time.

    Args:
        calibration: With a budget, or without one: then there are no lines.
        costs: By style; what is not there is left unsaid.
    """
    lines = {}
    for style, found in sorted(calibration.spending.items()):
        lost = _lost(found.before, found.changed_before) + " with every layer in INT8"
        if found.left_float:
            lost += (
                f"; {_lost(found.after, found.changed_after)} with {len(found.left_float)} of "
                f"{len(found.harms)} layers in float: {', '.join(found.left_float)}"
            )
        cost = (costs or {}).get(style)
        lines[style] = lost + ("" if cost is None else _cost(cost, found))
    return lines


def spending_document(
    calibration: Calibration, costs: Mapping[str, FloatCost]
) -> dict[str, dict[str, Any]]:
    """Return the JSON of a budget, with what the layers left in float cost in speed."""
    from edgedeploy.calibration import spendings

    return {
        style: {
            **found,
            "slowdown": costs[style].slowdown if style in costs else None,
            "slowdown_reason": costs[style].reason if style in costs else _NOT_TIMED,
        }
        for style, found in spendings.document(calibration.spending).items()
    }


def _lost(points: float, changed: float) -> str:
    return f"{points:.2g} points of top-1 expected to be lost, {changed:.3g} % of answers changed,"


def _cost(cost: FloatCost, spending: Spending) -> str:
    if not spending.left_float:
        return ""
    if cost.slowdown is None:
        return f"; time not measured: {cost.reason}"
    return f"; {cost.slowdown:.2f}x the time of all in INT8, ONNX Runtime on this CPU"


def difference_document(first: Path, second: Path, found: Difference) -> dict[str, Any]:
    """Return a difference's JSON form."""
    return {
        "first": str(first),
        "second": str(second),
        "equal": found.is_empty,
        "provenance": [
            {"field": field, "first": one, "second": two} for field, one, two in found.provenance
        ],
        "tensors": [
            {
                "name": change.name,
                "change": change.size,
                "first": _range(change.first),
                "second": _range(change.second),
            }
            for change in found.ranges
        ],
        "only_first": found.only_first,
        "only_second": found.only_second,
        "arrays": found.arrays,
    }


def _provenance(path: Path, calibration: Calibration) -> dict[str, str]:
    data = _UNKNOWN
    if calibration.data_digest:
        data = f"{calibration.data_count} images, SHA-256 {calibration.data_digest}"
    if calibration.unreadable:
        data += f", {len(calibration.unreadable)} of them unreadable"
    rule = calibration.preprocessing
    steps = {
        "equalised": f"{len(calibration.equalisation)} tensors" if calibration.equalisation else "",
        "corrected": "; ".join(
            f"{style}: {len(layers)} biases, "
            f"{sum(found.rounding is not None for found in layers.values())} layers rounded"
            for style, layers in sorted(calibration.corrections.items())
        ),
    }
    return {
        "file": f"{path}, SHA-256 {calibration.sha256}",
        "model": f"SHA-256 {calibration.model_sha256}",
        "data": data,
        "method": calibration.method,
        "fed": f"{calibration.side[0]}x{calibration.side[1]} pixels, {rule.color}, {rule.resize} "
        f"{rule.crop_fraction:g}, mean {_triple(rule.mean)}, std {_triple(rule.std)}",
        "versions": _text(calibration.versions) if calibration.versions else _UNKNOWN,
        **{title: text or "nothing" for title, text in steps.items()},
        **_budget(calibration),
    }


def _budget(calibration: Calibration) -> dict[str, str]:
    if calibration.max_drop is None:
        return {}
    images = max((found.images for found in calibration.spending.values()), default=0)
    limit = f"at most {calibration.max_drop:g} points of top-1 may be lost, by {images} images"
    return {"budget": limit, **spending_lines(calibration)}


def _range(found: TensorRange) -> dict[str, object]:
    return {
        "min": found.min,
        "max": found.max,
        "low": found.low,
        "high": found.high,
        "method": found.method or None,
    }


def _kept(found: TensorRange) -> str | None:
    """Return which share of what was seen, from min to max, lies in the range."""
    if found.min == found.max:
        return None
    inside = min(found.high, found.max) - max(found.low, found.min)
    return f"{max(inside, 0.0) / (found.max - found.min):.1%}"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _triple(values: tuple[float, float, float]) -> str:
    distinct = values if len(set(values)) > 1 else values[:1]
    return " ".join(f"{value:g}" for value in distinct)


def _text(value: object) -> str:
    if value in ("", 0):
        return _UNKNOWN
    if value in (None, (), {}):
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(found)}" for name, found in sorted(value.items()))
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    return str(value)
