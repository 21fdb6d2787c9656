from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.profiling import scenarios
from edgedeploy.worker.samples import encode
from tests.profiling import documents

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord

MS = 1_000_000


def raw(latency: list[int], wait: list[int], stream: list[int] | None = None, **more: Any) -> Any:
    """A worker's result; times in milliseconds, one call every 10 ms."""
    due = [10 * number for number in range(len(latency))]
    series: dict[str, Sequence[float]] = {
        "due": due,
        "start": [came + waited for came, waited in zip(due, wait, strict=True)],
        "stream": [number / MS for number in stream or [0] * len(latency)],
    }
    return documents.raw_result(
        [ms * MS for ms in latency],
        series={
            name: encode(array("q", [round(ms * MS) for ms in values]))
            for name, values in series.items()
        },
        window_ns=10 * MS * len(latency),
        **more,
    )


def made(folder: Path, result: dict[str, Any], scenario: str, **options: Any) -> ProfileRecord:
    return documents.record(folder, result=result, scenario=scenario, options=options)


def test_each_stream_has_its_own_median(tmp_path: Path) -> None:
    result = raw([5, 9, 5, 9] * 50, [0] * 200, [0, 1, 0, 1] * 50, facts={})
    document = made(tmp_path / "a", result, "multi", streams=3).document
    assert document["scenario_results"]["streams"] == [
        {"count": 100, "p50_ms": 5.0},
        {"count": 100, "p50_ms": 9.0},
        {"count": 0, "p50_ms": None},
    ]
    assert document["scenario_results"]["series_ns"] == result["series"]
    assert document["scenario_options"] == {"streams": 3}


def test_each_step_of_the_search_is_kept_with_its_samples(tmp_path: Path) -> None:
    samples = encode(array("q", [4 * MS, 5 * MS]))
    step = {"batch": 4, "samples": samples, "window_ns": 10 * MS}
    result = documents.raw_result(steps=[step], input_shape=[8, 3, 8, 8])
    assert made(tmp_path / "a", result, "offline").document["scenario_results"] == {
        "batch": 8,
        "steps": [
            {
                "batch": 4,
                "throughput_ips": 800.0,
                "p50_ms": 4.0,
                "count": 2,
                "window_s": 0.01,
                "samples_ns": samples,
            }
        ],
    }


def test_throughput_counts_images_and_not_calls(tmp_path: Path) -> None:
    result = documents.raw_result([MS] * 100, window_ns=10**9, input_shape=[8, 3, 8, 8])
    assert made(tmp_path / "a", result, "offline").document["throughput_ips"] == 800


def test_a_queue_is_split_into_waiting_and_work_and_judged_by_its_work(tmp_path: Path) -> None:
    # the waits vary wildly, the work does not: that is a busy queue and no doubtful measurement
    result = raw(
        [4 + i % 20 for i in range(200)], [i % 20 for i in range(200)], facts={"unanswered": 0}
    )
    record = made(tmp_path / "a", result, "server", rate=100.0, streams=1)
    found = record.document["scenario_results"]
    assert (found["work_p50_ms"], found["wait_p50_ms"]) == (4.0, 9.0)
    assert found["utilisation"] == pytest.approx(0.4)
    assert not found["saturated"]
    assert (record.level, record.reasons) == ("measured", ())
    assert record.document["latency_ms"]["p50"] == 13.0
    assert record.key.scenario == "server, 100/s"


def test_a_saturated_server_is_suspect_and_says_that_latency_grows(tmp_path: Path) -> None:
    result = raw([20 + i for i in range(200)], list(range(200)), facts={"unanswered": 0})
    record = made(tmp_path / "a", result, "server", rate=100.0, streams=2)
    assert record.document["scenario_results"]["saturated"]
    assert record.level == "suspect"
    assert record.reasons[0].startswith(
        "saturated: 100 queries a second kept 2 streams busy 100% of the time"
    )


def test_queries_that_nobody_answered_are_counted_and_make_it_invalid(tmp_path: Path) -> None:
    result = raw([4] * 100, [0] * 100, facts={"unanswered": 30})
    record = made(tmp_path / "a", result, "server", rate=900.0, streams=1)
    assert record.document["scenario_results"]["offered"] == 130
    assert record.level == "invalid"
    assert record.reasons[0].startswith("30 of 130 queries were never answered, at 900 a second")


def test_a_frame_misses_its_deadline_when_it_is_older_than_the_next_one(tmp_path: Path) -> None:
    result = raw([8, 10, 11, 25] * 25, [0] * 100, facts={"dropped": 7})
    document = made(tmp_path / "a", result, "camera", fps=100.0).document
    found = document["scenario_results"]
    assert (found["frames"], found["dropped"]) == (107, 7)
    assert (found["deadline_ms"], found["deadline_misses"]) == (10.0, 50)


def test_work_is_the_latency_where_nothing_waits() -> None:
    result = documents.raw_result([3, 5, 4])
    assert scenarios.work_ns(result).tolist() == [3, 5, 4]
