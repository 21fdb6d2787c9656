"""`edgedeploy compare` and `select` as a user types them, on profiles that are already there."""

from __future__ import annotations

import json
import os
import shutil
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.cli import app
from edgedeploy.profiling import records
from tests.comparing.measured import latencies, profile
from tests.selecting.variants import variant

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with profiles from before and after, one of them 20 % slower."""
    monkeypatch.chdir(tmp_path)
    slow = profile(tmp_path, ns=latencies(scale=1.2, seed=1))
    records.write(profile(tmp_path), tmp_path / "before").rename(tmp_path / "before" / "a.json")
    records.write(slow, tmp_path / "profiles").rename(tmp_path / "profiles" / "b.json")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any]:
    code = app.run([*argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_two_files_are_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run(capsys, "compare", "before/a.json", "profiles/b.json")
    (one,) = found["comparisons"]
    assert (code, one["changes"]["p50"]["says"]) == (0, "slower")
    assert one["first"]["label"] == "before/a.json, 2026-11-22T07:30:00Z"


def test_a_file_with_an_odd_name_is_named_harmlessly(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = os.fsdecode(b"\x1b[31m\xff.json")
    shutil.copy(here / "before" / "a.json", here / odd)
    assert app.run(["compare", odd, "profiles/b.json", "-o", "compare.md"]) == 0
    assert "A  '\\x1b[31m\\udcff.json', 2026" in capsys.readouterr().out
    assert "udcff" in (here / "compare.md").read_text()


def test_a_gate_fails_two_folders_and_leaves_markdown_and_junit(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["compare", "before", "profiles", "--fail-if", "p99 > +5%", "--fail-if", "energy > +5%"]
    assert app.run([*argv, "-o", "out/compare.md", "--junit", "out/junit.xml"]) == 1
    out, err = capsys.readouterr()
    assert "  failed: p99 > +5%: +" in out
    assert "  cannot tell: energy > +5%: A and B: no sensor" in out
    assert out.endswith("gates: 1 failed, 1 cannot tell, 0 passed\n")
    assert "written: out/compare.md" in err
    assert (here / "out" / "compare.md").read_text().startswith("### small ort fp32")
    suite = ET.parse(here / "out" / "junit.xml").getroot()[0]
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("1", "1")


def test_what_cannot_be_told_is_exit_code_8_or_passes(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["compare", "before", "profiles", "--fail-if", "energy > +5%"]
    code, found = run(capsys, *argv)
    assert (code, found["exit_code"], found["gates"][0]["state"]) == (8, 8, "cannot tell")
    assert run(capsys, *argv, "--on-unknown", "pass")[0] == 0


def test_a_baseline_is_the_one_of_this_machine(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["compare", "--baseline", "before", "--fail-if", "p50 > +5%"]
    assert run(capsys, *argv)[0] == 1
    shutil.rmtree(here / "before")
    records.write(profile(here, environment__backend="onnxruntime 9"), here / "before")
    code, found = run(capsys, *argv, "profiles")
    assert (code, found["comparisons"]) == (8, [])
    assert "onnxruntime 9" in found["unpaired"][0]["reason"]


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["before"], 2, "compare takes two profiles or two folders, got 1"),
        (["before", "profiles", "--fail-if", "p99 > 5%"], 2, "has no sign"),
        (["before", "profiles", "--junit", "x.xml"], 2, "--junit has nothing to write"),
        (["before", "profiles", "-o", "x.html"], 2, "x.html does not end in .md"),
        (["before", "absent.json"], 6, "absent.json cannot be read"),
        (["--baseline", "absent"], 2, "the baseline absent is no folder"),
        (["--baseline", "before", "a", "b"], 2, "with one profile or one folder, got 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, problem: str
) -> None:
    found, document = run(capsys, "compare", *argv)
    assert found == document["error"]["exit_code"] == code
    assert problem in document["error"]["problem"]


def test_a_damaged_profile_of_a_folder_is_left_out_and_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "before" / "my broken.json").write_text("{")
    for argv in (["compare", "before", "profiles"], ["compare", "--baseline", "before"]):
        assert app.run(argv) == 1
        said = capsys.readouterr()
        assert "p50" in said.out
        assert said.err.startswith("skipped before/my broken.json: is no JSON")
        assert "fix: delete it: rm 'before/my broken.json'" in said.err
        code, found = run(capsys, *argv)
        assert (code, found["exit_code"], len(found["comparisons"])) == (1, 1, 1)
        assert found["skipped"][0]["profile"] == "before/my broken.json"
    assert app.run(["select", "before"]) == 1
    said = capsys.readouterr()
    assert "chosen: small" in said.out
    assert "skipped before/my broken.json: is no JSON" in said.err
    assert run(capsys, "select", "before")[1]["skipped"][0]["exit_code"] == 6


def test_no_gate_can_be_told_for_a_damaged_profile(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "profiles" / "broken.json").write_text("{")
    argv = ["compare", "before", "profiles", "--fail-if"]
    assert run(capsys, *argv, "p50 > +5%")[0] == 1
    code, found = run(capsys, *argv, "p50 > +50%")
    assert code == 8
    assert [gate["state"] for gate in found["gates"]] == ["passed", "cannot tell"]
    assert run(capsys, *argv, "p50 > +50%", "--on-unknown", "pass")[0] == 0


@pytest.mark.parametrize(
    "argv", [["compare", "before/a.json", "README.md"], ["select", "README.md"]]
)
def test_a_file_that_is_no_profile_is_an_error_that_says_what_to_pass(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    (here / "README.md").write_text("# words")
    code, document = run(capsys, *argv)
    assert (code, document["error"]["problem"][:20]) == (6, "README.md is no JSON")
    assert document["error"]["fix"].startswith("pass a profile, a .json file")


def test_folders_with_nothing_in_common_and_numbers_of_two_kinds_are_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records.write(profile(here, model="x"), here / "other")
    code, document = run(capsys, "compare", "before", "other")
    assert code == 6
    assert "before and other have no variant in common" in document["error"]["problem"]
    records.write(profile(here, inside=["compute"]), here / "inner")
    code, document = run(capsys, "compare", "before", "inner", "--fail-if", "p50 > +5%")
    assert code == 7
    assert "inside: h2d + compute + d2h against compute" in document["error"]["problem"]


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three variants in ``./profiles``."""
    monkeypatch.chdir(tmp_path)
    for name, top1, p99 in (("large", 0.9, 20.0), ("medium", 0.8, 9.0), ("small", 0.7, 3.0)):
        records.write(variant(tmp_path, name, top1=top1, p99=p99), tmp_path / "profiles")
    return tmp_path


def test_the_best_that_keeps_to_every_limit_is_selected(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["--max-p99", "10ms", "--min-top1", "0.60", "--max-rss", "200MB", "--max-size", "5MB"]
    code, found = run(capsys, "select", *limits)
    assert (code, found["chosen"]) == (0, "medium ort fp32")
    assert found["pareto"]["front"] == ["large ort fp32", "medium ort fp32", "small ort fp32"]
    fates = {one["model"]: one["fell"] for one in found["candidates"]}
    assert fates["large"] == ["p99 20.00 ms, asked for --max-p99 10ms"]
    assert run(capsys, "select", "profiles", "--prefer", "latency")[1]["chosen"] == "small ort fp32"


def test_the_table_shows_the_choice_and_why_the_others_fell(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["select", "--max-p99", "10ms"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["variant", "p99", "top-1", "energy", "peak", "RSS", "size"]
    assert lines[2].startswith(">*  medium ort fp32")
    assert all(len(line) <= 80 for line in lines[:4])
    assert "fell: large ort fp32: p99 20.00 ms, asked for --max-p99 10ms" in lines


def test_where_none_is_feasible_the_nearest_is_named_and_the_exit_code_is_1(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["select", "--max-p99", "8ms", "--min-top1", "75%"]) == 1
    out = capsys.readouterr().out
    assert "no variant keeps to every limit" in out
    assert "nearest: small ort fp32, with --min-top1 0.7000 (-6.67 %)" in out


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["--max-p99", "10"], 2, "--max-p99 is '10': it has no unit"),
        (["--min-top1", "60"], 2, "a share is from 0 to 1"),
        (["--device", "jetson-nano"], 6, "no profile has device 'jetson-nano'; there is local"),
        (["--prefer", "beauty"], 2, "beauty"),
        (["absent"], 6, "absent cannot be read"),
    ],
)
def test_what_cannot_be_selected_from_is_refused(
    measured: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, problem: str
) -> None:
    found, document = run(capsys, "select", *argv)
    assert found == document["error"]["exit_code"] == code
    assert problem in document["error"]["problem"]


def test_a_limit_on_device_memory_is_one_that_no_cpu_is_known_to_keep(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["select", "--max-device-memory", "200MB"]) == 1
    out = capsys.readouterr().out
    assert "fell: small ort fp32: device memory not measured" in out
    assert "might do" not in out  # it is never measured of an engine on a CPU
    told: dict[str, Any] = {
        "memory_mb__device": 150.0,
        "memory_mb__device_rule": "held (NVML)",
    }
    records.write(variant(measured, "light", top1=0.5, **told), measured / "profiles")
    code, found = run(capsys, "select", "--max-device-memory", "200MB")
    assert (code, found["chosen"]) == (0, "light ort fp32")
