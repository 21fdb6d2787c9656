from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("peers.scores")


@pytest.fixture
def duel(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("peers.duel")


@pytest.mark.parametrize(("gained", "lost", "count"), [(12, 2, 50), (1, 7, 21), (3, 9, 300)])
def test_a_score_statistic_is_critical_at_both_ends_of_the_paired_interval(
    scores: Any, gained: int, lost: int, count: int
) -> None:
    # the share lost is that of the greatest likelihood, searched instead of solved for
    for end in scores.paired_interval(gained, lost, count):
        share = np.linspace(max(0.0, -end), (1 - end) / 2, 200_001)[1:-1]
        likelihood = (
            gained * np.log(share + end)
            + lost * np.log(share)
            + (count - gained - lost) * np.log(1 - 2 * share - end)
        )
        best = share[likelihood.argmax()]
        statistic = (gained - lost - count * end) / np.sqrt(count * (2 * best + end - end**2))
        assert abs(statistic) == pytest.approx(1.96, abs=0.001)


def test_the_paired_interval_turns_with_its_sides(scores: Any) -> None:
    low, high = scores.paired_interval(3, 9, 300)
    turned = scores.paired_interval(9, 3, 300)
    assert turned == pytest.approx((-high, -low))


def test_no_change_in_few_pictures_is_no_proof_of_none(scores: Any) -> None:
    low, high = scores.paired_interval(0, 0, 300)
    assert low == pytest.approx(-high)
    assert 0.01 < high < 0.015


def test_a_score_counts_agreement_and_change_apart(scores: Any) -> None:
    found = scores.score(
        "net",
        "ours",
        np.array([1, 2, 3, 9]),
        np.array([1, 2, 4, 8]),
        np.array([1, 7, 3, 7]),
        seconds=1.0,
    )
    assert (found.agreement, found.top1, found.change) == (0.5, 0.5, 25.0)


def test_a_contender_that_is_missing_says_so_in_the_table(scores: Any) -> None:
    found = scores.Score(model="net", contender="NNCF", problem="nncf is not installed")
    assert (
        scores.table([found]).splitlines()[-1] == "| NNCF | not measured: nncf is not installed |"
    )


def test_a_duel_sees_who_is_faster(duel: Any) -> None:
    now = [0]

    def takes(duration_ns: int) -> Any:
        def call() -> None:
            now[0] += duration_ns

        return call

    found = duel.fight(
        takes(1_000_000), takes(2_000_000), rounds=5, round_s=0.01, clock_ns=lambda: now[0]
    )
    assert (found.ours_ms, found.theirs_ms, found.ratio) == (1.0, 2.0, 0.5)
    assert found.ratio_ci95 == (0.5, 0.5)


def test_a_duel_cancels_what_slows_both(duel: Any) -> None:
    now, factor = [0], [1]

    def takes(duration_ns: int) -> Any:
        def call() -> None:
            now[0] += duration_ns * factor[0]

        return call

    def slower() -> int:
        factor[0] = 1 + now[0] // 100_000_000  # another step every 0.1 s
        return now[0]

    found = duel.fight(takes(1_000_000), takes(2_000_000), rounds=9, round_s=0.01, clock_ns=slower)
    assert found.ratio == pytest.approx(0.5, rel=0.1)
    assert found.ours_ms > 1.0
