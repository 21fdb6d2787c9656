from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy import stats
from edgedeploy.errors import FileError
from edgedeploy.profiling import pooling, records
from tests.profiling import documents
from tests.profiling.turned import in_turns

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord

AB = {"id": "x", "side": "A"}
VERDICT = {"level": "measured", "reasons": []}


def pooled(folder: Path, *results: dict[str, Any]) -> ProfileRecord:
    rounds = [
        documents.record(folder / "a", result=documents.raw_result(**{"ns": NS, **result}))
        for result in results
    ]
    return pooling.pool(rounds, options={"duration_s": 4.0}, ab=AB)


NS = (1_000_000, 1_010_000) * 50


def metered(joules: float, **changes: Any) -> dict[str, Any]:
    """A second on a sensor that is sampled."""
    seen = {
        "source": "tegrastats",
        "joules": joules,
        "window_ns": 1_000_000_000,
        "rails_w": {"VDD_IN": joules, "VDD_CPU": 1.0},
        "rule": "VDD_IN",
        "idle_w": 1.0,
        "idle_reason": None,
        "samples": 10,
        "uncertainty_pct": 2.0,
        "trace": {"t_ns": [0, 10**9], "mw": [5000.0, 5000.0]},
    }
    return {"energy": seen | changes, "energy_reason": None}


def test_every_sample_is_kept_in_the_order_of_the_rounds(tmp_path: Path) -> None:
    one, two = [10**6] * 70, [3 * 10**6] * 90
    document = pooled(
        tmp_path, {"ns": one, "window_ns": 10**8}, {"ns": two, "window_ns": 4 * 10**8}
    )
    record = records.parse(document.document, name="it")
    assert record.samples_ns().tolist() == one + two
    latency = record.document["latency_ms"]
    assert (latency["count"], latency["p50"], latency["max"]) == (160, 3.0, 3.0)
    assert latency["p95"] == stats.percentile(np.array(one + two), 0.95) / 1e6
    assert record.document["window_s"] == 0.5
    assert record.document["throughput_ips"] == pytest.approx(320)
    assert "fewer than 219 samples" in record.document["reasons"]["latency_ms.p97"]
    assert "latency_ms.p95" not in record.document["reasons"]


def test_each_round_keeps_its_median_its_count_its_window_and_its_verdict(tmp_path: Path) -> None:
    loud = {"conditions": {"cpus": 2, "other_cpus": 1.5}}
    document = pooled(tmp_path, {"window_ns": 10**8}, {"window_ns": 10**8, **loud}).document
    quiet, disturbed = document["rounds"]
    assert (quiet["p50"], quiet["count"], quiet["window_ns"]) == (1.0, 100, 10**8)
    assert (quiet["verdict"]["level"], disturbed["verdict"]["level"]) == ("measured", "suspect")
    assert disturbed["conditions"]["other_cpus"] == 1.5
    assert document["conditions"] is None
    assert "rounds[].conditions" in document["reasons"]["conditions"]


def test_memory_is_the_worst_peak_and_the_median_by_phase_and_cold_start_is_the_median(
    tmp_path: Path,
) -> None:
    def run(peak: int, rss: int, load: float) -> dict[str, Any]:
        memory = {
            phase: {**documents.MEMORY, "peak_rss_bytes": peak, "rss_bytes": rss}
            for phase in documents.PHASES
        }
        cold = {"import": 60.0, "load": load, "first_inference": 5.0}
        return {"memory": memory, "cold_start_ms": cold}

    runs = [run(90_000_000, 70_000_000, 30.0), run(95_000_000, 60_000_000, 90.0)]
    document = pooled(tmp_path, *runs, run(91_000_000, 64_000_000, 31.0)).document
    assert document["memory_mb"]["peak_rss"] == 95.0
    assert document["memory_mb"]["rss"]["steady"] == 64.0
    assert document["memory_mb"]["pss"]["steady"] is None
    assert document["memory_mb"]["device"] is None
    assert document["reasons"]["memory_mb.device"]
    assert document["cold_start_ms"] == {"import": 60.0, "load": 31.0, "first_inference": 5.0}
    assert document["ab"]["pooled_by"]["cold_start_ms"] == "the median of the rounds"
    assert [one["peak_rss_mb"] for one in document["rounds"]] == [90.0, 95.0, 91.0]


def test_joules_are_added_and_divided_by_the_images_of_all_rounds(tmp_path: Path) -> None:
    document = pooled(tmp_path, metered(5.0), metered(7.0, idle_w=2.0, rails_w={"VDD_IN": 7.0}))
    power = document.document["power"]
    assert (power["joules"], power["window_ns"], power["samples"]) == (12.0, 2 * 10**9, 20)
    assert (power["mean_w"], power["idle_w"], power["rails_w"]) == (6.0, 1.5, {"VDD_IN": 6.0})
    assert power["uncertainty_pct"] == pytest.approx(2.0)
    assert document.document["energy_mj_per_inference"] == pytest.approx(12_000 / 200)
    assert document.document["energy_above_idle_mj_per_inference"] == pytest.approx(9_000 / 200)
    assert power["trace"] is None
    assert "rounds[].power.trace" in document.document["reasons"]["power.trace"]
    assert document.document["rounds"][1]["power"]["trace"]["mw"] == [5000.0, 5000.0]


def test_a_round_without_energy_leaves_none_of_it_and_says_which(tmp_path: Path) -> None:
    gap = "tegrastats gave nothing from 0.10 s to 0.90 s of the window: it died"
    document = pooled(tmp_path, metered(5.0), {"energy": None, "energy_reason": gap}).document
    assert document["power"] is None
    assert document["energy_mj_per_inference"] is None
    assert document["power_reason"] == f"round 2 has none: {gap}"
    assert document["rounds"][0]["energy_mj_per_inference"] == pytest.approx(50.0)
    assert pooled(tmp_path, {}, {}).document["power_reason"].startswith("no sensor measured it")


def test_an_idle_power_that_one_round_lacks_is_not_made_of_the_others(tmp_path: Path) -> None:
    lacking = metered(5.0, idle_w=None, idle_reason="too short")
    document = pooled(tmp_path, metered(5.0), lacking).document
    assert (document["power"]["idle_w"], document["power"]["idle_reason"]) == (None, "too short")
    assert document["energy_above_idle_mj_per_inference"] is None


def test_two_sensors_are_not_added_up(tmp_path: Path) -> None:
    document = pooled(tmp_path, metered(5.0), metered(5.0, source="ina3221")).document
    assert document["power"] is None
    assert "ina3221 (VDD_IN) and tegrastats (VDD_IN)" in document["power_reason"]


def test_stages_are_the_median_of_the_rounds_and_null_where_one_has_none(tmp_path: Path) -> None:
    def timed(ms: float) -> dict[str, Any]:
        return {"stages_ms": {"compute": [ms] * 10}, "stages_reason": None}

    document = pooled(tmp_path, timed(1.0), timed(3.0), timed(2.0)).document
    assert document["stages_ms"] == {"compute": {"p50": 2.0, "count": 30}}
    partial = pooled(tmp_path, timed(1.0), {}).document
    assert partial["stages_ms"] is None
    assert partial["reasons"]["stages_ms"].startswith("round 2: this backend does not")


def test_the_verdict_is_the_worst_and_each_reason_is_said_once_with_its_rounds(
    tmp_path: Path,
) -> None:
    def busy(cpus: float) -> dict[str, Any]:
        return {"conditions": {"cpus": 2, "other_cpus": cpus}}

    found = pooled(tmp_path, {}, busy(1.5), busy(1.1), {}, busy(1.5), {"warm_up": COLD})
    assert found.level == "suspect"
    assert found.reasons == (
        "rounds 2-3, 5 (figures of round 2): other processes kept 1.5 of 2 CPUs busy",
        "round 6: warm-up did not settle within 10.0 s",
    )
    assert found.document["warm_up"] == {"settled": False, "runs": 180, "seconds": 11.5}


COLD = {"settled": False, "runs": 30, "seconds": 10.0}


def test_a_drift_that_no_round_shows_is_told_of_all_together(tmp_path: Path) -> None:
    record, _ = in_turns(tmp_path, 4, drift=0.4)
    assert {one["verdict"]["level"] for one in record.document["rounds"]} == {"measured"}
    assert record.level == "suspect"
    assert record.reasons[0].startswith("all rounds together: drift of +")
    assert record.document["ab"]["verdict"] == {"level": "measured", "reasons": []}


def test_a_power_mode_that_changes_between_the_rounds_is_a_doubt_for_both_uses(
    tmp_path: Path,
) -> None:
    modes = [
        {"board": {"name": "local", "model": "x", "power_mode": mode}} for mode in ("MAXN", "15W")
    ]
    found = pooled(tmp_path, *modes)
    reason = "the power mode changed between the rounds: MAXN, then 15W"
    assert (found.level, found.reasons) == ("suspect", (reason,))
    assert found.document["ab"]["verdict"] == {"level": "suspect", "reasons": [reason]}


def test_a_pooled_record_can_be_written_and_read(tmp_path: Path) -> None:
    record = pooled(tmp_path, metered(5.0), metered(6.0))
    assert records.read(records.write(record, tmp_path / "profiles")) == record


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"rounds": []}, "rounds is '\\[\\]'"),
        ({"rounds": [{"p50": 1.0, "count": 0, "window_ns": 1}]}, "rounds is"),
        ({"rounds": [{"p50": 1.0, "count": 5, "window_ns": 1}]}, "200 samples, its rounds count 5"),
        ({"ab": {"id": "x", "side": "C"}}, "ab is"),
        ({"ab": {**AB, "verdict": VERDICT, "against": {"model": 3}}}, "ab is"),
        ({"ab": {"id": "x", "side": "A", "verdict": {"level": "fine"}}}, "ab is"),
    ],
)
def test_rounds_that_are_damaged_are_refused(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    document = copy.deepcopy(dict(pooled(tmp_path, {}, {}).document)) | change
    with pytest.raises(FileError, match=problem):
        records.parse(document, name="it")
