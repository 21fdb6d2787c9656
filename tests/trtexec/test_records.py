from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy import devices, stats
from edgedeploy.errors import EdgeDeployError, FileError, MeasurementError
from edgedeploy.profiling.records import SCHEMA, ProfileRecord, parse, read, timestamp, write
from edgedeploy.trtexec import log, records, times
from tests.trtexec import runs
from tests.trtexec.runs import ELEVEN, LOGS, NANO

if TYPE_CHECKING:
    from pathlib import Path


def imported(
    folder: Path,
    text: str = NANO,
    exported: str | None = None,
    *,
    device: str = "jetson-nano",
    known: dict[str, Any] | None = None,
) -> ProfileRecord:
    """The record of a log, checked as every profile is."""
    run = log.parse(text, name="run.log")
    document = records.document(
        run,
        None if exported is None else times.parse(exported, name="times.json"),
        runs.read(folder),
        folder=folder,
        device=devices.find(device),
        known=known,
    )
    head = {"schema": SCHEMA, "created": timestamp(records.finished_s(run) or 0)}
    return parse({**head, **document}, name="run.log")


@pytest.fixture
def nano(tmp_path: Path) -> Path:
    return runs.of_the_nano_log(tmp_path / "artifact")


def test_a_log_alone_gives_what_its_summary_says(nano: Path) -> None:
    document = imported(nano).document
    latency = document["latency_ms"]
    assert (latency["p50"], latency["min"], latency["max"]) == (90.3035, 89.312, 91.492)
    assert (latency["mean"], latency["count"]) == (90.3919, 35)
    assert latency["rule"].startswith("trtexec")
    assert document["throughput_ips"] == 11.0613
    assert document["inside"] == ["h2d", "compute", "d2h"]
    assert document["input_shape"] == [1, 3, 288, 800]
    assert (document["source"], document["scenario"]) == ("trtexec", "queued")
    assert document["device"]["model"] == "NVIDIA Tegra X1"
    assert document["environment"]["backend"] == "tensorrt 8.2.1"
    assert document["warm_up"] == {"settled": None, "runs": 2, "seconds": 0.2}
    assert document["created"] == "2023-07-14T11:55:18Z"


def test_percentiles_that_too_few_queries_carry_are_null_though_printed(nano: Path) -> None:
    document = imported(nano).document
    assert document["latency_ms"]["p99"] is None  # printed, of 35 queries
    assert "fewer than 662" in document["reasons"]["latency_ms.p99"]
    assert document["trtexec"]["summary_ms"]["latency"]["p99"] == 91.492


def nulls(value: object, path: str = "") -> list[str]:
    if not isinstance(value, dict):
        return [path] if value is None else []
    return [found for key in value for found in nulls(value[key], f"{path}.{key}".lstrip("."))]


def test_every_null_has_its_reason(nano: Path) -> None:
    text = runs.exported(runs.latencies(NANO))
    for document in (imported(nano).document, imported(nano, exported=text).document):
        known = {"device.power_mode", "device.clocks", "threads", "variant", "power"}
        inner = {key: value for key, value in document.items() if key not in ("trtexec", "reasons")}
        energy = {"energy_mj_per_inference"}
        assert set(nulls(inner)) - known - energy == set(document["reasons"]) & set(nulls(inner))
        assert "no power" in document["power_reason"]


def test_times_give_samples_and_percentiles_by_our_rules(tmp_path: Path) -> None:
    folder = orin(tmp_path)
    latencies = runs.latencies(ELEVEN)
    record = imported(folder, ELEVEN, runs.exported(latencies), device="jetson-agx-orin")
    samples, latency = record.samples_ns(), record.document["latency_ms"]
    assert samples.tolist() == [round(value * 1e6) for value in latencies]
    assert latency["p99"] == stats.percentile(samples, 0.99) / 1e6
    assert (latency["rule"], latency["count"]) == ("nearest rank", 6000)
    assert latency["p99_9"] is None  # of 6000, and it needs 6636
    assert latency["std"] > 0


def orin(tmp_path: Path, **changes: Any) -> Path:
    outputs = [{"name": "t168", "shape": [None, 1001], "dtype": "float32"}]
    return runs.built(tmp_path / "trt-fp16", "11.1.0", outputs=outputs, **changes)


def test_11_by_default_holds_compute_alone_and_the_opt_outs_bring_the_copies(
    tmp_path: Path,
) -> None:
    folder = orin(tmp_path)
    record = imported(folder, ELEVEN, device="jetson-agx-orin")
    assert record.document["inside"] == ["compute"]
    assert record.document["trtexec"]["latency_is"] == "compute"
    assert record.document["trtexec"]["cuda_graph"] == "Enabled"
    whole = ELEVEN.replace("transfers: Disabled", "transfers: Enabled")
    record = imported(folder, whole, device="jetson-agx-orin")
    assert record.document["inside"] == ["h2d", "compute", "d2h"]


def test_one_query_at_a_time_is_the_scenario_single(nano: Path) -> None:
    text = NANO.replace("ExposeDMA: Disabled", "ExposeDMA: Enabled")
    assert imported(nano, text).document["scenario"] == "single"
    assert imported(nano, text.replace("Streams: 1", "Streams: 2")).document["scenario"] == "queued"


def test_a_log_without_its_options_is_refused(nano: Path) -> None:
    text = "\n".join(line for line in NANO.split("\n") if "Data transfers" not in line)
    with pytest.raises(FileError, match="what a latency holds is not known"):
        imported(nano, text)


def test_times_with_the_warm_up_in_front_lose_it(nano: Path) -> None:
    timed = runs.latencies(NANO)
    record = imported(nano, exported=runs.exported([500.0, 400.0, *timed], end_to_end=True))
    assert record.samples_ns().tolist() == [round(value * 1e6) for value in timed]


@pytest.mark.parametrize(
    "latencies",
    [
        runs.latencies(NANO)[:-1],  # one is missing
        [1.0, *runs.latencies(NANO)],  # one too many
        [value + 1 for value in runs.latencies(NANO)],  # of a slower run
    ],
)
def test_times_of_another_run_are_refused(nano: Path, latencies: list[float]) -> None:
    with pytest.raises(FileError, match=r"of another run than the log: .* the log says 35 of 89"):
        imported(nano, exported=runs.exported(latencies))


def test_a_verdict_is_never_better_than_suspect(nano: Path) -> None:
    record = imported(nano)
    assert record.level == "suspect"
    assert "clocks, temperatures and power mode are not known" in record.reasons[0]
    assert any("only 35 samples" in reason for reason in record.reasons)
    assert any("no times were exported" in reason for reason in record.reasons)


def test_warnings_of_trtexec_are_quoted(nano: Path) -> None:
    line = "[07/14/2023-11:55:18] [W] * GPU compute time is unstable, with … = 5.5%."
    text = NANO.replace("&&&& PASSED", f"{line}\n&&&& PASSED")
    assert (
        "trtexec says: GPU compute time is unstable, with … = 5.5%." in imported(nano, text).reasons
    )


def test_a_host_that_is_too_slow_is_said_once(nano: Path) -> None:
    slow = NANO.replace("max = 9.62085 ms", "max = 99.6 ms").replace("6.2948 ms", "80.1 ms")
    (bound,) = [reason for reason in imported(nano, slow).reasons if "bound" in reason]
    assert bound.startswith(
        "bound by the host: handing a query over takes 80.1 ms, computing it 90"
    )
    told = "[W] * Throughput may be bound by Enqueue Time rather than GPU Compute"
    text = slow.replace("&&&& PASSED", f"{told}\n&&&& PASSED")
    assert len([reason for reason in imported(nano, text).reasons if "bound" in reason]) == 1


def test_streams_and_pauses_are_doubts(nano: Path) -> None:
    text = NANO.replace("Streams: 1", "Streams: 4").replace("Idle time: 0ms", "Idle time: 50ms")
    reasons = "; ".join(imported(nano, text).reasons)
    assert "4 streams shared the GPU" in reasons
    assert "idle time of 50ms" in reasons


def test_samples_that_drift_are_a_doubt(nano: Path) -> None:
    text = NANO.replace("max = 91.492 ms", "max = 120 ms")
    drifting = sorted([89.312, *(90 + i * 0.9 for i in range(33)), 120.0])
    record = imported(nano, text, runs.exported(drifting))
    assert any("drift of +" in reason for reason in record.reasons)


@pytest.mark.parametrize(
    ("old", "new"),
    [("has 35 queries", "has 1 queries"), ("Latency: min = 89.312 ms", "Latency: min = 0 ms")],
)
def test_what_is_no_measurement_is_invalid(nano: Path, old: str, new: str) -> None:
    assert imported(nano, NANO.replace(old, new)).level == "invalid"


def test_a_latency_below_a_nanosecond_is_invalid(nano: Path) -> None:
    text = NANO.replace("Latency: min = 89.312 ms", "Latency: min = 1e-07 ms")
    assert imported(nano, text, runs.exported([1e-7, *runs.latencies(NANO)[1:]])).level == "invalid"


def test_a_batch_counts_images(tmp_path: Path) -> None:
    folder = runs.of_the_nano_log(tmp_path / "a")
    document = imported(folder, NANO.replace("1x3x288x800", "4x3x288x800")).document
    assert document["input_shape"] == [4, 3, 288, 800]
    assert document["throughput_ips"] == 4 * 11.0613


def test_the_size_of_an_engine_is_its_files_or_as_the_log_rounds_it(
    tmp_path: Path, nano: Path
) -> None:
    waiting = imported(nano).document
    assert waiting["artifact"]["size_bytes"] is None
    assert waiting["memory_mb"]["engine"] == pytest.approx(186 * 1.048576)
    without = imported(nano, NANO.replace("Loaded engine", "Loading engine")).document
    assert without["memory_mb"]["engine"] is None
    assert "no size of it" in without["reasons"]["memory_mb.engine"]
    built = imported(orin(tmp_path), ELEVEN, device="jetson-agx-orin").document
    assert built["artifact"]["size_bytes"] == len(b"engine")


def test_the_resolution_of_float32_times_is_noted(nano: Path) -> None:
    facts = imported(nano).document["trtexec"]
    assert facts["resolution_ns"] == pytest.approx(2**-12 * 1e6)  # at 3.4 s: 11 bits of integer
    text = NANO.replace("queries over 3.16419 s", "queries over 60 s")
    assert imported(nano, text).document["trtexec"]["resolution_ns"] == pytest.approx(3906.25)


def test_a_dla_is_named(nano: Path) -> None:
    text = NANO.replace("DLACore: ", "DLACore: 0")
    assert imported(nano, text).document["environment"]["engine_device"] == "DLA 0"


def test_a_clock_that_was_never_set_gives_no_date() -> None:
    run = log.parse(NANO.replace("07/14/2023", "00/00/0000"), name="run.log")
    assert records.finished_s(run) is None


def test_lines_without_a_time_give_no_date() -> None:
    run = log.parse(re.sub(r"(?m)^\[\d.*?\] \[", "[", NANO), name="run.log")
    assert (run.queries, run.finished) == (35, None)
    assert records.finished_s(run) is None


def test_a_record_survives_the_disk_with_and_without_samples(tmp_path: Path, nano: Path) -> None:
    for exported in (None, runs.exported(runs.latencies(NANO))):
        record = imported(nano, exported=exported)
        path = write(record, tmp_path / "profiles")
        assert path.name.startswith("20230714T115518Z-net-trt-fp32")
        assert read(path) == record
    with pytest.raises(MeasurementError, match="none of its samples were kept"):
        imported(nano).samples_ns()


def test_what_edgedeploy_measures_itself_still_needs_every_value(nano: Path) -> None:
    document = {key: value for key, value in imported(nano).document.items() if key != "source"}
    with pytest.raises(FileError, match="is 'None'"):
        parse(document, name="p")


@given(st.sampled_from(LOGS), st.data())
def test_no_change_to_a_log_crashes_the_making(
    tmp_path_factory: pytest.TempPathFactory, text: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    if not folder.exists():
        runs.of_the_nano_log(folder)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 60)))
    with contextlib.suppress(EdgeDeployError):
        imported(folder, text[:start] + data.draw(st.text(max_size=20)) + text[end:])
