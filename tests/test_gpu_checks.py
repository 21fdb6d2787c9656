"""benchmarks/gpu_checks.py with acted-out jobs: its GPU part runs on a GPU host only."""

from __future__ import annotations

import importlib
import json
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.worker.samples import encode
from tests.models import save, stem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
GPU = {
    "gpu": "NVIDIA Orin",
    "compute_capability": "8.7",
    "library": "tensorrt 10.3.0",
    "cuda": "libcudart",
    "board": "NVIDIA Jetson Orin Nano Developer Kit",
    "python": "3.10.12",
    "system": "Linux-5.15.148-tegra-aarch64-with-glibc2.35",
}
JUNIT = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" tests="4">
<testcase classname="tests.gpu.test_precisions" name="test_a[int8]" time="1.5">
<properties><property name="error" value="1.2e-02"/></properties></testcase>
<testcase classname="tests.gpu.test_precisions" name="test_b" time="0.1">
<failure message="assert 3 &lt; 2&#10; where 3 = f()">long text</failure></testcase>
<testcase classname="tests.gpu.test_builds" name="test_c" time="0.0">
<skipped type="pytest.skip" message="this GPU has no DLA">x</skipped></testcase>
<testcase classname="tests.gpu.test_builds" name="test_d" time="0.0">
<error message="">Fatal: no memory
second line</error></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of the script."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("jobs", "plan", "printing", "results", "suite")
    modules = {name: importlib.import_module(f"on_gpu.{name}") for name in names}
    return SimpleNamespace(**modules, script=importlib.import_module("gpu_checks"))


def row(parts: Any, **changes: Any) -> Any:
    about: dict[str, Any] = {
        "model": "mobilenet_v1_0.25_224",
        "precision": "int8",
        "graphs": True,
        "int8_mode": "typed",
        "runs": {"int8": 28},
        "engine_bytes": 1_234_567,
        "build_s": 12.34,
        "device_bytes": 5_000_000,
        "warmed": True,
        "samples": encode(array("q", [250_000] * 900)),
        "agreement": 0.962,
    }
    return parts.results.Row(**(about | changes))


def acted_out(failing: Mapping[str, str]) -> Callable[..., dict[str, Any]]:
    """Return what stands for `on_gpu.jobs.run`; the jobs of ``failing`` fail with its words."""

    def run(told: Mapping[str, Any], *, limit_s: float) -> dict[str, Any]:
        for words in (told["do"], f"{told['do']} {told.get('precision') or told.get('graphs')}"):
            if words in failing:
                jobs = importlib.import_module("on_gpu.jobs")
                raise jobs.NotDoneError(failing[words], fix="none")
        if told["do"] == "machine":
            return GPU
        if told["do"] == "build":
            return {
                "folder": told["precision"], "engine_bytes": 10, "build_s": 1.0,
                "int8_mode": None, "runs": {},
            }  # fmt: skip
        if told["do"] == "agreement":
            return {"agreement": 0.5, "agreement_reason": None, "top1": 0.25, "pictures": 4}
        samples = encode(array("q", [1_000_000] * 10))
        stages = {"h2d": [0.1, 0.2, 0.3], "compute": [0.6], "d2h": [0.1], "graph": [0.5]}
        return {
            "samples": samples, "warmed": True, "device_bytes": 3, "no_graph": None,
            "stages_ms": stages,
        }  # fmt: skip

    return run


def model(folder: Path) -> Path:
    return save(stem(("N", 3, 8, 8)), folder / "stem.onnx")


def test_a_line_has_every_number_in_eighty_columns(parts: Any) -> None:
    line = parts.printing.row(row(parts))
    assert line.split() == ["int8", "on", "0.250", "0.250", "900", "1.23", "12.3", "5.0", "96.2"]
    assert len(line) == len(parts.printing.columns()) <= 80


def test_p99_is_not_told_of_few_calls(parts: Any) -> None:
    few = row(parts, samples=encode(array("q", [250_000] * 600)))
    assert few.latency().p99_ms is None
    assert parts.printing.row(few).split()[2:5] == ["0.250", "–", "600"]


def test_what_was_not_measured_is_a_row_with_its_reason(parts: Any) -> None:
    why = "TensorRT built no engine: " + "out of memory " * 12
    lines = parts.printing.row(row(parts, samples="", problem=why)).splitlines()
    assert "not measured: TensorRT built no engine: out of memory" in lines[0]
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80


def test_a_graph_that_was_asked_for_and_not_to_be_had_is_a_remark(parts: Any) -> None:
    found = row(parts, no_graph="CUDA 9 has none")
    assert parts.printing._remarks(found) == "typed; 28 layers in int8; no graph: CUDA 9 has none"


def test_a_junit_report_becomes_cases(parts: Any) -> None:
    first, second, third, fourth = parts.suite.read(JUNIT)
    assert (first.file, first.name, first.outcome) == ("test_precisions", "test_a[int8]", "passed")
    assert first.measured == {"error": "1.2e-02"}
    assert (second.outcome, second.message) == ("failed", "assert 3 < 2")
    assert (third.outcome, third.message) == ("skipped", "this GPU has no DLA")
    assert (fourth.outcome, fourth.message) == ("error", "Fatal: no memory")


def test_the_tests_are_counted_by_file_and_failures_named(parts: Any) -> None:
    text = parts.printing.tests(parts.suite.read(JUNIT))
    assert [line.split() for line in text.splitlines()[:3]] == [
        ["tests", "passed", "failed", "error", "skipped"],
        ["test_precisions", "1", "1", "0", "0"],
        ["test_builds", "0", "0", "1", "1"],
    ]
    assert "  failed: test_b: assert 3 < 2" in text
    assert "  skipped 1: this GPU has no DLA" in text
    assert max(map(len, text.splitlines())) <= 80


def test_markdown_rows_fit_the_tables_of_the_document(parts: Any) -> None:
    checks = parts.results.Checks(
        date="2026-12-01",
        machine=parts.results.Machine(**GPU),
        cases=parts.suite.read(JUNIT),
        rows=[row(parts), row(parts, problem="a | b", samples="")],
    )
    lines = parts.printing.markdown(checks).splitlines()
    document = (BENCHMARKS.parent / "docs" / "gpu-checks.md").read_text(encoding="utf-8")
    heads = [lines[i - 1] for i, line in enumerate(lines) if line.startswith("|---")]
    assert len(heads) == 2
    for head in heads:
        assert head in document
    assert lines[2].startswith(
        "| 2026-12-01 | NVIDIA Orin (8.7) | tensorrt 10.3.0 | libcudart | 1 | 2 | 1 |"
    )
    assert lines[-2].endswith("| 96.2 | typed; 28 layers in int8 |")
    assert lines[-1].endswith("| not measured: a \\| b |")


def test_every_precision_is_measured_with_graphs_and_without(parts: Any, tmp_path: Path) -> None:
    images = tmp_path / "images"
    parts.plan._noise(images)
    found = list(
        parts.plan.rows(
            model(tmp_path), images=images, duration_s=1, out=tmp_path, do=acted_out({})
        )
    )
    assert [(r.precision, r.graphs) for r in found] == [
        (precision, graphs) for precision in ("fp32", "fp16", "int8") for graphs in (False, True)
    ]
    assert {r.agreement for r in found} == {0.5}
    assert {r.problem for r in found} == {None}
    assert {r.latency().p50_ms for r in found} == {1.0}
    assert parts.printing._remarks(found[0]) == "h2d 0.200 + compute 0.600 + d2h 0.100"


def test_what_fails_does_not_stop_the_rest(parts: Any, tmp_path: Path) -> None:
    failing = {"build fp16": "no memory", "latency True": "the process died of SIGSEGV"}
    found = list(
        parts.plan.rows(
            model(tmp_path), images=None, duration_s=1, out=tmp_path, do=acted_out(failing)
        )
    )
    assert [(r.precision, r.problem) for r in found] == [
        ("fp32", None),
        ("fp32", "the process died of SIGSEGV"),
        ("fp16", "no memory"),
        ("int8", None),
        ("int8", "the process died of SIGSEGV"),
    ]
    assert found[0].agreement_reason == "no pictures were given"


def test_a_model_that_cannot_be_calibrated_still_has_its_float_rows(
    parts: Any, tmp_path: Path
) -> None:
    any_size = save(stem(("N", 3, "H", "W")), tmp_path / "stem.onnx")
    found = list(
        parts.plan.rows(any_size, images=None, duration_s=1, out=tmp_path, do=acted_out({}))
    )
    assert [r.problem is None for r in found] == [True] * 4 + [False]
    assert "takes images of any size" in found[-1].problem


def test_the_grid_is_family_by_width_by_resolution(parts: Any, tmp_path: Path) -> None:
    paths = parts.plan.random_models(tmp_path, [0.25], [64, 96])
    assert [path.stem for path in paths] == [
        f"mobilenet_v{family}_0.25_{side}_random" for family in (1, 2) for side in (64, 96)
    ]


def test_the_whole_run_writes_all_samples_and_the_rows(
    parts: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(parts.jobs, "run", acted_out({"build int8": "refused"}))
    model(tmp_path)
    out = tmp_path / "found" / "results.json"
    code = parts.script.main(
        ["--models", str(tmp_path), "--out", str(out), "--duration", "1", "--skip-tests"]
    )
    assert code == 1
    document = json.loads(out.read_text())
    assert (document["schema"], len(document["rows"])) == ("edgedeploy.gpu-checks/1", 5)
    assert document["rows"][0]["latency"] == {"p50_ms": 1.0, "p99_ms": None, "count": 10}
    assert document["machine"] == GPU
    assert "not measured: refused" in out.with_suffix(".md").read_text()
    printed = capsys.readouterr().out
    assert "NVIDIA Orin (compute capability 8.7)" in printed
    assert "int8     off  not measured: refused" in printed


def test_without_a_gpu_nothing_is_run_and_the_reason_is_told(
    parts: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cuda_memory = importlib.import_module("edgedeploy.runtime.cuda_memory")
    if cuda_memory.find_gpu() is not None:
        pytest.skip("there is a GPU here")
    assert parts.script.main(["--out", str(tmp_path / "r.json")]) == 4
    assert "nothing was run: no NVIDIA GPU can be used here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_job_that_crashes_is_told_by_its_signal(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing = tmp_path / "crashing.py"
    crashing.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    monkeypatch.setattr(parts.jobs, "_WORKER", crashing)
    with pytest.raises(parts.jobs.NotDoneError, match="the process died of SIGKILL"):
        parts.jobs.run({"do": "machine"}, limit_s=60)


def test_a_job_that_takes_too_long_is_ended(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import sys; sys.stdin.read(); import time; time.sleep(60)")
    monkeypatch.setattr(parts.jobs, "_WORKER", slow)
    with pytest.raises(parts.jobs.NotDoneError, match="it was ended after 1 s"):
        parts.jobs.run({"do": "machine"}, limit_s=1)


def test_tests_that_do_not_start_are_an_error_and_no_crash(parts: Any, tmp_path: Path) -> None:
    lacking = tmp_path / "python"
    lacking.write_text("#!/bin/sh\necho 'No module named pytest' >&2\nexit 1\n")
    lacking.chmod(0o755)
    (case,) = parts.suite.run(str(lacking), limit_s=60)
    assert (case.outcome, case.message) == (
        "error",
        "pytest ended with 1: No module named pytest",
    )
