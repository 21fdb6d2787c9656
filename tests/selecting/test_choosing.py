from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.errors import UsageError
from edgedeploy.metrics import Reading
from edgedeploy.selecting import choosing, constraints, pareto, showing
from edgedeploy.selecting.candidates import Candidate
from tests.selecting.variants import among, variant

if TYPE_CHECKING:
    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.selecting.choosing import Choice

AXES = ("top1", "p99", "energy", "peak_rss")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("profiles"))


@pytest.fixture(scope="module")
def record(folder: Path) -> ProfileRecord:
    return variant(folder, "a")


def choose(
    *records: ProfileRecord, prefer: str = "accuracy", suspects: bool = False, **limits: str
) -> Choice:
    return choosing.choose(
        among(*records), constraints.parse(limits), prefer=prefer, suspects=suspects
    )


def chosen(choice: Choice) -> str | None:
    return None if choice.chosen is None else choice.chosen.record.model


def fell(choice: Choice) -> dict[str, list[str]]:
    return {
        fate.candidate.record.model: showing.reasons(fate)
        for fate in choice.fates
        if fate.candidate is not choice.chosen
    }


def test_the_most_accurate_that_keeps_to_every_limit_is_chosen(folder: Path) -> None:
    choice = choose(
        variant(folder, "large", top1=0.9, p99=12.0),
        variant(folder, "medium", top1=0.8, p99=9.0),
        variant(folder, "small", top1=0.7, p99=3.0),
        max_p99="10ms",
    )
    assert chosen(choice) == "medium"
    assert fell(choice) == {
        "large": ["p99 12.00 ms, asked for --max-p99 10ms"],
        "small": ["top-1 70.00 %, the chosen one has 80.00 %"],
    }


def test_equal_accuracy_is_decided_by_latency_and_then_by_name(folder: Path) -> None:
    slow, fast = variant(folder, "a", top1=0.8, p99=2.0), variant(folder, "b", top1=0.8, p99=1.0)
    choice = choose(slow, fast)
    assert chosen(choice) == "b"
    assert fell(choice) == {"a": ["p99 2.000 ms, the chosen one has 1.000 ms"]}
    twin = choose(slow, variant(folder, "c", top1=0.8, p99=2.0))
    assert fell(twin) == {"c": ["equal in everything, behind by name"]}


@pytest.mark.parametrize(
    ("prefer", "wins"),
    [("accuracy", "exact"), ("latency", "fast"), ("energy", "frugal"), ("size", "tiny")],
)
def test_what_is_preferred_decides(folder: Path, prefer: str, wins: str) -> None:
    one = {"top1": 0.7, "p99": 5.0, "energy": 5.0, "artifact__size_bytes": 5_000_000}
    made: list[dict[str, Any]] = [
        one | {"top1": 0.8},
        one | {"p99": 1.0},
        one | {"energy": 1.0},
        one | {"artifact__size_bytes": 1_000},
    ]
    names = ("exact", "fast", "frugal", "tiny")
    records = [variant(folder, name, **values) for name, values in zip(names, made, strict=True)]
    assert chosen(choose(*records, prefer=prefer)) == wins


def test_what_was_not_measured_keeps_to_no_limit_and_says_so(folder: Path) -> None:
    known = variant(folder, "known", energy=30.0)
    choice = choose(known, variant(folder, "unknown"), max_energy="20mJ")
    assert chosen(choice) is None
    assert fell(choice)["unknown"] == [
        "energy not measured (no sensor measured it: rapl: not here), asked for --max-energy 20mJ"
    ]
    assert choice.nearest is not None
    assert choice.nearest.candidate.record.model == "known"
    assert "might do: unknown ort fp32, once measured: energy" in list(showing.notes(choice))
    listed = showing.document(choice, exit_code=1)["candidates"]
    assert [one["violations"][0]["value"] for one in listed] == [30.0, None]


def test_why_a_value_is_absent_is_said_once_for_all(folder: Path) -> None:
    reason = "no sensor measured it: rapl: not here"
    both = choose(variant(folder, "a"), variant(folder, "b"), max_energy="20mJ")
    told = "\n".join(showing.notes(both))
    assert told.count(reason) == 1
    assert f"not measured: energy: {reason}" in told
    assert "fell: a ort fp32: energy not measured, asked for --max-energy 20mJ" in told
    one = choose(variant(folder, "a", energy=5.0), variant(folder, "b"), max_energy="20mJ")
    assert f"not measured: energy of b ort fp32: {reason}" in list(showing.notes(one))


def test_where_all_are_suspect_no_limit_is_blamed_and_one_latency_is_named(folder: Path) -> None:
    choice = choose(variant(folder, "a", level="suspect", p99=None, latency_ms__p90=1.0))
    told = list(showing.notes(choice))
    assert "none may be chosen: each is suspect or invalid" in told
    assert not any("keeps to every limit" in line for line in told)
    assert "p99" not in told[0]
    assert f"of top-1, {choice.latency}, energy" in told[0]


@pytest.mark.parametrize("count", [1000, 10**7])
def test_a_top1_that_is_highest_by_chance_is_said_to_be(folder: Path, count: int) -> None:
    records = [
        variant(folder, name, accuracy={"top1": top1, "count": count})
        for name, top1 in {"a": 0.777, "b": 0.778, "c": 0.5}.items()
    ]
    choice = choose(*records)
    assert chosen(choice) == "b"
    told = (
        "the highest top-1 is that of b ort fp32, of 1000 images: "
        "with others it could be that of a ort fp32"
    )
    assert choice.notes == ((told,) if count == 1000 else ())


def test_what_counts_most_and_is_not_known_loses_and_that_is_said(folder: Path) -> None:
    known, unknown = variant(folder, "known", top1=0.5), variant(folder, "unknown", p99=0.1)
    choice = choose(known, unknown)
    assert chosen(choice) == "known"
    assert fell(choice) == {"unknown": ["top-1 not measured, the chosen one has 50.00 %"]}
    assert choice.notes == ("top-1 not measured, so ranked last: unknown ort fp32",)


def test_a_suspect_is_chosen_only_if_allowed_and_an_invalid_one_never(folder: Path) -> None:
    records = [
        variant(folder, "sure", top1=0.7),
        variant(folder, "doubtful", top1=0.8, level="suspect"),
        variant(folder, "broken", top1=0.9, level="invalid"),
    ]
    choice = choose(*records)
    assert chosen(choice) == "sure"
    assert fell(choice) == {
        "doubtful": ["suspect: CPU throttled"],
        "broken": ["invalid: CPU throttled"],
    }
    assert [fate.on_front for fate in choice.fates] == [False, False, True]
    assert chosen(choose(*records, suspects=True)) == "doubtful"
    none = choose(*records[1:])
    assert (none.chosen, none.nearest) == (None, None)
    told = list(showing.notes(none))
    assert (
        "would do: doubtful ort fp32, but it is suspect: measure it again, or --allow suspect"
        in told
    )
    assert "would do: broken ort fp32, but it is invalid: measure it again" in told


def test_where_one_has_no_p99_all_are_compared_by_p90_and_it_is_said(folder: Path) -> None:
    reasons = {"latency_ms.p99": "fewer than 662 samples"}
    choice = choose(
        variant(folder, "a", p99=0.5, latency_ms__p90=2.0),
        variant(folder, "b", p99=None, latency_ms__p90=1.0, reasons=reasons),
        prefer="latency",
    )
    assert (chosen(choice), choice.latency, choice.axes[1]) == ("b", "p90", "p90")
    assert choice.notes == ("compared by p90: b ort fp32 has no p99 (fewer than 662 samples)",)
    assert chosen(choose(*[one.candidate.record for one in choice.fates], max_p99="1ms")) == "a"


def test_the_nearest_is_the_one_whose_limits_have_to_give_least(folder: Path) -> None:
    choice = choose(
        variant(folder, "slow", top1=0.8, p99=15.0),
        variant(folder, "weak", top1=0.57, p99=9.0),
        variant(folder, "both", top1=0.58, p99=10.4),
        max_p99="10ms",
        min_top1="0.60",
    )
    assert choice.chosen is None
    assert choice.nearest is not None
    assert choice.nearest.candidate.record.model == "both"
    told = list(showing.notes(choice))
    assert (
        "nearest: both ort fp32, with --max-p99 10.40ms (+4 %), --min-top1 0.5800 (-3.33 %)" in told
    )
    document = showing.document(choice, exit_code=1)
    assert [one["try"] for one in document["nearest"]["gives"]] == [
        "--max-p99 10.40ms",
        "--min-top1 0.5800",
    ]


def test_accuracies_of_different_images_are_named(folder: Path) -> None:
    choice = choose(
        variant(folder, "a", top1=0.8, accuracy__data="CIFAR-10 test"),
        variant(folder, "b", top1=0.7, accuracy__data="ImageNet"),
    )
    assert choice.notes == ("accuracy is of different images: CIFAR-10 test, ImageNet",)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="--max-p99 is '0ms': nothing can keep to that"):
        constraints.parse({"max_p99": "0ms"})


def test_the_table_marks_the_chosen_one_the_front_and_what_is_doubtful(folder: Path) -> None:
    choice = choose(
        variant(folder, "a", top1=0.9),
        variant(folder, "b", top1=0.8, level="suspect"),
        variant(folder, "c", top1=0.8, rss=100.0),
        variant(folder, "d", top1=0.7, rss=10.0),
        min_top1="60%",
        min_fps="1",
    )
    found = showing.table(choice)
    assert found.titles == (
        "", "variant", "p99", "top-1", "images/s", "energy", "peak RSS", "size"
    )  # fmt: skip
    assert [row[0] for row in found.rows] == [">*", "  ?", "", " *"]
    assert found.rows[0][2:4] == ("1.000 ms", "90.00 %")
    assert found.rows[0][5] is None


VALUES = st.one_of(st.none(), st.integers(1, 6).map(float))


def made(record: ProfileRecord, rows: list[tuple[float | None, ...]]) -> tuple[Candidate, ...]:
    """Candidates with the values of ``AXES``, top-1 in sixths."""
    found = []
    for number, (top1, *rest) in enumerate(rows):
        values = dict(zip(AXES, (None if top1 is None else top1 / 6, *rest), strict=True))
        readings = {
            name: Reading(value, None if value is not None else "no sensor")
            for name, value in (values | dict.fromkeys(("p50", "p90", "size"), 1.0)).items()
        }
        found.append(Candidate(f"v{number}", record, readings))
    return tuple(found)


ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES), min_size=1, max_size=8)


@given(rows=ROWS)
def test_no_member_of_the_front_is_dominated_and_every_other_variant_is(
    record: ProfileRecord, rows: list[tuple[float | None, ...]]
) -> None:
    everything = made(record, rows)
    front = pareto.front(everything, AXES)
    assert front

    def dominates(one: Candidate, other: Candidate) -> bool:
        pairs = [(pareto.cost(one, axis), pareto.cost(other, axis)) for axis in AXES]
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    for one in everything:
        beaten = any(dominates(other, one) for other in front)
        assert beaten == (one not in front)


@given(
    rows=ROWS, limits=st.tuples(*[st.integers(1, 6)] * 3), gives=st.tuples(*[st.integers(0, 5)] * 3)
)
def test_a_limit_that_gives_never_loses_what_was_possible(
    record: ProfileRecord,
    rows: list[tuple[float | None, ...]],
    limits: tuple[int, ...],
    gives: tuple[int, ...],
) -> None:
    def parsed(p99: int, energy: int, top1: int) -> tuple[constraints.Constraint, ...]:
        texts = {"max_p99": f"{p99}ms", "max_energy": f"{energy}mJ", "min_top1": str(top1 / 6)}
        return constraints.parse(texts)

    everything = made(record, rows)
    strict = choosing.choose(everything, parsed(*limits))
    relaxed = (limits[0] + gives[0], limits[1] + gives[1], max(limits[2] - gives[2], 0))
    loose = choosing.choose(everything, parsed(*relaxed))
    kept = {fate.candidate.name for fate in strict.fates if not fate.violations}
    assert kept <= {fate.candidate.name for fate in loose.fates if not fate.violations}
    assert strict.chosen is None or loose.chosen is not None


@given(rows=ROWS, limits=st.tuples(*[st.integers(1, 6)] * 3))
def test_what_is_said_to_have_to_give_makes_the_nearest_possible(
    record: ProfileRecord, rows: list[tuple[float | None, ...]], limits: tuple[int, ...]
) -> None:
    texts = {
        "max_p99": f"{limits[0]}ms",
        "max_energy": f"{limits[1]}mJ",
        "min_top1": str(limits[2] / 6),
    }
    everything = made(record, rows)
    choice = choosing.choose(everything, constraints.parse(texts))
    if choice.nearest is None:
        return
    for one in choice.nearest.gives:
        option, text = shlex.split(one.keeping)
        texts[option.removeprefix("--").replace("-", "_")] = text
    again = choosing.choose(everything, constraints.parse(texts))
    assert choice.nearest.candidate.name in {
        fate.candidate.name for fate in again.fates if not fate.violations
    }


def test_device_memory_has_a_limit_and_kinds_of_it_are_named(folder: Path) -> None:
    own, change = "what this process holds (NVML)", "the change of the board's RAM"
    large = variant(folder, "a", top1=0.9, memory_mb__device=400.0, memory_mb__device_rule=own)
    small = variant(folder, "b", top1=0.8, memory_mb__device=150.0, memory_mb__device_rule=change)
    older = variant(folder, "c", top1=0.95)
    choice = choose(large, small, older, max_device_memory="200MB")
    assert chosen(choice) == "b"
    assert fell(choice)["a"] == ["device memory 400.0 MB, asked for --max-device-memory 200MB"]
    assert fell(choice)["c"][0].startswith("device memory not measured (it runs on the CPU)")
    both = choose(large, small)
    assert both.notes == (f"device memory is not of one kind: {change}, or {own}",)
