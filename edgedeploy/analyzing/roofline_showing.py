"""A roofline as something to look at: tables for a terminal, and a part of the JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgedeploy.analyzing.kept import count_of
from edgedeploy.analyzing.roofline import ARITHMETIC, MEMORY
from edgedeploy.analyzing.showing import intensity, name_of, percent

if TYPE_CHECKING:
    from edgedeploy.analyzing.peaks import Peaks, Rate
    from edgedeploy.analyzing.roofline import Roofline

KIND_COLUMNS = ("kind", "least ms", "share", "bound by memory", "by arithmetic")
LAYER_COLUMNS = ("layer", "least ms", "bound by", "per byte", "at most")

_GIGA = 1e9
_STEADY = 0.85  # of the best: a quiet machine's median is above it


def head(peaks: Peaks) -> list[str]:
    """Return what was measured, one line each."""
    when = peaks.date[:16].replace("T", " ")
    busy = "not known" if peaks.load is None else f"{peaks.load:.2f}"
    host = peaks.host
    threads = count_of(host.threads, "thread")
    lines = [f"measured {when} UTC on {host.cpu}, {threads}, load {busy}:"]
    moved = ", ".join(f"{each.kernel} {_giga(each.best)}" for each in peaks.bandwidths)
    size = peaks.array_bytes >> 20
    lines.append(f"  memory      {_giga(peaks.bandwidth)} GB/s  ({moved}; arrays of {size} MiB)")
    for precision in dict.fromkeys(each.precision for each in peaks.rates):
        rates = [each for each in peaks.rates if each.precision == precision]
        best = peaks.rate(precision)
        shown = "–" if best is None else _giga(best)
        each_shown = ", ".join(f"{each.backend} {_best(each)}" for each in rates)
        lines.append(f"  GEMM, {precision}  {shown} G multiply-adds/s  ({each_shown})")
    steadiness = peaks.steadiness
    if steadiness < _STEADY:
        lines.append(
            f"  unsteady, a median is {steadiness:.0%} of its best: --remeasure on a quiet machine"
        )
    return lines


def kind_rows(roofline: Roofline, kinds: tuple[str, ...]) -> list[tuple[str | None, ...]]:
    """Return shares by kind under `KIND_COLUMNS`."""
    whole = roofline.least_s()
    rows: list[tuple[str | None, ...]] = []
    for kind in kinds:
        own = [each for each in roofline.positions if each.cost.kind == kind]
        least = roofline.least_s(kind)
        share = least / whole if whole and least is not None else None
        counts = [sum(each.bound_by == roof for each in own) for roof in (MEMORY, ARITHMETIC)]
        rows.append((kind, _ms(least), percent(share), *map(str, counts)))
    return rows


def layer_rows(roofline: Roofline) -> list[tuple[str | None, ...]]:
    """Return each layer under `LAYER_COLUMNS`; the last is in multiply-adds per second."""
    return [
        (
            name_of(each.cost),
            _ms(each.least_s),
            each.bound_by,
            intensity(each.cost.intensity),
            f"{_giga(each.attainable)} G/s" if each.attainable else None,
        )
        for each in roofline.positions
    ]


def notes(roofline: Roofline) -> list[str]:
    """Return the total, the ridges, and what the times are and are not."""
    least, share = roofline.least_s(), roofline.memory_share()
    lines = [f"– least ms: {word}: {why}" for word, why in roofline.unknown().items()]
    if least is not None:
        lines.append(
            f"least time of all layers: {_ms(least)} ms, {percent(share)} of it bound by memory"
        )
    precisions = {each.precision: None for each in roofline.positions if each.precision}
    for precision in precisions:
        rate = roofline.peaks.rate(precision)
        if rate is not None:
            ridge = rate / roofline.peaks.bandwidth
            lines.append(f"{precision}: below {ridge:.2f} multiply-adds per byte memory bounds")
    return [
        *lines,
        "A bound by the peaks and the counts, no latency: each layer by itself, all its",
        "bytes from memory. Fused or cached layers may be faster, and convolutions with",
        "fewer multiplications (Winograd). edgedeploy profile measures.",
    ]


def document(roofline: Roofline) -> dict[str, Any]:
    """Return the key ``roofline`` of the JSON document that docs/analyze.md describes."""
    peaks, least = roofline.peaks, roofline.least_s()
    return {
        "measured": asdict(peaks),
        "bandwidth_bytes_per_s": peaks.bandwidth,
        "multiply_adds_per_s": {
            name: peaks.rate(name) for name in dict.fromkeys(each.precision for each in peaks.rates)
        },
        "least_ms": None if least is None else least * 1e3,
        "memory_bound_share": roofline.memory_share(),
        "layers": [
            {
                "name": name_of(each.cost),
                "kind": each.cost.kind,
                "precision": each.precision,
                "intensity": each.cost.intensity,
                "attainable_multiply_adds_per_s": each.attainable,
                "bound_by": each.bound_by,
                "least_ms": None if each.least_s is None else each.least_s * 1e3,
            }
            for each in roofline.positions
        ],
        "reasons": roofline.unknown(),
    }


def _best(rate: Rate) -> str:
    return "–" if rate.best is None else _giga(rate.best)


def _giga(value: float) -> str:
    """Return billions with three digits.

    Example:
        >>> _giga(12_345_678_901), _giga(456_000_000)
        ('12.3', '0.456')
    """
    return f"{value / _GIGA:.3g}"


def _ms(seconds: float | None) -> str | None:
    """Return milliseconds with three digits, never as a power of ten.

    Example:
        >>> _ms(0.0012345), _ms(0.0000004), _ms(1.5), _ms(None)
        ('1.23', '0.0004', '1500', None)
    """
    if seconds is None:
        return None
    ms = seconds * 1e3
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}" if ms >= 0.001 else f"{ms:.4f}"
