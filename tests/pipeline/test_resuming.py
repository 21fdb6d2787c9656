"""What counts as measured already, and what does not."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy import pipeline
from edgedeploy.pipeline import resuming
from edgedeploy.pipeline.resuming import Place
from edgedeploy.profiling import records
from edgedeploy.profiling.measuring import ProfileSpec
from edgedeploy.profiling.records import ProfileRecord
from edgedeploy.runtime import manifest as manifests
from tests import fake_board
from tests.artifacts import write_artifact
from tests.profiling.documents import raw_result, record

if TYPE_CHECKING:
    from edgedeploy.runtime.manifest import Manifest

SPEC = ProfileSpec()
HERE = Place(
    board={"name": "local", "model": "Intel N100", "power_mode": None},
    python="3.6.9",
    cores=2,
    libraries={"onnxruntime": "onnxruntime 1.2.3", "openvino": "openvino 5"},
)


def measured(folder: Path, spec: ProfileSpec = SPEC, **changes: Any) -> ProfileRecord:
    """A profile of the artifact in ``folder``, as `HERE` would measure it."""
    return record(
        folder, result=raw_result(**changes), scenario=spec.scenario, options=spec.options()
    )


def read(folder: Path) -> Manifest:
    return manifests.read(str(folder))


def changed(found: ProfileRecord, path: str, value: Any) -> ProfileRecord:
    document = json.loads(json.dumps(found.document))
    *parts, last = path.split(".")
    inner = document
    for part in parts:
        inner = inner[part]
    inner[last] = value
    return ProfileRecord(document)


def test_the_same_again_differs_in_nothing(tmp_path: Path) -> None:
    found = measured(tmp_path / "a")
    assert resuming.differences(found, read(tmp_path / "a"), SPEC, HERE) == []
    kept = records.write(found, tmp_path / "profiles")
    assert resuming.differences(records.read(kept), read(tmp_path / "a"), SPEC, HERE) == []


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"duration_s": 5.0}, "scenario_options"),
        ({"percentile": "p99"}, "scenario_options"),
        ({"min_runs": 100}, "scenario_options"),
        ({"seed": 1}, "scenario_options"),
        ({"scenario": "multi"}, "scenario"),
        ({"threads": 1}, "threads"),
        ({"side": (16, 16)}, "side"),
        ({"device": "jetson-nano"}, "device"),
        ({"engine_device": "gpu"}, "engine device"),
        ({"layers": True}, "it was measured without --layers"),
    ],
)
def test_what_is_asked_for_otherwise_differs(
    asked: dict[str, Any], name: str, tmp_path: Path
) -> None:
    found, spec = measured(tmp_path / "a"), replace(SPEC, **asked)
    told = resuming.differences(found, read(tmp_path / "a"), spec, HERE)
    assert any(text.startswith(name) for text in told)


@pytest.mark.parametrize(
    ("scenario", "before", "now"),
    [
        ("multi", {"streams": 2}, {"streams": 3}),
        ("server", {"rate": 10.0}, {"rate": 20.0}),
        ("server", {"rate": 10.0, "streams": 1}, {"rate": 10.0, "streams": 2}),
        ("camera", {"fps": 10.0}, {"fps": 20.0}),
        ("offline", {"batches": (1, 2)}, {"batches": (1, 4)}),
        ("offline", {}, {"batches": (1, 4)}),
    ],
)
def test_every_setting_of_a_scenario_counts(
    scenario: str, before: dict[str, Any], now: dict[str, Any]
) -> None:
    options = [replace(SPEC, scenario=scenario, **asked).options() for asked in (before, now)]
    assert options[0] != options[1]


@pytest.mark.parametrize(
    ("now", "name"),
    [
        ({"board": {**HERE.board, "name": "jetson-nano"}}, "device"),
        ({"board": {**HERE.board, "model": "Intel N200"}}, "device.model"),
        ({"board": {**HERE.board, "power_mode": "5W"}}, "power mode"),
        ({"python": "3.8.10"}, "python"),
        ({"cores": 4}, "threads"),
        ({"libraries": {"onnxruntime": "onnxruntime 1.3"}}, "backend"),
        ({"libraries": {"onnxruntime": None}}, "backend"),
    ],
)
def test_another_place_differs(now: dict[str, Any], name: str, tmp_path: Path) -> None:
    found = measured(tmp_path / "a")
    (told,) = resuming.differences(found, read(tmp_path / "a"), SPEC, replace(HERE, **now))
    assert told.startswith(f"{name} is ")


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        ("artifact.sha256", "another", "artifact is 'another'"),
        ("artifact.precision", "bf16", "precision is 'bf16', now it is 'fp32'"),
        ("model", "large", "model is 'large', now it is 'small'"),
        ("environment.edgedeploy", "0.0.1", "edgedeploy is '0.0.1'"),
        ("environment.engine_device", "GPU", "engine device is 'GPU'"),
        ("verdict.level", "invalid", "its verdict is invalid"),
        ("source", "trtexec", "source is 'trtexec', now it is None"),
        ("ab", {"with": "b"}, "ab is "),
        ("scenario_options", None, "scenario_options is None"),
    ],
)
def test_another_profile_differs(path: str, value: Any, name: str, tmp_path: Path) -> None:
    found = changed(measured(tmp_path / "a"), path, value)
    (told,) = resuming.differences(found, read(tmp_path / "a"), SPEC, HERE)
    assert told.startswith(name)


def test_a_doubted_profile_counts_and_so_do_layers_that_nobody_asks_for(tmp_path: Path) -> None:
    found = changed(measured(tmp_path / "a"), "verdict.level", "suspect")
    found = changed(found, "layers_runs", 100)
    assert resuming.differences(found, read(tmp_path / "a"), SPEC, HERE) == []
    asked = replace(SPEC, layers=True)
    assert resuming.differences(found, read(tmp_path / "a"), asked, HERE) == []


def test_streams_share_the_cores_of_the_place(tmp_path: Path) -> None:
    spec = replace(SPEC, scenario="multi", streams=2)
    runtime = {"library": "onnxruntime 1.2.3", "device": "CPU", "threads": 4}
    found = changed(measured(tmp_path / "a", runtime=runtime), "scenario", "multi")
    found = changed(found, "scenario_options", spec.options())
    about = read(tmp_path / "a")
    assert resuming.differences(found, about, spec, replace(HERE, cores=8)) == []
    assert resuming.differences(found, about, spec, replace(HERE, cores=6)) == [
        "threads is 4, now it is 3"
    ]


@pytest.mark.parametrize(
    ("built_for", "ran_on", "same"),
    [
        ("CPU", "CPU", True),
        ("GPU", "GPU.0", True),
        ("GPU", "CPU", False),
        ("CPU", "GPU.0", False),
        ("AUTO", "CPU", True),
        ("AUTO", "GPU.0", True),
    ],
)
def test_openvinos_device_is_compared_where_it_is_known_before(
    built_for: str, ran_on: str, *, same: bool, tmp_path: Path
) -> None:
    options = {"ov_device": built_for}
    write_artifact(tmp_path / "a", backend="openvino", options=options)
    threads = 2 if ran_on == built_for == "CPU" else None
    runtime = {"library": "openvino 5", "device": ran_on, "threads": threads}
    told = resuming.differences(
        measured(tmp_path / "a", runtime=runtime), read(tmp_path / "a"), SPEC, HERE
    )
    assert same == (not any(text.startswith("engine device is ") for text in told))


@pytest.mark.parametrize(("gpu", "same"), [("Orin", True), ("RTX", False)])
def test_tensorrts_gpu_and_package_are_compared(gpu: str, *, same: bool, tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", backend="trt", runs_on={"library": "tensorrt"})
    place = replace(HERE, libraries={"tensorrt": "tensorrt 10.3"}, gpu=gpu)
    runtime = {"library": "tensorrt 10.3", "device": "Orin", "threads": None}
    found = measured(tmp_path / "a", runtime=runtime)
    told = resuming.differences(found, read(tmp_path / "a"), SPEC, place)
    assert told == ([] if same else ["engine device is 'Orin', now it is 'RTX'"])


def test_a_folder_without_profiles_of_the_artifacts_starts_no_worker(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a")
    spec = replace(SPEC, python=Path("/no/python"))
    out = tmp_path / "profiles"
    assert pipeline.find_measured([tmp_path / "a"], spec, out=out) == {}
    records.write(changed(measured(tmp_path / "b"), "artifact.sha256", "another"), out)
    assert pipeline.find_measured([tmp_path / "a"], spec, out=out) == {}


def test_the_newest_of_several_is_found_and_a_damaged_one_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_artifact(tmp_path / "a")
    place = resuming.look({"onnxruntime"}, SPEC, None)
    runtime = {"library": place.libraries["onnxruntime"], "device": "CPU", "threads": place.cores}
    found = measured(
        folder,
        runtime=runtime,
        board=dict(place.board),
        environment={"python": place.python, "numpy": "1.13.3"},
    )
    out = tmp_path / "profiles"
    for created in ("2026-11-22T07:30:00Z", "2026-11-22T09:30:00Z", "2026-11-22T08:30:00Z"):
        records.write(changed(found, "created", created), out)
    (out / "broken.json").write_text("{")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "manifest.json").write_text("{")
    done = pipeline.find_measured([folder, tmp_path / "damaged"], SPEC, out=out)
    assert list(done) == [folder]
    assert done[folder].record.created == "2026-11-22T09:30:00Z"
    assert done[folder].path.is_file()
    assert done[folder].shown.document["resumed"] is True
    assert "resumed" not in done[folder].record.document
    assert f"does not count as measured: {out}/broken.json is no JSON" in caplog.text


def test_a_board_is_asked_by_its_own_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_board.make(tmp_path, monkeypatch)
    with pipeline.reach("me@board", Path(sys.executable)) as board:
        place = resuming.look({"onnxruntime", "tensorrt"}, SPEC, board)
    assert place.board["name"] == "local"
    assert place.python == ".".join(map(str, sys.version_info[:3]))
    assert (place.libraries["onnxruntime"] or "").startswith("onnxruntime ")
    assert place.libraries["tensorrt"] is None
    assert place.cores >= 1
