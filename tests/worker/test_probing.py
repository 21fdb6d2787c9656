"""What a place says of itself before anything is measured there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.runtime.runtime import Runtime
from edgedeploy.worker import conditions, probing
from edgedeploy.worker.jobs import ProbeJob
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path


def test_a_library_is_described_as_its_sessions_do(tmp_path: Path) -> None:
    told = probing.probe(ProbeJob(libraries=("onnxruntime", "openvino")))
    with Runtime.load(write_artifact(tmp_path / "a")) as runtime:
        assert told["libraries"]["onnxruntime"] == runtime.info["library"]
        assert told["cores"] == runtime.info["threads"]
    assert told["libraries"]["openvino"].startswith("openvino 20")
    assert told["environment"] == conditions.environment()
    assert told["gpu"] is None


def test_a_library_that_is_not_there_has_no_version() -> None:
    told = probing.probe(ProbeJob(libraries=("tensorrt", "something else")))
    assert told["libraries"]["something else"] is None
    assert "tensorrt" in told["libraries"]


def test_nothing_is_loaded_that_nobody_asks_for() -> None:
    assert probing.probe(ProbeJob())["libraries"] == {}
