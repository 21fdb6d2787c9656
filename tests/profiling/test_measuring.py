from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from edgedeploy.errors import ArtifactError, UnknownNameError, UnsupportedError, UsageError
from edgedeploy.profiling import measuring, records
from edgedeploy.profiling.measuring import ProfileSpec
from tests.artifacts import write_artifact

VARIANT = {"family": "mobilenet_v1", "alpha": 0.25, "resolution": 8, "rho": 0.5}


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "artifact", variant=VARIANT)


def test_an_artifact_becomes_a_record_that_can_be_kept(artifact: Path, tmp_path: Path) -> None:
    told: list[tuple[str, float, float]] = []
    record = measuring.profile(
        artifact,
        ProfileSpec(duration_s=0.2, threads=1, min_runs=700),
        progress=lambda text, done, total: told.append((text, done, total)),
    )
    document = record.document
    assert document["variant"] == VARIANT
    assert document["latency_ms"]["count"] == len(record.samples_ns()) >= 700
    assert document["latency_ms"]["p99"] >= document["latency_ms"]["p50"] > 0
    assert document["threads"] == 1
    assert document["cost"] == {"multiply_adds": 12, "parameters": 12}
    assert document["memory_mb"]["peak_rss"] > document["memory_mb"]["rss"]["start"] > 5
    assert ("timing", 0.0, 0.2) in told
    assert records.read(records.write(record, tmp_path / "profiles")) == record


def test_another_python_measures_with_a_copy(artifact: Path) -> None:
    spec = ProfileSpec(duration_s=0.05, threads=1, python=Path(sys.executable))
    assert measuring.profile(artifact, spec).document["latency_ms"]["count"] >= 64


def test_a_board_that_this_machine_is_not_is_refused_with_both(artifact: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"--device jetson-nano was asked for.*'local'"):
        measuring.profile(artifact, ProfileSpec(device="jetson-nano"))


def test_a_board_that_nobody_makes_is_refused_with_a_suggestion(artifact: Path) -> None:
    with pytest.raises(UnknownNameError, match="no device is called 'jetson-nanoo'") as caught:
        measuring.profile(artifact, ProfileSpec(device="jetson-nanoo"))
    assert "'jetson-nano'" in caught.value.fix


def test_local_is_this_machine(artifact: Path) -> None:
    spec = ProfileSpec(device="local", duration_s=0.05, threads=1, command=("edgedeploy", "a b"))
    document = measuring.profile(artifact, spec).document
    assert document["device"]["name"] == "local"
    assert document["command"] == ["edgedeploy", "a b"]


def test_a_folder_that_is_no_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is no artifact"):
        measuring.profile(tmp_path, ProfileSpec())


def test_a_vendor_device_that_is_not_there_comes_back_as_unsupported(artifact: Path) -> None:
    with pytest.raises(UnsupportedError, match="GPU"):
        measuring.profile(artifact, ProfileSpec(engine_device="GPU"))


@pytest.mark.parametrize(
    ("wishes", "problem"),
    [
        ({"duration_s": -1.0}, "--duration is -1, it must be 0 to 86400 seconds"),
        ({"duration_s": 1e300}, r"--duration is 1e\+300, it must be"),
        ({"duration_s": float("nan")}, "--duration is nan, it must be"),
        ({"min_runs": 0}, "cannot time 0 runs"),
        ({"timeout_s": 0.0}, "cannot time 1 runs with 0.0 s of patience"),
    ],
)
def test_impossible_wishes_are_refused(wishes: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        ProfileSpec(**wishes)


@pytest.mark.parametrize(
    ("scenario", "fix"),
    [("cam", "did you mean 'camera'"), ("burst", "use one of: camera, multi, offline, server")],
)
def test_a_scenario_that_there_is_not_is_refused_with_a_suggestion(scenario: str, fix: str) -> None:
    with pytest.raises(UnknownNameError, match=f"no scenario is called '{scenario}'") as caught:
        ProfileSpec(scenario=scenario)
    assert caught.value.fix.startswith(fix)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("percentile", "runs"), [("p90", 64), ("p95", 130), ("p97", 219), ("p99", 662), ("p99.9", 6636)]
)
def test_the_wanted_percentile_says_how_many_calls_there_are(percentile: str, runs: int) -> None:
    assert ProfileSpec(percentile=percentile).least_runs == runs
    assert ProfileSpec(percentile=percentile, min_runs=9000).least_runs == 9000


def test_a_percentile_that_no_record_has_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="no percentile is called 'p98'") as caught:
        ProfileSpec(percentile="p98")
    assert "'p99'" in caught.value.fix


def test_a_record_says_what_was_asked(artifact: Path) -> None:
    record = measuring.profile(artifact, ProfileSpec(duration_s=0, percentile="p97", threads=1))
    assert record.document["scenario_options"] == {
        "duration_s": 0,
        "percentile": "p97",
        "min_runs": 219,
        "seed": 0,
    }
    assert record.document["scenario_results"] == {}
    assert record.document["latency_ms"]["count"] >= 219
    assert record.document["latency_ms"]["bounds"]["p97"] is not None
    assert record.document["latency_ms"]["bounds"]["p99"] is None


@pytest.mark.parametrize(
    ("scenario", "wishes", "problem"),
    [
        ("single", {"streams": 2}, "--streams is a setting of the scenario multi and server"),
        ("offline", {"rate": 5.0}, "--rate is a setting of the scenario server, offline was"),
        ("server", {"rate": 5.0, "fps": 5.0}, "--fps is a setting of the scenario camera"),
        ("multi", {"batches": (1,)}, "--batches is a setting of the scenario offline"),
        ("server", {}, "server needs to know how many queries"),
        ("server", {"rate": float("nan")}, "--rate is nan, it must be 0.1 to 100000"),
        ("camera", {"fps": 0.0}, "--fps is 0, it must be 0.1 to"),
        ("camera", {"fps": 1e5, "duration_s": 3600.0}, "3600 s of that are more than"),
        ("multi", {"streams": 65}, "--streams is 65, it must be 1 to 64"),
        ("offline", {"batches": (1, 2000)}, "--batches is 1, 2000, it must be 1 to 1024"),
        ("offline", {"batches": ()}, "--batches is empty"),
    ],
)
def test_settings_that_make_no_sense_in_a_scenario_are_refused(
    scenario: str, wishes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        ProfileSpec(scenario=scenario, **wishes)
