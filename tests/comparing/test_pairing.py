from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.comparing import pairing
from tests.comparing.measured import latencies, profile

if TYPE_CHECKING:
    from pathlib import Path


def test_two_files_are_paired_whatever_they_are_of(tmp_path: Path) -> None:
    one = profile(tmp_path)
    other = profile(tmp_path, artifact__precision="int8", threads=None)
    (pair,) = pairing.direct(one, other).pairs
    assert pair.name == (
        "small ort fp32 (local, 8x8, 2 threads) against small ort int8 (local, 8x8)"
    )
    assert (pair.first, pair.second) == (one, other)


def test_folders_are_paired_by_what_the_profiles_are_of_the_newest_of_each(tmp_path: Path) -> None:
    old, new = profile(tmp_path, created_s=1e9), profile(tmp_path, created_s=2e9)
    other = profile(tmp_path, created_s=1.5e9)
    gone, added = profile(tmp_path, model="gone"), profile(tmp_path, threads=1)
    found = pairing.by_key([new, old, gone], [other, added])
    assert [(pair.first, pair.second) for pair in found.pairs] == [(new, other)]
    assert [(one.name, one.reason, one.is_new) for one in found.lonely] == [
        ("gone ort fp32 (local, 8x8, 2 threads)", "only in A", False),
        ("small ort fp32 (local, 8x8, 1 thread)", "only in B", True),
    ]


def test_another_programs_measurement_and_another_scenario_go_with_their_like(
    tmp_path: Path,
) -> None:
    ours, theirs = profile(tmp_path), profile(tmp_path, source="trtexec")
    slow = profile(tmp_path, scenario="server", scenario_options={"rate": 50})
    fast = profile(tmp_path, scenario="server", scenario_options={"rate": 100})
    found = pairing.by_key([ours, theirs, slow, fast], [fast, slow, theirs, ours])
    assert found.lonely == ()
    assert [pair.name for pair in found.pairs] == [
        "small ort (trtexec) fp32 (local, 8x8, 2 threads)",
        "small ort fp32 (local, 8x8, 2 threads)",
        "small ort fp32 (local, server, 100/s, 8x8, 2 threads)",
        "small ort fp32 (local, server, 50/s, 8x8, 2 threads)",
    ]
    assert all(pair.first is pair.second for pair in found.pairs)


def test_a_power_mode_is_paired_with_itself_and_only_else_with_another(tmp_path: Path) -> None:
    weak = profile(tmp_path, device__power_mode="10W")
    strong = profile(tmp_path, device__power_mode="MAXN", created_s=2e9)
    both = pairing.by_key([weak, strong], [strong, weak])
    assert all(pair.first is pair.second for pair in both.pairs)
    assert [pair.name for pair in both.pairs] == [
        "small ort fp32 (local, 10W, 8x8, 2 threads)",
        "small ort fp32 (local, MAXN, 8x8, 2 threads)",
    ]
    (wrong,) = pairing.by_key([weak], [strong]).pairs
    assert (wrong.first, wrong.second) == (weak, strong)


def test_a_baseline_counts_on_its_own_machine_only(tmp_path: Path) -> None:
    here = profile(tmp_path, ns=latencies(100))
    older = profile(tmp_path, created_s=1e9)
    elsewhere = profile(tmp_path, environment__backend="onnxruntime 1.3", created_s=2e9)
    never = profile(tmp_path, model="new")
    found = pairing.with_baseline([older, here, elsewhere], [here, never])
    assert [(pair.first, pair.second) for pair in found.pairs] == [(here, here)]
    assert [one.reason for one in found.lonely] == ["no baseline"]
    (lonely,) = pairing.with_baseline([elsewhere], [here]).lonely
    assert lonely.is_new
    assert lonely.reason == (
        "no baseline for this machine: "
        "environment.backend 'onnxruntime 1.3' there, 'onnxruntime 1.2.3' here"
    )
