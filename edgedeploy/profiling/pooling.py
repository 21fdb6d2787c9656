"""Several runs of one artifact as one record: every sample of all, and a rule for the rest.

docs/measuring.md has the rules in words, and so has each record, under ``ab.pooled_by``.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy import stats
from edgedeploy.profiling import deriving, energy, records
from edgedeploy.profiling.verdict import LEVELS, Verdict
from edgedeploy.worker import samples as encoding

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.stats import Summary
    from edgedeploy.types import Array

    Document = Mapping[str, Any]

RULES = {
    "latency_ms": "all samples of all rounds, in their order",
    "throughput_ips": "images of all rounds over the sum of their windows",
    "energy": "joules of all rounds over their images; null where a round has none",
    "memory_mb": "peak_rss and device: the largest of the rounds; by phase: their median",
    "cold_start_ms": "the median of the rounds",
    "verdict": "the worst of the rounds, and of their samples together",
    "ab.verdict": "the worst of the rounds; measured while at most 25 % of them are suspect",
}
"""How the rounds became one record, by what is in it."""

MOST_DISTURBED = 0.25
"""Share of suspect rounds up to which a comparison of the two sides holds."""

_FIGURE = re.compile(r"\d+(?:\.\d+)?")
_KEPT = (
    "created",
    "throughput_ips",
    "energy_mj_per_inference",
    "energy_above_idle_mj_per_inference",
    "power",
    "power_reason",
    "cold_start_ms",
    "warm_up",
    "conditions",
    "verdict",
)
"""What stays beside the pooled record of each round."""


def pool(rounds: Sequence[ProfileRecord], *, options: Document, ab: Document) -> ProfileRecord:
    """Make one record of the rounds of one artifact; nothing of their samples is dropped.

    Args:
        rounds: In the order in which they were measured, at least one; of one artifact, measured
            in one way.
        options: What the record says of the scenario, for all rounds together.
        ab: What it says of the turns; the rules and the rounds' own verdict are added.

    Raises:
        FileError: A round holds what no record may.
    """
    documents = [one.document for one in rounds]
    samples = np.concatenate([one.samples_ns() for one in rounds])
    summary = stats.summarise(samples / 1e6)
    images = len(samples) * documents[0]["input_shape"][0]
    seconds = sum(one["window_s"] for one in documents)
    told = _verdict(rounds)
    whole = _with_series(told, samples, summary)
    against = _outweighed(told, rounds)
    document = {
        **documents[-1],
        "scenario_options": dict(options),
        "latency_ms": {**asdict(summary), "p50_ci95": list(summary.p50_ci95)},
        "throughput_ips": images / seconds,
        "infer_overhead_us": _merged(_each(documents, "infer_overhead_us"), statistics.median),
        "timer_ns": _merged(_each(documents, "timer_ns"), statistics.median),
        "window_s": seconds,
        "warm_up": _warm_up(_each(documents, "warm_up")),
        "cold_start_ms": _merged(_each(documents, "cold_start_ms"), statistics.median),
        "memory_mb": _memory_mb(_each(documents, "memory_mb")),
        "stages_ms": _stages(_each(documents, "stages_ms")),
        **energy.of(_energy(documents), images),
        "conditions": None,
        "verdict": _as_json(whole),
        "reasons": _reasons(documents, summary),
        "rounds": [_round(one) for one in documents],
        "ab": {**ab, "verdict": _as_json(against), "pooled_by": RULES},
        "samples_ns": encoding.encode(_as_array(rounds)),
    }
    return records.parse(document, name="the rounds together")


def grouped(told: Sequence[Iterable[str]]) -> Iterator[str]:
    """Yield each reason once, with the rounds that gave it.

    Args:
        told: Of each round its reasons. Two that differ in their figures alone are one reason, and
            the figures shown are those of the first round that gave it.

    Example:
        >>> list(grouped([["1.5 CPUs busy"], [], ["1.4 CPUs busy"], ["1.3 CPUs busy"]]))
        ['rounds 1, 3-4 (figures of round 1): 1.5 CPUs busy']
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for number, reasons in enumerate(told, start=1):
        for reason in reasons:
            found.setdefault(_FIGURE.sub("#", reason), []).append((number, reason))
    for same in found.values():
        first, text = same[0]
        numbers = sorted({number for number, _ in same})
        varied = f" (figures of round {first})" if len({words for _, words in same}) > 1 else ""
        plural = "s" if len(numbers) > 1 else ""
        yield f"round{plural} {_ranges(numbers)}{varied}: {text}"


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as ``1, 3-5``."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number])
    return ", ".join("-".join(map(str, span)) for span in spans)


def _round(document: Document) -> dict[str, Any]:
    latency = document["latency_ms"]
    return {
        "p50": latency["p50"],
        "p50_ci95": latency["p50_ci95"],
        "count": latency["count"],
        "window_ns": round(document["window_s"] * 1e9),
        "peak_rss_mb": document["memory_mb"]["peak_rss"],
        **{key: document[key] for key in _KEPT},
    }


def _as_array(rounds: Sequence[ProfileRecord]) -> array[int]:
    """Return every sample as the encoding takes it."""
    parts = [encoding.decode(one.document["samples_ns"]) for one in rounds]
    for part in parts[1:]:
        parts[0].extend(part)
    return parts[0]


def _each(documents: Sequence[Document], key: str) -> list[Any]:
    return [one[key] for one in documents]


def _merged(values: Sequence[Any], rule: Callable[[list[Any]], float]) -> Any:
    """Merge one place of all rounds: numbers by ``rule``, mappings key by key.

    What is no number stays where it is the same in all; else, and where a round has none, it is
    None.
    """
    if all(isinstance(one, dict) for one in values):
        return {key: _merged([one.get(key) for one in values], rule) for key in values[0]}
    if all(isinstance(one, (int, float)) for one in values):
        return rule(list(values))
    return values[0] if all(one == values[0] for one in values) else None


def _memory_mb(all_rounds: Sequence[Document]) -> dict[str, Any]:
    found = dict(_merged(all_rounds, statistics.median))
    for key in ("peak_rss", "device"):
        found[key] = _merged([one[key] for one in all_rounds], max)
    if found.get("device_rule") is None:
        found["device"] = None  # the rounds tell different things, or none
    return found


def _warm_up(all_rounds: Sequence[Document]) -> dict[str, Any]:
    return {
        "settled": all(one["settled"] for one in all_rounds),
        "runs": sum(one["runs"] for one in all_rounds),
        "seconds": sum(one["seconds"] for one in all_rounds),
    }


def _stages(all_rounds: Sequence[Document | None]) -> dict[str, Any] | None:
    """Return the median of the rounds' medians for each stage; None where a round has none."""
    known = [one for one in all_rounds if one is not None]
    if len(known) < len(all_rounds):
        return None
    return {
        name: {
            "p50": statistics.median(one[name]["p50"] for one in known),
            "count": sum(one[name]["count"] for one in known),
        }
        for name in known[0]
    }


def _energy(documents: Sequence[Document]) -> dict[str, Any]:
    """Add up what the rounds' meters saw, in the form that `energy.of` takes.

    A part of the rounds would be the energy of other calls than the record's: then there is none.
    """
    powers = _each(documents, "power")
    if None in powers:
        return {"energy": None, "energy_reason": _lacking(documents, powers)}
    first = powers[0]
    by = sorted({f"{one['source']} ({one['rule']})" for one in powers})
    if len(by) > 1:
        return {"energy": None, "energy_reason": f"measured differently: {' and '.join(by)}"}
    joules, seconds = _each(powers, "joules"), [one["window_ns"] / 1e9 for one in powers]
    shares = _each(powers, "uncertainty_pct")
    seen = {
        **first,
        "joules": sum(joules),
        "window_ns": sum(_each(powers, "window_ns")),
        "rails_w": {
            rail: _mean([one["rails_w"].get(rail) for one in powers], seconds)
            for rail in first["rails_w"]
            if all(rail in one["rails_w"] for one in powers)
        },
        "idle_w": _mean(_each(powers, "idle_w"), seconds),
        "idle_reason": next((one["idle_reason"] for one in powers if one["idle_w"] is None), None),
        "samples": sum(_each(powers, "samples")),
        "uncertainty_pct": _mean(shares, joules),  # as if all rounds were off the same way
        "trace": None,
    }
    del seen["mean_w"]
    return {"energy": seen, "energy_reason": None}


def _lacking(documents: Sequence[Document], powers: Sequence[Document | None]) -> str:
    told = [
        (number, str(one["power_reason"]))
        for number, (one, power) in enumerate(zip(documents, powers, strict=True), start=1)
        if power is None
    ]
    number, reason = told[0]
    is_of_all = len(told) == len(documents) and len({text for _, text in told}) == 1
    return reason if is_of_all else f"round {number} has none: {reason}"


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    """Return the weighted mean; None where one is not known."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not sum(weights):
        return None
    return sum(v * w for v, w in zip(known, weights, strict=True)) / sum(weights)


def _verdict(rounds: Sequence[ProfileRecord]) -> Verdict:
    """Return the worst verdict of the rounds, and whether the power mode stayed what it was."""
    level = max((one.level for one in rounds), key=LEVELS.index)
    reasons = list(grouped([one.reasons for one in rounds]))
    modes = list(dict.fromkeys(str(one.document["device"].get("power_mode")) for one in rounds))
    if len(modes) > 1:
        level = max(level, "suspect", key=LEVELS.index)
        reasons.append(f"the power mode changed between the rounds: {', then '.join(modes)}")
    return Verdict(level, tuple(reasons))


def _outweighed(told: Verdict, rounds: Sequence[ProfileRecord]) -> Verdict:
    """Return the verdict that counts when the two sides are compared round by round.

    Rounds are drawn anew for the interval, so what a few disturbed ones do is in its width.
    """
    disturbed = [one for one in rounds if one.level != "measured"]
    is_of_rounds = all(text.startswith("round") for text in told.reasons)
    if told.level == "suspect" and is_of_rounds and len(disturbed) <= MOST_DISTURBED * len(rounds):
        return Verdict("measured", told.reasons)
    return told


def _with_series(told: Verdict, samples: Array, summary: Summary) -> Verdict:
    """Judge all samples together too: a drift from round to round is seen in no single one."""
    if len(samples) < 2 or samples.min() <= 0:
        return told  # the rounds say so
    more = [f"all rounds together: {text}" for text in stats.doubts(samples, summary)]
    level = max(told.level, "suspect", key=LEVELS.index) if more else told.level
    return Verdict(level, (*told.reasons, *more))


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return {"level": verdict.level, "reasons": list(verdict.reasons)}


def _reasons(documents: Sequence[Document], summary: Summary) -> dict[str, str]:
    """Say of each null why it is one."""
    found: dict[str, str] = {}
    for number, document in enumerate(documents, start=1):
        for key, text in document["reasons"].items():
            is_same = all(one["reasons"].get(key) == text for one in documents)
            found.setdefault(key, text if is_same else f"round {number}: {text}")
    kept = {key: text for key, text in found.items() if not key.startswith("latency_ms.")}
    own = {
        "conditions": "each round has its own: rounds[].conditions",
        "power.trace": "each round has its own: rounds[].power.trace",
    }
    return {**kept, **deriving.latency_reasons(summary), **own}
