"""What changed from one profile to the other, and the one word for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgedeploy import shares
from edgedeploy.comparing import chance, intervals, meaning, turns
from edgedeploy.comparing.intervals import Estimate, Interval
from edgedeploy.comparing.sides import COMPARED, is_noisy
from edgedeploy.errors import MeasurementError
from edgedeploy.meters import gauges
from edgedeploy.metrics import METRICS

if TYPE_CHECKING:
    from edgedeploy.comparing.meaning import Mismatch
    from edgedeploy.comparing.sides import Side
    from edgedeploy.comparing.turns import Rounds
    from edgedeploy.metrics import Metric, Reading

CANNOT_TELL = "cannot tell"
SAME = "same"

_WORDS = {  # for less and for more, by dimension
    "time": ("faster", "slower"),
    "energy": ("less", "more"),
    "size": ("smaller", "larger"),
    "share": ("lower", "higher"),
    "count": ("fewer", "more"),
    "work": ("less", "more"),
}
_DATA = ("data_digest", "data", "count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One metric on both sides.

    Attributes:
        metric: Which.
        first: Before.
        second: After.
        ratio: Second over first; None where one is not known, or the first is 0. Of rounds in
            turns see `intervals.paired`.
        interval: 95 % of the ratio; None where the spread is not known, and for what has none.
        difference: 95 % of second less first, in the metric's unit; None as `interval`. Of an
            accuracy: over images drawn anew, see `shares.difference`.
        resolution: By how much two runs of one artifact may differ, in the metric's unit; None:
            they do not, or the interval knows.
        word: E.g. ``"faster"``, ``"same"`` or ``"cannot tell"``.
        doubt: Why nothing may be concluded from the two; None: something may.
        small: Why the change may be chance, although the two numbers are what they are.
        of_rounds: Whether `ratio` is the mean of the ratios of rounds.
    """

    metric: Metric
    first: Reading
    second: Reading
    ratio: float | None = None
    interval: Interval | None = None
    difference: Interval | None = None
    resolution: float | None = None
    word: str
    doubt: str | None = None
    small: str | None = None
    of_rounds: bool = False

    @property
    def reason(self) -> str | None:
        """Why it cannot be told; None where it can."""
        if self.word != CANNOT_TELL:
            return None
        return self.doubt or self.small or "the interval holds 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two profiles of like kind.

    Attributes:
        name: What is compared, e.g. ``"mobilenet_v1_0.25_112 ort int8"``.
        first: Before.
        second: After.
        changes: One for each metric, in the order of `sides.COMPARED`.
        noted: What else differs between the two.
        rounds: In how many rounds the two were measured in turns; None: they were not.
    """

    name: str
    first: Side
    second: Side
    changes: tuple[Change, ...]
    noted: tuple[Mismatch, ...]
    rounds: int | None = None


def compare(first: Side, second: Side, *, name: str) -> Comparison:
    """Compare two profiles.

    Raises:
        MeasurementError: Their numbers do not mean the same.
    """
    wrong = meaning.mismatches(first.record, second.record)
    if wrong:
        raise MeasurementError(
            f"{first.label} and {second.label} do not measure the same: "
            f"{'; '.join(map(str, wrong))}",
            fix="measure both in the same way: edgedeploy profile with the same options and mode",
        )
    rounds = turns.of(first, second)
    return Comparison(
        name=name,
        first=first,
        second=second,
        changes=tuple(_change(METRICS[metric], first, second, rounds) for metric in COMPARED),
        noted=meaning.noted(first.record, second.record),
        rounds=None if rounds is None else rounds.count,
    )


def _change(metric: Metric, first: Side, second: Side, rounds: Rounds | None) -> Change:
    one, two = first.readings[metric.name], second.readings[metric.name]
    if one.value is None or two.value is None:
        doubt = _apart(("A", one.reason), ("B", two.reason))
        return Change(metric=metric, first=one, second=two, word=CANNOT_TELL, doubt=doubt)
    ratio = two.value / one.value if one.value > 0 else None
    if is_noisy(metric):
        found = _of_rounds(metric.name, first, second, rounds) if rounds else None
        return _noisy(metric, first, second, found or _of_calls(metric.name, first, second, ratio))
    doubt = _doubt_of_kind(metric, first, second)
    moved = two.value - one.value
    word = CANNOT_TELL if doubt else _word(metric, moved, moved) if moved else SAME
    change = Change(metric=metric, first=one, second=two, ratio=ratio, word=word, doubt=doubt)
    if doubt is None and metric.dimension.name == "share":
        return _of_images(change, shares.images(first.record.document))
    return _of_one_run(change) if metric.name == "peak_rss" else change


def _of_images(change: Change, count: int | None) -> Change:
    """Add to a change of an accuracy how far another choice of images could have moved it."""
    if count is None:
        return _too_small(change, "of how many images is not in the profile")
    one, two = change.first.value or 0.0, change.second.value or 0.0
    difference = Interval(*shares.difference(one, two, count))
    change = replace(change, difference=difference)
    if difference.low > 0 or difference.high < 0:
        return change
    return _too_small(change, f"of {count} images: with others it could be the other way round")


def _of_one_run(change: Change) -> Change:
    """Add to a change of the peak memory how far two runs of one artifact may be apart."""
    one, two = change.first.value or 0.0, change.second.value or 0.0
    apart = chance.memory_mb(one, two)
    change = replace(change, resolution=apart)
    if abs(two - one) > apart:
        return change
    return _too_small(change, f"runs of one artifact may differ by {apart:.1f} MB")


def _too_small(change: Change, why: str) -> Change:
    """Take a change for chance; two equal numbers stay the same."""
    return change if change.word == SAME else replace(change, word=CANNOT_TELL, small=why)


def _noisy(metric: Metric, first: Side, second: Side, found: Estimate) -> Change:
    """Compare what noise touches: only an interval on one side of 1 is a change."""
    interval, difference = found.interval, found.difference
    if interval is not None and difference is not None and metric.name == "energy":
        interval, difference = _with_sensors(interval, difference, first, second)
    doubt = found.missing or found.doubt
    word = CANNOT_TELL
    if doubt is None and interval is not None:
        word = _word(metric, interval.low - 1, interval.high - 1)
    return Change(
        metric=metric,
        first=first.readings[metric.name],
        second=second.readings[metric.name],
        ratio=found.ratio,
        interval=interval,
        difference=difference,
        word=word,
        doubt=doubt,
        of_rounds=found.of_rounds,
    )


def _of_calls(name: str, first: Side, second: Side, ratio: float | None) -> Estimate:
    """Return the change between two runs, as sure as the calls of each make it."""
    missing = _apart(("A", first.no_draws.get(name)), ("B", second.no_draws.get(name)))
    if missing is not None:
        return Estimate(ratio=ratio, missing=missing)
    one, two = first.draws[name], second.draws[name]
    return Estimate(
        ratio=ratio,
        interval=intervals.ratio(one, two),
        difference=intervals.difference(one, two),
        doubt=_apart(("A", _doubt(first)), ("B", _doubt(second))),
    )


def _of_rounds(name: str, first: Side, second: Side, rounds: Rounds) -> Estimate | None:
    """Return the change between the sides of one run in turns; None where calls must do."""
    if "p50" in first.no_draws or "p50" in second.no_draws:
        return None
    found = rounds.estimate(name)
    doubts = (("A", turns.doubt(first.record)), ("B", turns.doubt(second.record)))
    return None if found is None else replace(found, doubt=_apart(*doubts))


def _with_sensors(
    interval: Interval, difference: Interval, first: Side, second: Side
) -> tuple[Interval, Interval]:
    """Widen both intervals by what the sensors may be off."""
    shares = {"first": first.sensor_share, "second": second.sensor_share}
    off = sum(
        side.sensor_share * (side.readings["energy"].value or 0.0) for side in (first, second)
    )
    return (
        intervals.widened(interval, shares),
        Interval(difference.low - off, difference.high + off),
    )


def _word(metric: Metric, low: float, high: float) -> str:
    less, more = _WORDS[metric.dimension.name]
    return more if low > 0 else less if high < 0 else CANNOT_TELL


def _doubt(side: Side) -> str | None:
    """Return a verdict that is not ``measured``, and its first reason."""
    if side.record.level == "measured":
        return None
    return ": ".join([side.record.level, *side.record.reasons[:1]])


def _doubt_of_kind(metric: Metric, first: Side, second: Side) -> str | None:
    """Return why two values without an interval cannot be compared; None: they can."""
    if metric.dimension.name == "share":
        return _other_data(first, second)
    return _other_memory(first, second) if metric.name == "device_memory" else None


def _other_memory(first: Side, second: Side) -> str | None:
    """Return why two amounts of device memory are not of one kind, or not of the engine alone."""
    one, two = (side.record.document["memory_mb"].get("device_rule") for side in (first, second))
    if one is None or one != two:
        return f"not of one kind: A is {one or 'not told'}, B is {two or 'not told'}"
    return one if gauges.OTHERS in one else None


def _other_data(first: Side, second: Side) -> str | None:
    """Return why two accuracies are not of the same images; None: they may be."""
    one = first.record.document["accuracy"] or {}
    two = second.record.document["accuracy"] or {}
    for key in _DATA:
        if one.get(key) is not None and two.get(key) is not None and one[key] != two[key]:
            return (
                f"not of the same images: {key} {str(one[key])[:40]!r} and {str(two[key])[:40]!r}"
            )
    return None


def _apart(*told: tuple[str, str | None]) -> str | None:
    """Return what is said of A and of B, once where it is the same; None: nothing."""
    found = [(mark, text) for mark, text in told if text is not None]
    if len(found) == 2 and found[0][1] == found[1][1]:
        return f"A and B: {found[0][1]}"
    return "; ".join(f"{mark}: {text}" for mark, text in found) or None
