from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.comparing import gates
from edgedeploy.comparing.sides import COMPARED
from edgedeploy.errors import UsageError
from tests.comparing.measured import latencies
from tests.comparing.test_changes import compared

if TYPE_CHECKING:
    from pathlib import Path


def state(
    folder: Path, gate: str, second: dict[str, Any], first: dict[str, Any] | None = None
) -> str:
    (outcome,) = gates.judge(compared(folder, second, first), [gates.parse(gate)])
    return outcome.state


@pytest.mark.parametrize(
    ("text", "name", "above", "amount", "relative"),
    [
        ("p99 > +5%", "p99", True, 0.05, True),
        (" p50>+0.2ms ", "p50", True, 0.2, False),
        ("mean < -1.5 %", "mean", False, -0.015, True),
        ("energy > +2mJ", "energy", True, 2.0, False),
        ("size > 0MB", "size", True, 0.0, False),
        ("peak_rss > +10MB", "peak_rss", True, 10.0, False),
        ("int8_layers < -2", "int8_layers", False, -2.0, False),
        ("multiply_adds > 0", "multiply_adds", True, 0.0, False),
        ("parameters > +1.5%", "parameters", True, 0.015, True),
        ("multiply_adds > +20M", "multiply_adds", True, 20.0, False),
        ("p99 > 0", "p99", True, 0.0, False),
        ("top1 < -0.5points", "top1", False, -0.005, False),
        ("agreement < 0points", "agreement", False, 0.0, False),
    ],
)
def test_a_gate_is_a_metric_an_operator_and_a_change(
    text: str, name: str, *, above: bool, amount: float, relative: bool
) -> None:
    gate = gates.parse(text)
    assert (gate.metric.name, gate.above, gate.is_relative) == (name, above, relative)
    assert gate.amount == pytest.approx(amount)
    assert gate.text == text.strip()


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        ("p99", "is no condition on a change", "'p99 > +5%'"),
        ("p99 >= +5%", "is no condition", "'p99 > +5%'"),
        ("p99 > +5% and more", "is no condition", "'p99 > +5%'"),
        ("p99 > +nan%", "is no condition", "'p99 > +5%'"),
        ("p98 > +5%", "no metric of compare is called 'p98'", "did you mean"),
        ("p99.9 > +5%", "no metric of compare is called 'p99.9'", "did you mean 'p99'"),
        ("fps < -5%", "no metric of compare is called 'fps'", "use one of"),
        ("p99 > 5%", "has no sign", "p99 > +5% or -5%"),
        ("p99 > +5", "has no unit; a change of p99 is in % or ms", "'p99 > +5%'"),
        ("p99 > +5mJ", "has the unit 'mJ'", "'p99 > +5%'"),
        ("top1 < -1%", "a change of top1 is in points", "'top1 < -0.5points'"),
        ("int8_layers < -5%", "is in no unit", "'int8_layers < -2'"),
    ],
)
def test_what_is_no_gate_is_refused_with_one_that_is(text: str, problem: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        gates.parse(text)
    assert problem in caught.value.problem
    assert fix in caught.value.fix


@given(text=st.text(max_size=30))
def test_any_text_is_a_gate_or_an_error_of_ours(text: str) -> None:
    try:
        gate = gates.parse(text)
    except UsageError:
        return
    assert gate.metric.name in COMPARED


def test_worse_not_worse_and_cannot_tell_by_where_the_interval_lies(tmp_path: Path) -> None:
    more = {"ns": latencies(scale=1.1, seed=1)}
    assert state(tmp_path, "p99 > +5%", more) == "failed"
    assert state(tmp_path, "p99 > +20%", more) == "passed"
    assert state(tmp_path, "p99 > +10%", more) == "cannot tell"
    assert state(tmp_path, "p99 > +0.05ms", more) == "failed"
    assert state(tmp_path, "p99 > +0.2ms", more) == "passed"
    assert state(tmp_path, "p50 > +5%", {}, more) == "passed"
    assert state(tmp_path, "p50 < -5%", {}, more) == "failed"


def test_a_change_that_may_be_none_is_still_not_five_percent(tmp_path: Path) -> None:
    assert state(tmp_path, "p50 > +5%", {"ns": latencies(seed=1)}) == "passed"


def test_a_doubtful_measurement_passes_and_fails_nothing_but_what_no_noise_touches(
    tmp_path: Path,
) -> None:
    busy = {"verdict": {"level": "suspect", "reasons": ["busy"]}, "ns": latencies(scale=3)}
    comparison = compared(tmp_path, busy)
    outcomes = gates.judge(comparison, [gates.parse("p50 > +5%"), gates.parse("size > +5%")])
    assert [(one.state, one.reason) for one in outcomes] == [
        ("cannot tell", "B: suspect: busy"),
        ("passed", "+0 %"),
    ]


def test_a_limit_that_is_met_exactly_is_kept_to(tmp_path: Path) -> None:
    before = {"accuracy": {"top1": 0.875}, "artifact__runs": {"int8": 27}}
    after = {"accuracy": {"top1": 0.870}, "artifact__runs": {"int8": 25}}
    assert state(tmp_path, "top1 < -0.5points", after, before) == "passed"
    assert state(tmp_path, "top1 < -0.4points", after, before) == "failed"
    assert state(tmp_path, "int8_layers < -2", after, before) == "passed"
    assert state(tmp_path, "int8_layers < -1", after, before) == "failed"


def test_a_peak_that_moved_by_less_than_two_runs_do_fails_no_gate(tmp_path: Path) -> None:
    before, after = {"memory_mb__peak_rss": 73.76}, {"memory_mb__peak_rss": 73.88}
    assert state(tmp_path, "peak_rss > 0", after, before) == "cannot tell"
    assert state(tmp_path, "peak_rss > +5%", after, before) == "passed"
    assert state(tmp_path, "peak_rss > +5MB", {"memory_mb__peak_rss": 80.0}, before) == "failed"


def test_work_is_counted_to_the_last_multiply_add(tmp_path: Path) -> None:
    before = {"cost": {"multiply_adds": 568_740_352, "parameters": 4_231_976}}
    after = {"cost": {"multiply_adds": 568_740_353, "parameters": 4_231_976}}
    assert state(tmp_path, "multiply_adds > 0", after, before) == "failed"
    assert state(tmp_path, "multiply_adds > 0", before, before) == "passed"
    assert state(tmp_path, "multiply_adds > 0", before, after) == "passed"
    assert state(tmp_path, "multiply_adds > +1%", after, before) == "passed"
    assert state(tmp_path, "parameters > 0", after, before) == "passed"
    busy = {"verdict": {"level": "suspect", "reasons": ["busy"]}}
    assert state(tmp_path, "multiply_adds > 0", after | busy, before) == "failed"


def test_work_of_a_profile_from_before_it_was_counted_cannot_be_told(tmp_path: Path) -> None:
    known = {"cost": {"multiply_adds": 1, "parameters": 1}}
    (outcome,) = gates.judge(compared(tmp_path, known, {}), [gates.parse("multiply_adds > 0")])
    assert (outcome.state, outcome.reason) == ("cannot tell", "A: not in the profile")


def test_a_share_of_nothing_cannot_be_told(tmp_path: Path) -> None:
    outcome = gates.judge(
        compared(tmp_path, {}, {"artifact__size_bytes": 0}), [gates.parse("size > +5%")]
    )
    assert (outcome[0].state, outcome[0].reason) == (
        "cannot tell",
        "the first value is 0, so there is no ratio",
    )


def test_what_was_not_evaluated_cannot_be_told(tmp_path: Path) -> None:
    outcomes = gates.judge(compared(tmp_path, {}), [gates.parse("top1 < 0points")])
    assert (outcomes[0].state, outcomes[0].reason[:24]) == (
        "cannot tell",
        "A and B: not evaluated: ",
    )
