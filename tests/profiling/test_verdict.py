from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from edgedeploy import stats
from edgedeploy.profiling.verdict import Conditions, Verdict, judge

CALM = Conditions(settled=True, warm_up_s=0.3, cpus=4, other_cpus=0.05)
STEADY = 1_000_000 + np.arange(1000) % 7 * 1000


def verdict(samples: np.ndarray[tuple[int], np.dtype[np.int64]], around: Conditions) -> Verdict:
    return judge(samples, stats.summarise(samples), around)


def test_steady_calls_on_a_calm_machine_are_measured() -> None:
    assert verdict(STEADY, CALM) == Verdict("measured")


def test_a_single_outlier_does_not_make_a_run_suspect() -> None:
    samples = STEADY.copy()
    samples[500] = 10**9
    assert verdict(samples, CALM).level == "measured"


def test_what_the_kernel_does_not_tell_is_not_held_against_a_run() -> None:
    assert verdict(STEADY, replace(CALM, other_cpus=None)).level == "measured"


@pytest.mark.parametrize(
    ("samples", "around", "words"),
    [
        (STEADY, replace(CALM, settled=False, warm_up_s=10.0), "did not settle within 10.0 s"),
        (STEADY[:63], CALM, "only 63 samples, 64 are the fewest"),
        (np.linspace(1e6, 1.3e6, 999).astype(np.int64), CALM, r"drift of \+19%"),
        (np.linspace(1.3e6, 1e6, 999).astype(np.int64), CALM, r"drift of -\d+%"),
        (
            np.where(np.arange(1000) % 2 == 0, 1_000_000, 1_500_000),
            CALM,
            "unsteady: the middle half of the calls spans 50% of the median",
        ),
        (STEADY, replace(CALM, other_cpus=1.04), "other processes kept 1.0 of 4 CPUs busy"),
    ],
)
def test_a_doubtful_run_is_suspect_and_says_why(
    samples: np.ndarray[tuple[int], np.dtype[np.int64]], around: Conditions, words: str
) -> None:
    found = verdict(samples, around)
    assert found.level == "suspect"
    assert any(re.search(words, reason) for reason in found.reasons)


def test_a_median_that_is_hardly_known_is_suspect() -> None:
    samples = np.random.default_rng(0).integers(1_000_000, 2_000_000, 64)
    assert any("the median is known to ±" in reason for reason in verdict(samples, CALM).reasons)


def test_a_big_machine_may_have_more_background_work() -> None:
    assert verdict(STEADY, replace(CALM, cpus=64, other_cpus=1.0)).level == "measured"


@pytest.mark.parametrize(
    ("samples", "words"), [([5], "1 sample: that is no distribution"), ([0, 5], "no time pass")]
)
def test_a_run_that_says_nothing_is_invalid(samples: list[int], words: str) -> None:
    found = verdict(np.array(samples), CALM)
    assert found.level == "invalid"
    assert words in found.reasons[0]
