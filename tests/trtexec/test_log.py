from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.errors import EdgeDeployError, FileError, MeasurementError
from edgedeploy.trtexec import log
from edgedeploy.trtexec.log import Run, Tensor
from tests.trtexec.runs import ELEVEN, LOGS, NANO, NANO_801, RTX

if TYPE_CHECKING:
    from pathlib import Path


def parse(text: str) -> Run:
    return log.parse(text, name="run.log")


def test_the_log_of_a_nano_with_8_2_is_read() -> None:
    run = parse(NANO)
    assert (run.version, run.build) == ((8, 2, 1), None)
    assert (run.queries, run.warm_up_queries, run.warm_up_ms) == (35, 2, 200)
    assert (run.seconds, run.throughput_qps) == (3.16419, 11.0613)
    latency = run.timings["latency"]
    assert (latency.min, latency.median, latency.max) == (89.312, 90.3035, 91.492)
    assert latency.percentiles == {99.0: 91.492}
    assert run.timings["enqueue"].median == 6.2948
    assert run.timings["h2d"].mean == 0.277587
    assert run.timings["compute"].max == 91.2045
    assert run.timings["d2h"].min == 0.00683594
    assert run.inputs == (Tensor("input", (1, 3, 288, 800)),)
    assert run.outputs == (Tensor("output", (1, 201, 18, 4)),)
    assert run.option("Device Information", "Selected Device") == "NVIDIA Tegra X1"
    assert run.option("Inference Options", "Data transfers") == "Enabled"
    assert run.argument("--onnx") == "weights/culane_18-INT32.onnx"
    assert run.argument("--loadEngine") is None
    assert run.finished == "07/14/2023-11:55:18"
    assert (run.warnings, run.engine_mib) == ((), 186)


def test_the_log_of_an_engine_that_was_loaded_by_8_0_is_read() -> None:
    run = parse(NANO_801)
    assert (run.version, run.queries, run.engine_mib) == ((8, 0, 1), 100, 10)
    assert run.argument("--fp16") == ""
    assert run.argument("--loadEngine") == (
        "/root/deepstream_yolo/best_deepstream.onnx_b1_gpu0_fp16.engine"
    )


def test_the_log_of_a_pc_with_10_9_is_read_with_its_warning() -> None:
    run = parse(RTX)
    assert (run.version, run.build, run.queries) == ((10, 9, 0), "b34", 2077)
    assert run.timings["latency"].percentiles == {90.0: 1.45624, 95.0: 1.71796, 99.0: 2.61597}
    assert run.inputs == (Tensor("gpu_0/data_0", (1, 3, 224, 224)),)
    assert run.warnings == (
        "GPU compute time is unstable, with coefficient of variance = 13.1794%.",
    )
    assert run.engine_mib == 101.811
    assert run.option("Device Information", "Compute Capability") == "8.6"


def test_what_11_prints_by_default_is_read_as_compute_alone() -> None:
    run = parse(ELEVEN)
    assert run.version == (11, 1, 0)
    assert run.option("Inference Options", "Data transfers") == "Disabled"
    assert run.option("Inference Options", "CUDA Graph") == "Enabled"
    assert run.timings["h2d"].max == 0


@pytest.mark.parametrize("text", LOGS)
def test_carriage_returns_of_a_serial_line_do_not_matter(text: str) -> None:
    assert parse(text.replace("\n", "\r\n")) == parse(text)


@pytest.mark.parametrize("text", LOGS)
def test_lines_of_other_programs_in_between_do_not_matter(text: str) -> None:
    noisy = re.sub("\n", "\nbash: ok\n[1] 42\nlatency: 3\n", text)
    assert parse(noisy) == parse(text)


@pytest.mark.parametrize("text", LOGS)
def test_a_log_that_stops_anywhere_is_refused(text: str) -> None:
    whole = text.index("&&&& PASSED")
    for end in range(0, whole, 97):
        with pytest.raises(FileError) as caught:
            parse(text[:end])
        assert "trtexec" in caught.value.fix


def test_a_failed_run_is_refused_with_what_it_said() -> None:
    # lines of a public log of TensorRT 8.6.1
    text = (
        "&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec --loadEngine=a --shapes=b\n"
        "[02/06/2024-17:33:20] [E] Error[3]: [executionContext.cpp::setInputShape::2264] Error "
        "Code 3: API Usage Error (Static dimension mismatch while setting input shape.\n"
        ")\n"
        "[02/06/2024-17:33:20] [E] Inference set up failed\n"
        "&&&& FAILED TensorRT.trtexec [TensorRT v8601] # trtexec --loadEngine=a --shapes=b\n"
    )
    with pytest.raises(MeasurementError, match=r"failed: .*mismatch.*Inference set up failed"):
        parse(text)


def test_a_run_that_broke_off_says_what_went_wrong_before() -> None:
    text = NANO[: NANO.index("&&&& PASSED")] + "[07/14/2023-11:55:18] [E] out of memory\n"
    with pytest.raises(FileError, match="no line says PASSED after: out of memory"):
        parse(text)


def test_a_log_of_a_build_is_refused_with_the_way_to_measure() -> None:
    start, end = NANO.index("=== Performance"), NANO.index("&&&& PASSED")
    with pytest.raises(FileError, match="no performance summary") as caught:
        parse(NANO[: NANO.rindex("\n", 0, start) + 1] + NANO[end:])
    assert "--measure" in caught.value.fix


def test_two_runs_in_one_file_are_refused() -> None:
    with pytest.raises(FileError, match="holds 2 runs"):
        parse(NANO + RTX)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Throughput: 11.0613 qps", "Throughput: nan qps", "throughput is 'nan qps'"),
        ("Throughput: 11.0613 qps", "Throughput: 1e300 qps", "too large"),
        ("median = 90.3035 ms", "median = inf ms", "the line 'Latency' reads"),
        ("median = 90.3035 ms", "median = 99.5 ms", "not between its ends"),
        ("median = 90.3035 ms", "median = " + "9" * 400 + " ms", "the line 'Latency' reads"),
        ("] D2H Latency", "] D2H", "no line 'D2H Latency'"),
        ("has 35 queries", "has 0 queries", "no query was timed"),
        ("Timing trace has 35", "Timing trace has -35", "how many queries"),
        ("Loaded engine size: 186 MiB", "Loaded engine size: 1e99 MiB", "too large"),
    ],
)
def test_a_line_that_cannot_be_is_named(old: str, new: str, problem: str) -> None:
    assert old in NANO
    with pytest.raises(FileError, match=rf"run\.log is damaged: .*{problem}"):
        parse(NANO.replace(old, new))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        log.read(tmp_path / "none.log")
    with pytest.raises(FileError, match="cannot be read"):
        log.read(tmp_path)


def test_a_file_too_large_for_a_log_is_not_read_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no room
    with pytest.raises(FileError, match="1099512 MB"):
        log.read(path)


def test_bytes_that_are_no_text_do_not_stop_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(b"\xff\xfe\x00 boot\n" + NANO.encode())
    assert log.read(path) == parse(NANO)


def test_what_would_steer_a_terminal_is_taken_out() -> None:
    run = parse(RTX.replace("compute time is unstable", "\x1b[2Jtime is \x07unstable"))
    assert all(warning.isprintable() for warning in run.warnings)


@given(st.text())
def test_no_text_crashes_the_reading(text: str) -> None:
    with contextlib.suppress(EdgeDeployError):
        parse(text)


@given(st.sampled_from(LOGS), st.data())
def test_no_change_to_a_log_crashes_the_reading(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 60)))
    with contextlib.suppress(EdgeDeployError):
        parse(text[:start] + data.draw(st.text(max_size=20)) + text[end:])
