from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy import stats
from edgedeploy.comparing import changes, intervals, showing
from edgedeploy.comparing.pairing import direct
from edgedeploy.comparing.results import compare_all
from edgedeploy.comparing.sides import side
from edgedeploy.profiling import pooling
from tests.profiling import documents
from tests.profiling.turned import CALLS, in_turns

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.comparing.changes import Change, Comparison
    from edgedeploy.profiling.records import ProfileRecord


def compared(first: ProfileRecord, second: ProfileRecord) -> Comparison:
    return changes.compare(side(first, label="a"), side(second, label="b"), name="it")


def change(comparison: Comparison, name: str) -> Change:
    return next(one for one in comparison.changes if one.metric.name == name)


def test_a_drift_of_a_fifth_leaves_two_equal_sides_equal(tmp_path: Path) -> None:
    first, second = in_turns(tmp_path, drift=0.2)
    found = compared(first, second)
    assert first.document["rounds"][9]["p50"] > 1.17 * first.document["rounds"][0]["p50"]
    assert found.rounds == 10
    for name in ("p50", "mean", "p99"):
        one = change(found, name)
        assert one.ratio == pytest.approx(1, abs=0.02)
        assert one.interval is not None
        assert 0.95 < one.interval.low < 1 < one.interval.high < 1.05
        assert (one.word, one.reason) == ("cannot tell", "the interval holds 1")


def test_the_same_two_sides_measured_one_after_the_other_would_differ(tmp_path: Path) -> None:
    """So it is the turns that cancel the drift, and not the interval that is wide."""
    first, _ = in_turns(tmp_path, drift=0.2)
    half = len(first.document["rounds"]) // 2 * CALLS
    early, late = (
        documents.record(tmp_path / "a", result=documents.raw_result(ns.tolist()))
        for ns in (first.samples_ns()[:half], first.samples_ns()[half:])
    )
    assert change(compared(early, late), "p50").word == "slower"


def test_a_difference_smaller_than_the_drift_is_found_by_its_size(tmp_path: Path) -> None:
    found = compared(*in_turns(tmp_path, drift=0.2, times_ms=(1.0, 1.04)))
    for name in ("p50", "mean", "p90"):
        one = change(found, name)
        assert (one.word, one.doubt) == ("slower", None)
        assert one.interval is not None
        assert 1 < one.interval.low < 1.04 < one.interval.high
    difference = change(found, "p50").difference
    assert difference is not None
    assert difference.low < 0.044 < difference.high


def test_b_against_a_is_exactly_the_inverse(tmp_path: Path) -> None:
    first, second = in_turns(tmp_path, times_ms=(1.0, 1.1))
    forth, back = compared(first, second), compared(second, first)
    for name in ("p50", "mean", "p95"):
        one, two = change(forth, name).interval, change(back, name).interval
        assert one is not None
        assert two is not None
        assert (1 / two.high, 1 / two.low) == pytest.approx((one.low, one.high))


def test_what_differs_from_process_to_process_widens_the_interval(tmp_path: Path) -> None:
    narrow, wide = (
        change(compared(*in_turns(tmp_path / str(between), between=between)), "p50").interval
        for between in (0.002, 0.02)
    )
    assert narrow is not None
    assert wide is not None
    assert wide.high - wide.low > 4 * (narrow.high - narrow.low)


def test_too_few_rounds_show_the_change_and_cannot_tell(tmp_path: Path) -> None:
    found = compared(*in_turns(tmp_path, 5, times_ms=(1.0, 2.0)))
    for name in ("p50", "p90"):
        one = change(found, name)
        assert one.ratio == pytest.approx(2, rel=0.02)
        assert one.interval is None
        assert one.difference is None
        reason = "5 rounds, 6 are needed for an interval"
        assert (one.word, one.reason) == ("cannot tell", reason)


def test_a_tail_needs_the_samples_that_it_needs_anywhere(tmp_path: Path) -> None:
    p99 = change(compared(*in_turns(tmp_path, 6)), "p99")
    assert (p99.word, p99.ratio) == ("cannot tell", None)
    assert p99.reason == f"A and B: {6 * CALLS} samples, 662 are needed"


@pytest.mark.parametrize(("disturbed", "told"), [({3}, None), ({3, 4}, "rounds 3-4")])
def test_more_than_a_quarter_of_disturbed_rounds_make_it_one_that_cannot_be_told(
    tmp_path: Path, disturbed: set[int], told: str | None
) -> None:
    def result(turn: Any) -> dict[str, Any]:
        busy = {"cpus": 2, "other_cpus": 1.5}
        return {"conditions": busy} if turn.side == "B" and turn.number in disturbed else {}

    sides = in_turns(tmp_path, 6, times_ms=(1.0, 2.0), result=result)
    p50 = change(compared(*sides), "p50")
    assert p50.interval is not None
    assert sides[1].level == "suspect"
    assert sides[1].reasons[0].startswith("round")
    if told is None:
        assert (p50.word, p50.doubt) == ("slower", None)
    else:
        busy = "other processes kept 1.5 of 2 CPUs busy"
        assert (p50.word, p50.reason) == ("cannot tell", f"B: suspect: {told}: {busy}")


def metered(turn: Any) -> dict[str, Any]:
    """A counter that sees B take 10 % more, and all of it more from round to round."""
    joules = (1.0 if turn.side == "A" else 1.1) * (1 + 0.1 * turn.number)
    seen = {
        "source": "rapl", "joules": joules, "window_ns": 10**9, "rails_w": {}, "rule": "package-0",
        "idle_w": None, "idle_reason": "no", "samples": 2, "uncertainty_pct": 0.5, "trace": None,
    }  # fmt: skip
    return {"energy": seen, "energy_reason": None}


def test_energy_is_compared_round_by_round_without_a_trace(tmp_path: Path) -> None:
    energy = change(compared(*in_turns(tmp_path, 6, result=metered)), "energy")
    assert energy.ratio == pytest.approx(1.1)
    assert energy.interval is not None
    low, high = 1.1 * 0.995 / 1.005, 1.1 * 1.005 / 0.995  # what the sensor may be off
    assert (energy.interval.low, energy.interval.high) == pytest.approx((low, high))
    assert energy.word == "more"


def test_records_of_two_runs_or_of_one_side_are_compared_by_their_calls(tmp_path: Path) -> None:
    first, second = in_turns(tmp_path, 2)
    _, other = in_turns(tmp_path, 2, name="another run")
    assert compared(first, second).rounds == 2
    assert compared(first, other).rounds is None
    assert compared(first, first).rounds is None
    shorter = in_turns(tmp_path, 3)[1]
    assert compared(first, shorter).rounds is None
    bare = replace(second, document={k: v for k, v in second.document.items() if k != "ab"})
    assert compared(first, bare).rounds is None


def test_what_is_shown_says_that_the_rounds_count_and_names_an_a_a_test(tmp_path: Path) -> None:
    first, second = in_turns(tmp_path, 6)
    found = compare_all(direct(first, second), [], labels=("a", "b"), lonely_counts=True)
    lines = list(showing.lines(found))
    assert lines[3] == "  in 6 rounds of both: the intervals are between rounds"
    assert lines[4].startswith("  A/A: one artifact on both sides")
    rows = [line for line in lines if line.startswith(("  p50 ", "  p99 "))]
    assert ["%*" in line for line in rows] == [True, False]  # the p99 is of all samples
    assert any("* mean of the rounds' ratios" in line for line in lines)
    assert "- in 6 rounds of both" in showing.markdown(found)
    (one,) = showing.document(found, exit_code=0)["comparisons"]
    assert one["rounds"] == 6


def test_a_round_of_one_call_is_a_unit_too(tmp_path: Path) -> None:
    rounds = [documents.record(tmp_path / "a", result=documents.raw_result([10**6]))] * 6
    both = [
        pooling.pool(rounds, options={}, ab={"id": "x", "side": letter}) for letter in ("A", "B")
    ]
    assert (
        change(compared(*both), "p50").reason
        == "A and B: invalid: rounds 1-6: 1 sample: that is no distribution"
    )


def test_a_tail_of_rounds_is_that_of_all_samples_of_those_that_are_drawn() -> None:
    random = np.random.default_rng(0)
    rounds = [random.integers(1, 500, size=count).astype(float) for count in (40, 70, 55)]
    drawn = random.multinomial(3, [1 / 3] * 3, size=200)
    found = intervals._percentiles(rounds, 0.9, drawn)
    for weights, value in zip(drawn, found, strict=True):
        samples = np.concatenate([np.tile(one, n) for one, n in zip(rounds, weights, strict=True)])
        assert value == stats.percentile(samples, 0.9)


def test_the_quantile_of_student_is_that_of_the_tables() -> None:
    for freedom, quantile in {5: 2.571, 9: 2.262, 19: 2.093, 99: 1.984}.items():
        assert intervals._student(freedom) == pytest.approx(quantile, abs=0.001)


def coverage(rounds: int, name: str, runs: int, drift: float) -> float:
    """How many of ``runs`` intervals hold the truth, where processes differ by 1 %."""
    random = np.random.default_rng([rounds, runs])
    held = 0
    for _ in range(runs):
        one, two = pair(random, rounds, drift)
        if name == "p50":
            found = intervals.paired(np.median(one, axis=1), np.median(two, axis=1)).interval
        else:
            found = intervals.tails(tuple(one), tuple(two), intervals.SHARES[name]).interval
        assert found is not None
        held += found.low <= 1.02 <= found.high
    return held / runs


def pair(
    random: np.random.Generator, rounds: int, drift: float, calls: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Latencies of both sides, ``(rounds, calls)``; B takes 2 % longer."""
    speeds = np.linspace(1, 1 + drift, 2 * rounds).reshape(rounds, 2)
    speeds[1::2] = speeds[1::2, ::-1]
    speeds *= np.exp(random.normal(0, 0.01, (rounds, 2)))
    samples = random.lognormal(0, 0.05, (2, rounds, calls)) * speeds.T[:, :, None]
    return samples[0], 1.02 * samples[1]


@pytest.mark.parametrize("rounds", [6, 10])
def test_intervals_of_rounds_hold_the_truth_as_often_as_they_promise(rounds: int) -> None:
    """The figures in docs/deciding.md are of more runs; of 200 the standard error is 1.5 %."""
    assert 0.91 <= coverage(rounds, "p50", 200, drift=0.0) <= 0.99
    assert coverage(rounds, "p50", 100, drift=0.2) >= 0.93
