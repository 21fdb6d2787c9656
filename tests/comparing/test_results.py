from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.comparing import gates, junit, pairing, results, showing
from edgedeploy.comparing.gates import Outcome
from tests.comparing.measured import latencies, profile

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.comparing.results import Results
    from edgedeploy.profiling.records import ProfileRecord

P50, SIZE = "p50 > +5%", "size > +5%"


def run(
    first: list[ProfileRecord], second: list[ProfileRecord], *texts: str, strict: bool = True
) -> Results:
    return results.compare_all(
        pairing.by_key(first, second),
        [gates.parse(text) for text in texts],
        labels=("old", "new"),
        lonely_counts=strict,
    )


def slower(folder: Path, **changes: Any) -> ProfileRecord:
    return profile(folder, ns=latencies(scale=1.2, seed=1), **changes)


def test_the_exit_code_is_0_not_worse_1_worse_7_refused_8_cannot_tell(tmp_path: Path) -> None:
    good = profile(tmp_path)
    doubtful = slower(tmp_path, verdict={"level": "suspect", "reasons": ["busy"]})
    other = slower(tmp_path, inside=["compute"])
    codes = {
        0: run([good], [good], P50, SIZE),
        1: run([good], [slower(tmp_path)], SIZE, P50),
        7: run([good], [other], P50),
        8: run([good], [doubtful], P50, SIZE),
    }
    assert {found.exit_code(unknown_fails=True): found for found in codes.values()} == codes
    assert codes[8].exit_code(unknown_fails=False) == 0
    assert codes[7].exit_code(unknown_fails=False) == 7
    assert run([good], [doubtful]).exit_code(unknown_fails=True) == 0


def test_what_is_worse_outweighs_what_was_refused(tmp_path: Path) -> None:
    good, named = profile(tmp_path), profile(tmp_path, model="x")
    found = run([good, named], [slower(tmp_path), slower(tmp_path, model="x", inside=["d2h"])], P50)
    assert len(found.refusals) == len(found.comparisons) == 1
    assert found.exit_code(unknown_fails=True) == 1


def test_what_vanished_cannot_be_told_unless_it_is_a_baseline(tmp_path: Path) -> None:
    good, gone = profile(tmp_path), profile(tmp_path, model="gone")
    assert run([good, gone], [good], P50).exit_code(unknown_fails=True) == 8
    assert run([good, gone], [good], P50, strict=False).exit_code(unknown_fails=True) == 0
    assert run([good], [good, gone], P50, strict=False).exit_code(unknown_fails=True) == 8


def test_progress_is_told_pair_by_pair(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    pairs = pairing.by_key([profile(tmp_path)], [profile(tmp_path)])
    results.compare_all(
        pairs, (), labels=("a", "b"), lonely_counts=True, progress=lambda *at: told.append(at)
    )
    assert told == [(1, 1)]


def test_tables_fit_80_columns_and_say_why_nothing_can_be_told(tmp_path: Path) -> None:
    changed = slower(tmp_path, artifact__size_bytes=3_456_789, threads=1)
    pair = pairing.direct(profile(tmp_path), changed)
    found = results.compare_all(
        pair, [gates.parse("p99 > +5%")], labels=("old", "new"), lonely_counts=True
    )
    lines = list(showing.lines(found))
    assert lines[1:3] == ["  A  old, 2026-11-22T07:30:00Z", "  B  new, 2026-11-22T07:30:00Z"]
    table = lines[3:7]
    assert table[0].split() == ["metric", "A", "B", "change", "95", "%", "interval", "says"]
    assert [line.split()[0] for line in table[1:]] == ["p50", "p99", "size"]
    assert all(len(line) <= 80 for line in table)
    assert table[1].endswith("slower")
    assert table[3].endswith("larger")
    assert lines[7] == "  differs: threads: 2 against 1"
    assert lines[8].startswith("  failed: p99 > +5%: +")
    assert lines[9:] == ["gates: 1 failed, 0 cannot tell, 0 passed"]


def test_an_energy_that_a_sensor_failed_to_give_has_its_reason(tmp_path: Path) -> None:
    failed = profile(tmp_path, power_reason="tegrastats: it wrote no line that can be read")
    told = list(showing.lines(run([profile(tmp_path)], [failed])))
    assert any(line.startswith("  energy  ") and line.endswith("cannot tell") for line in told)
    assert any("B: tegrastats: it wrote no line" in line for line in told)


def test_the_same_stands_in_markdown_with_names_made_harmless(tmp_path: Path) -> None:
    bad = "my|net<b>"
    found = run([profile(tmp_path, model=bad)], [slower(tmp_path, model=bad)], P50)
    text = showing.markdown(found)
    assert "### my\\|net\\<b\\> ort fp32" in text
    assert "| metric | A | B | change | 95 % interval | says |" in text
    assert "- failed: p50 \\> +5%:" in text


def test_refused_and_unpaired_are_named(tmp_path: Path) -> None:
    gone = profile(tmp_path, model="gone")
    found = run([profile(tmp_path), gone], [profile(tmp_path, inside=["compute"])], P50)
    told = "\n".join(showing.lines(found))
    assert "refused: small ort fp32" in told
    assert "inside: h2d + compute + d2h against compute" in told
    assert "not compared: gone ort fp32 (local, 8x8, 2 threads): only in A" in told
    document = showing.document(found, exit_code=7)
    assert [one["name"] for one in document["unpaired"]] == [
        "gone ort fp32 (local, 8x8, 2 threads)"
    ]
    assert document["refused"][0]["fix"].startswith("measure both in the same way")


def test_the_document_has_every_metric_with_its_interval(tmp_path: Path) -> None:
    found = run([profile(tmp_path)], [slower(tmp_path)], P50)
    (one,) = showing.document(found, exit_code=1)["comparisons"]
    p50 = one["changes"]["p50"]
    assert p50["says"] == "slower"
    assert p50["ratio_ci95"][0] < p50["ratio"] < p50["ratio_ci95"][1]
    assert p50["difference_ci95"][0] > 0
    assert one["changes"]["energy"]["ratio_ci95"] is None
    assert one["first"]["verdict"] == {"level": "measured", "reasons": []}


@pytest.mark.parametrize(("strict", "tag"), [(True, "error"), (False, "skipped")])
def test_junit_has_a_case_for_each_gate_and_counts_them(*, strict: bool, tag: str) -> None:
    outcomes = [
        Outcome("a & b", P50, "p50", "failed", "+6 % to <7 %"),
        Outcome("a & b", SIZE, "size", "passed", "+0 %"),
        Outcome("c", P50, "p50", "cannot tell", "B: suspect"),
    ]
    suite = ET.fromstring(junit.render(outcomes, unknown_fails=strict))[0]
    assert suite.attrib["tests"] == "3"
    assert suite.attrib["failures"] == "1"
    assert (suite.attrib["errors"], suite.attrib["skipped"]) == (
        ("1", "0") if strict else ("0", "1")
    )
    failed, passed, unknown = suite
    assert (failed.attrib["classname"], failed[0].tag) == ("a & b", "failure")
    assert failed[0].attrib["message"] == "+6 % to <7 %"
    assert (passed[0].tag, passed[0].text) == ("system-out", "+0 %")
    assert unknown[0].tag == tag


def test_layers_and_points_are_counted_and_two_tables_stand_apart(tmp_path: Path) -> None:
    def two(**changes: Any) -> list[ProfileRecord]:
        return [profile(tmp_path, **changes), profile(tmp_path, model="x", **changes)]

    found = run(
        two(artifact__runs={"int8": 27}, accuracy={"top1": 0.875, "count": 10**6}),
        two(artifact__runs={"int8": 25}, accuracy={"top1": 0.870, "count": 10**6}),
    )
    told = list(showing.lines(found))
    assert told.count("") == 1
    rows = [line.split() for line in told]
    assert ["int8", "layers", "27", "25", "-2", "–", "fewer"] in rows
    (top1,) = (row for row in rows[:9] if row[0] == "top-1")
    assert " ".join(top1[1:]) == "87.50 % 87.00 % -0.50 pt -0.6 … -0.4 pt lower"
