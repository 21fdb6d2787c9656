from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy import stats
from edgedeploy.errors import FileError, MeasurementError
from tests.profiling.documents import raw_result, record

if TYPE_CHECKING:
    from pathlib import Path


def test_a_record_has_the_form_of_the_design(tmp_path: Path) -> None:
    document = record(tmp_path / "a").document
    assert document["schema"] == "edgedeploy.profile/1"
    assert document["created"] == "2026-11-22T07:30:00Z"
    assert document["artifact"]["backend"] == "ort"
    assert document["device"] == {
        "name": "local",
        "model": "Intel N100",
        "power_mode": None,
        "clocks": None,
    }
    assert document["environment"]["backend"] == "onnxruntime 1.2.3"
    assert document["inside"] == ["h2d", "compute", "d2h"]
    assert document["cold_start_ms"] == {"import": 60.0, "load": 30.0, "first_inference": 5.0}
    assert document["memory_mb"]["peak_rss"] == 90.0
    assert document["memory_mb"]["device"] is None
    assert document["reasons"]["memory_mb.device"] == "it runs on the CPU"
    assert document["throughput_ips"] == pytest.approx(1000 / 2.01)
    assert document["accuracy"] is None


def test_latency_is_in_milliseconds_and_the_samples_are_whole(tmp_path: Path) -> None:
    ns = [1_000_000] * 600 + [3_000_000] * 100
    made = record(tmp_path / "a", result=raw_result(ns))
    latency = made.document["latency_ms"]
    assert (latency["p50"], latency["p99"], latency["max"], latency["count"]) == (1, 3, 3, 700)
    assert latency["p50"] == stats.percentile(made.samples_ns(), 0.5) / 1e6
    assert made.samples_ns().tolist() == ns


def test_a_percentile_without_enough_samples_is_null_with_what_it_needs(tmp_path: Path) -> None:
    document = record(tmp_path / "a", result=raw_result([1_000_000] * 100)).document
    assert document["latency_ms"]["p90"] == 1
    assert document["latency_ms"]["p99"] is None
    assert "fewer than 662 samples" in document["reasons"]["latency_ms.p99"]
    assert "latency_ms.p90" not in document["reasons"]


def test_the_overhead_is_the_median_of_the_paired_differences(tmp_path: Path) -> None:
    # 5, 7 and 3 µs: a slow pair is slow on both sides and does not count
    assert record(tmp_path / "a").document["infer_overhead_us"] == 5.0


def test_stages_are_medians_with_their_count(tmp_path: Path) -> None:
    raw = raw_result(stages_ms={"h2d": [0.1, 0.3, 0.2], "compute": [2.0]}, stages_reason=None)
    document = record(tmp_path / "a", result=raw).document
    assert document["stages_ms"] == {
        "h2d": {"p50": 0.2, "count": 3},
        "compute": {"p50": 2.0, "count": 1},
    }
    assert "stages_ms" not in document["reasons"]
    json.dumps(document, allow_nan=False)


def test_stages_that_were_not_timed_are_null_with_a_reason(tmp_path: Path) -> None:
    document = record(tmp_path / "a").document
    assert document["stages_ms"] is None
    assert document["reasons"]["stages_ms"] == "this backend does not tell them apart"


def test_no_sensor_is_no_number(tmp_path: Path) -> None:
    document = record(tmp_path / "a").document
    assert document["power"] is None
    assert document["energy_mj_per_inference"] is None
    assert document["power_reason"] == "no sensor measured it: rapl: not here"


def test_energy_is_divided_among_the_inferences_of_its_window(tmp_path: Path) -> None:
    energy = {
        "source": "rapl",
        "joules": 6.0,
        "window_ns": 3_000_000_000,
        "rails_w": {"package-0": 2.0},
        "rule": "package-0",
        "idle_w": 0.5,
        "idle_reason": None,
        "samples": 2,
        "uncertainty_pct": 0.1,
        "trace": None,
    }
    document = record(tmp_path / "a", result=raw_result(energy=energy)).document
    assert document["power"]["mean_w"] == 2.0
    assert document["power"]["rails_w"] == {"package-0": 2.0}
    assert document["power_reason"] is None
    assert document["energy_mj_per_inference"] == pytest.approx(6.0)
    assert document["energy_above_idle_mj_per_inference"] == pytest.approx(4.5)


def device_memory(steady: int | None, reason: str | None = None) -> dict[str, Any]:
    phases = {"start": 0, "load": 250_000_000, "steady": steady}
    return {"rule": "what it holds (NVML)", "phases": phases, "reason": reason}


def test_device_memory_is_that_after_the_timed_calls_and_says_what_it_is(tmp_path: Path) -> None:
    told = raw_result(device_memory=device_memory(300_500_000))
    document = record(tmp_path / "a", result=told).document
    assert document["memory_mb"]["device"] == 300.5
    assert document["memory_mb"]["device_rule"] == (
        "what it holds (NVML); at the end of the timed calls"
    )
    phases = {"start": 0, "load": 250.0, "steady": 300.5}
    assert document["memory_mb"]["device_phases"] == phases
    assert "memory_mb.device" not in document["reasons"]


def test_device_memory_that_was_lost_midway_is_null_and_keeps_the_phases(tmp_path: Path) -> None:
    told = raw_result(device_memory=device_memory(None, "GPU is lost"))
    document = record(tmp_path / "a", result=told).document
    assert document["memory_mb"]["device"] is None
    assert document["memory_mb"]["device_phases"]["load"] == 250.0
    assert document["memory_mb"]["device_phases"]["steady"] is None
    assert document["reasons"]["memory_mb.device"] == "GPU is lost"


def test_a_change_below_zero_is_no_amount_and_stays_among_the_phases(tmp_path: Path) -> None:
    told = raw_result(device_memory=device_memory(-5_000_000, "it did not grow"))
    document = record(tmp_path / "a", result=told).document
    assert document["memory_mb"]["device"] is None
    assert document["memory_mb"]["device_phases"]["steady"] == -5.0


def test_accuracy_is_kept_with_its_source(tmp_path: Path) -> None:
    known = {"source": "shipped", "date": "2026-11-20", "top1": 0.61}
    document = record(tmp_path / "a", known=known).document
    assert document["accuracy"] == known
    assert "accuracy" not in document["reasons"]


def test_the_verdict_hears_of_the_conditions(tmp_path: Path) -> None:
    busy = {"cpus": 2, "other_cpus": 1.5}
    made = record(tmp_path / "a", result=raw_result([10**6] * 1000, conditions=busy))
    assert made.level == "suspect"
    assert made.reasons == ("other processes kept 1.5 of 2 CPUs busy",)


@pytest.mark.parametrize(
    "lost", ["samples", "window_ns", "runtime", "memory", "device_memory", "energy_reason"]
)
def test_a_result_that_lacks_something_is_a_measurement_error(tmp_path: Path, lost: str) -> None:
    result = raw_result()
    del result[lost]
    with pytest.raises(MeasurementError, match="not in this version's form") as caught:
        record(tmp_path / "a", result=result)
    assert "same version" in caught.value.fix


def test_a_result_without_samples_is_a_measurement_error(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="holds no sample"):
        record(tmp_path / "a", result=raw_result([], window_ns=1))


def test_a_result_with_nonsense_in_it_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"worker's result is damaged: cold_start_ms\.load"):
        record(tmp_path / "a", result=raw_result(cold_start_ms={"load": "fast"}))


def test_samples_are_integers_of_nanoseconds(tmp_path: Path) -> None:
    assert record(tmp_path / "a").samples_ns().dtype == np.int64
