from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.comparing import changes, meaning
from edgedeploy.errors import MeasurementError
from edgedeploy.meters import gauges
from edgedeploy.profiling.records import ProfileRecord
from tests.comparing.measured import a_side, latencies, power, profile

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.comparing.changes import Change, Comparison


def compared(
    folder: Path, second: dict[str, Any], first: dict[str, Any] | None = None
) -> Comparison:
    one = a_side(folder, label="old", **(first or {}))
    return changes.compare(one, a_side(folder, label="new", **second), name="it")


def change(comparison: Comparison, name: str) -> Change:
    return next(one for one in comparison.changes if one.metric.name == name)


def test_ten_percent_more_time_is_slower_and_less_is_faster(tmp_path: Path) -> None:
    more = {"ns": latencies(scale=1.1, seed=1)}
    slower = change(compared(tmp_path, more), "p99")
    assert (slower.word, slower.reason) == ("slower", None)
    assert slower.ratio == pytest.approx(1.1, rel=0.02)
    assert slower.interval is not None
    assert slower.ratio is not None
    assert 1 < slower.interval.low < slower.ratio < slower.interval.high
    assert change(compared(tmp_path, {}, more), "p50").word == "faster"


def test_what_may_be_chance_cannot_be_told(tmp_path: Path) -> None:
    found = change(compared(tmp_path, {"ns": latencies(seed=1)}), "p50")
    assert (found.word, found.reason) == ("cannot tell", "the interval holds 1")
    assert found.interval is not None
    same = change(compared(tmp_path, {}), "p50")
    assert (same.word, same.ratio) == ("cannot tell", 1)


@pytest.mark.parametrize("level", ["suspect", "invalid"])
def test_a_measurement_that_is_not_to_be_believed_decides_nothing(
    tmp_path: Path, level: str
) -> None:
    verdict = {"level": level, "reasons": ["CPU throttled", "and more"]}
    found = compared(tmp_path, {"ns": latencies(scale=2), "verdict": verdict})
    p50 = change(found, "p50")
    assert (p50.word, p50.reason) == ("cannot tell", f"B: {level}: CPU throttled")
    assert p50.interval is not None
    assert change(found, "size").word == "same"


def test_a_percentile_with_too_few_samples_cannot_be_told(tmp_path: Path) -> None:
    few = {"ns": latencies(300)}
    found = compared(tmp_path, few)
    assert change(found, "p99").reason == "B: 300 samples, 662 are needed"
    assert change(found, "p99").ratio is None
    assert change(found, "p97").second.value is not None
    both = compared(tmp_path, few, few)
    assert change(both, "p99").reason == "A and B: 300 samples, 662 are needed"


def test_without_samples_the_change_is_shown_and_cannot_be_told(tmp_path: Path) -> None:
    imported = {"source": "trtexec", "samples_ns": None}
    found = change(compared(tmp_path, imported, imported), "p50")
    assert found.ratio == 1
    assert found.interval is None
    assert (found.word, found.reason) == ("cannot tell", "A and B: trtexec left no samples")


def test_energy_needs_the_trace_of_the_power(tmp_path: Path) -> None:
    bare = {"energy_mj_per_inference": 5.0, "power": {"mean_w": 5.0}, "power_reason": None}
    found = change(compared(tmp_path, bare, bare), "energy")
    assert (found.word, found.ratio) == ("cannot tell", 1)
    assert "no power trace" in str(found.reason)
    short = bare | {"power": power([5000.0] * 9)}
    assert "9 readings" in str(change(compared(tmp_path, bare, short), "energy").reason)


def test_a_fifth_less_energy_is_less_unless_the_sensors_are_too_coarse(tmp_path: Path) -> None:
    def spent(millijoule: float, percent: float | None) -> dict[str, Any]:
        trace = power([990.0 * millijoule, 1010.0 * millijoule] * 20, uncertainty_pct=percent)
        return {"energy_mj_per_inference": millijoule, "power": trace, "power_reason": None}

    sure = change(compared(tmp_path, spent(4.0, 1.0), spent(5.0, None)), "energy")
    assert sure.word == "less"
    assert sure.ratio == pytest.approx(0.8)
    coarse = change(compared(tmp_path, spent(4.0, 15.0), spent(5.0, 15.0)), "energy")
    assert coarse.word == "cannot tell"
    assert coarse.difference is not None
    assert coarse.difference.high > 0
    broken = change(compared(tmp_path, spent(4.0, 100.0), spent(5.0, 1.0)), "energy")
    assert "uncertainty" in str(broken.reason)


def test_what_no_noise_touches_is_compared_as_it_is(tmp_path: Path) -> None:
    before = {
        "artifact__runs": {"int8": 27, "float32": 1},
        "accuracy": {"top1": 0.8765, "count": 50000},
    }
    after = {
        "artifact__runs": {"int8": 20, "float32": 8},
        "accuracy": {"top1": 0.8715, "count": 50000},
        "artifact__size_bytes": 1_000_000,
        "cost": {"multiply_adds": 3_000_000, "parameters": None},
        "reasons": {"cost.parameters": "no graph"},
    }
    before["cost"] = {"multiply_adds": 3_200_000, "parameters": 1}
    found = compared(tmp_path, after, before)
    assert change(found, "multiply_adds").word == "less"
    assert change(found, "multiply_adds").ratio == pytest.approx(3 / 3.2)
    assert change(found, "parameters").reason == "B: no graph"
    assert change(found, "int8_layers").word == "fewer"
    assert change(found, "top1").word == "lower"
    assert change(found, "size").word == "larger"
    assert change(found, "agreement").reason == "A and B: not in the profile"
    assert change(found, "peak_rss").word == "same"


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (1000, "of 1000 images: with others it could be the other way round"),
        (None, "of how many images is not in the profile"),
        (100_000, None),
    ],
)
def test_a_higher_top1_is_one_where_the_images_are_enough(
    tmp_path: Path, count: int | None, reason: str | None
) -> None:
    found = compared(
        tmp_path,
        {"accuracy": {"top1": 0.787, "count": count}},
        {"accuracy": {"top1": 0.777, "count": count}},
    )
    assert change(found, "top1").reason == reason
    assert change(found, "top1").word == ("higher" if reason is None else "cannot tell")


@pytest.mark.parametrize(
    ("second", "word"), [(73.76, "cannot tell"), (76.0, "larger"), (73.88, "same")]
)
def test_a_peak_is_no_surer_than_two_runs_of_one_artifact(
    tmp_path: Path, second: float, word: str
) -> None:
    found = compared(tmp_path, {"memory_mb__peak_rss": second}, {"memory_mb__peak_rss": 73.88})
    peak = change(found, "peak_rss")
    assert (peak.word, peak.resolution) == (word, 1.0)
    assert ("may differ by 1.0 MB" in str(peak.reason)) == (word == "cannot tell")


def test_an_engine_without_int8_has_none_and_one_that_does_not_tell_is_not_known(
    tmp_path: Path,
) -> None:
    found = compared(tmp_path, {"artifact__runs": {}}, {"artifact__runs": {"float32": 28}})
    layers = change(found, "int8_layers")
    assert (layers.first.value, layers.second.value) == (0, None)
    assert layers.reason == "B: the engine does not tell its layers"


def test_accuracies_of_different_images_are_not_compared(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        {"accuracy": {"top1": 0.5, "data": "b", "count": 10}},
        {"accuracy": {"top1": 0.6, "data": "a", "count": 10}},
    )
    assert change(found, "top1").reason == "not of the same images: data 'a' and 'b'"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"inside": ["compute"]}, "inside: h2d + compute + d2h against compute"),
        ({"scenario": "offline"}, "scenario: single against offline"),
        (
            {"scenario_options": {"streams": 2}},
            "scenario: single against single, 2 streams",
        ),
        ({"source": "trtexec"}, "source: edgedeploy against trtexec"),
        ({"device__power_mode": "15W"}, "device.power_mode: not known against 15W"),
        ({"input_shape": [8, 3, 8, 8]}, "input_shape: [1, 3, 8, 8] against [8, 3, 8, 8]"),
    ],
)
def test_numbers_that_do_not_mean_the_same_are_refused_with_both_values(
    tmp_path: Path, second: dict[str, Any], said: str
) -> None:
    with pytest.raises(MeasurementError) as caught:
        compared(tmp_path, second)
    assert caught.value.problem == f"old and new do not measure the same: {said}"


def test_two_meanings_of_tensorrts_own_tool_are_refused(tmp_path: Path) -> None:
    old = {"source": "trtexec", "trtexec": {"latency_is": "h2d + compute + d2h", "streams": 1}}
    new = {"source": "trtexec", "trtexec": {"latency_is": "compute", "streams": 1}}
    with pytest.raises(
        MeasurementError, match=r"latency_is: h2d \+ compute \+ d2h against compute"
    ):
        compared(tmp_path, new, old)


def test_how_long_was_measured_does_not_matter(tmp_path: Path) -> None:
    short, long = ({"scenario_options": {"duration_s": seconds}} for seconds in (1, 60))
    assert compared(tmp_path, short, long).noted == ()


def test_what_may_differ_is_said(tmp_path: Path) -> None:
    found = compared(tmp_path, {"threads": 1, "environment__backend": "onnxruntime 1.3"})
    assert [str(one) for one in found.noted] == [
        "threads: 2 against 1",
        "environment.backend: onnxruntime 1.2.3 against onnxruntime 1.3",
    ]


def test_an_older_record_without_a_shape_is_compared(tmp_path: Path) -> None:
    new = profile(tmp_path)
    older = ProfileRecord({k: v for k, v in new.document.items() if k != "input_shape"})
    assert meaning.mismatches(older, new) == ()


def test_a_value_that_could_steer_a_terminal_is_written_as_json(tmp_path: Path) -> None:
    found = compared(tmp_path, {"environment__backend": "\x1b[31mred", "device__clocks": {"a": 1}})
    assert [str(one) for one in found.noted] == [
        'device.clocks: not known against {"a": 1}',
        'environment.backend: onnxruntime 1.2.3 against "\\u001b[31mred"',
    ]


def test_an_older_record_without_p97_has_it_from_its_samples(tmp_path: Path) -> None:
    found = change(compared(tmp_path, {"latency_ms__p97": None}), "p97")
    assert found.second.value == found.first.value


def test_a_clock_that_stood_still_gives_no_interval(tmp_path: Path) -> None:
    stopped = change(compared(tmp_path, {"ns": [0, *latencies()]}), "p50")
    assert stopped.interval is None
    assert stopped.reason == "B: the clock saw no time pass during a call"


def test_a_power_trace_of_something_else_than_numbers_gives_no_interval(tmp_path: Path) -> None:
    power_of_words = {"mean_w": 5.0, "trace": {"t_ns": [0], "mw": ["5000"]}}
    odd = {"energy_mj_per_inference": 5.0, "power": power_of_words, "power_reason": None}
    assert "no power trace" in str(change(compared(tmp_path, odd, odd), "energy").reason)


def test_swapping_two_profiles_swaps_what_is_said_of_them(tmp_path: Path) -> None:
    more = {"ns": latencies(scale=1.1, seed=1), "artifact__size_bytes": 10**6}
    there, back = compared(tmp_path, more), compared(tmp_path, {}, more)
    opposite = {
        "slower": "faster",
        "larger": "smaller",
        "same": "same",
        "cannot tell": "cannot tell",
    }
    for forth, again in zip(there.changes, back.changes, strict=True):
        assert again.word == opposite[forth.word]
        if forth.interval is not None:
            assert again.interval is not None
            assert 1 / again.interval.low == pytest.approx(forth.interval.high)
            assert 1 / again.interval.high == pytest.approx(forth.interval.low)


OWN = "what this process holds on the GPU (NVML)"


def device(size_mb: float | None, rule: str | None = OWN) -> dict[str, Any]:
    return {"memory_mb__device": size_mb, "memory_mb__device_rule": rule}


def test_what_a_process_holds_on_a_gpu_is_compared_as_it_is(tmp_path: Path) -> None:
    found = change(compared(tmp_path, device(300.0), device(250.0)), "device_memory")
    assert found.word == "larger"
    assert found.ratio == pytest.approx(1.2)
    older = change(compared(tmp_path, device(300.0), {}), "device_memory")
    assert (older.word, older.reason) == ("cannot tell", "A: it runs on the CPU")


def test_device_memory_with_other_programs_in_it_cannot_be_told(tmp_path: Path) -> None:
    rule = f"the change of the GPU's used memory; {gauges.OTHERS}"
    found = change(compared(tmp_path, device(300.0, rule), device(250.0, rule)), "device_memory")
    assert (found.word, found.reason) == ("cannot tell", rule)
    mixed = change(compared(tmp_path, device(300.0, rule), device(250.0)), "device_memory")
    assert mixed.reason == f"not of one kind: A is {OWN}, B is {rule}"
    untold = change(compared(tmp_path, device(300.0, None), device(250.0, None)), "device_memory")
    assert untold.reason == "not of one kind: A is not told, B is not told"
