"""tests/gpu on an acted-out GPU, so that what can be tested on real ones only does not rot.

`tests/gpu/vendors` stands in for cuda-python and for TensorRT 10.13, in processes of their own;
nothing of ours is replaced. It proves the tests and what they call, and nothing of a real GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.models import save, stem

ROOT = Path(__file__).parents[1]
VENDORS = ROOT / "tests" / "gpu" / "vendors"
# What these measure is noise on a CPU.
TIMED = "bound_call_is or graphs_save or add_up"


def environment(cache: Path) -> dict[str, str]:
    """Put the acted-out packages first, and the timing cache out of the user's way."""
    path = os.pathsep.join([str(VENDORS), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(cache)}


def test_the_gpu_tests_pass_on_an_acted_out_pc(tmp_path: Path) -> None:
    said = run_suite(tmp_path, f"not ({TIMED})")
    assert int(said.rsplit(" passed", 1)[0].split()[-1]) > 80


def test_the_gpu_tests_pass_on_an_acted_out_jetson(tmp_path: Path) -> None:
    said = run_suite(tmp_path, "copied or dla or graph_follows or 2-4-20", ACTED_OUT_JETSON="1")
    assert "skipped" not in said.splitlines()[-1]


def run_suite(folder: Path, select: str, **variables: str) -> str:
    """Run the tests of tests/gpu that ``select`` names; return what pytest prints."""
    command = ["-m", "pytest", "tests/gpu", "-q", "-k", select, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, *command, f"--basetemp={folder / 'base'}"],
        cwd=ROOT,
        env={**environment(folder), **variables},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout.strip()


def test_gpu_checks_measures_on_an_acted_out_gpu(tmp_path: Path) -> None:
    save(stem(("N", 3, 32, 32)), tmp_path / "stem.onnx")
    out = tmp_path / "found" / "results.json"
    script = ROOT / "benchmarks" / "gpu_checks.py"
    options = ["--models", str(tmp_path), "--out", str(out), "--duration", "0.2"]
    options += ["--select", "float_engine_agrees"]
    done = subprocess.run(
        [sys.executable, str(script), *options],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(out.read_text())
    assert [case["outcome"] for case in document["cases"]] == ["passed"] * 4
    assert all(float(case["measured"]["error"]) < 0.02 for case in document["cases"])
    rows = document["rows"]
    assert [(row["precision"], row["graphs"], row["problem"]) for row in rows] == [
        (precision, graphs, None)
        for precision in ("fp32", "fp16", "int8")
        for graphs in (False, True)
    ]
    assert {row["no_graph"] for row in rows} == {None}
    assert all(row["latency"]["count"] >= 64 and row["device_bytes"] > 0 for row in rows)
    assert {tuple(row["stages_ms"])[:3] for row in rows} == {("h2d", "compute", "d2h")}
    assert rows[-1]["int8_mode"] == "typed"
