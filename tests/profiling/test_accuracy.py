from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import FileError
from edgedeploy.profiling import accuracy
from edgedeploy.runtime import manifest as manifests
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.runtime.manifest import Manifest

SHIPPED = {
    "schema": "edgedeploy.accuracy/1",
    "date": "2026-11-20",
    "models": {"small": {"ort-fp32": {"top1": 0.5, "count": 100, "data": "test split"}}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "artifact")


@pytest.fixture
def manifest(folder: Path) -> Manifest:
    return manifests.read(str(folder))


def test_an_evaluation_beside_the_artifact_comes_first(
    tmp_path: Path, folder: Path, manifest: Manifest
) -> None:
    shipped = tmp_path / "accuracy.json"
    shipped.write_text(json.dumps(SHIPPED))
    own = {"top1": 0.61, "top5": None, "agreement": 1.0, "count": 500, "data_digest": "ab"}
    (folder / "eval.json").write_text(json.dumps({**own, "artifact_sha256": manifest.sha256}))
    assert accuracy.find(folder, manifest, shipped) == {"source": "eval", **own}


def test_a_shipped_accuracy_is_marked_with_its_date(
    tmp_path: Path, folder: Path, manifest: Manifest
) -> None:
    shipped = tmp_path / "accuracy.json"
    shipped.write_text(json.dumps(SHIPPED))
    assert accuracy.find(folder, manifest, shipped) == {
        "source": "shipped",
        "top1": 0.5,
        "count": 100,
        "data": "test split",
        "date": "2026-11-20",
    }


def test_an_evaluation_of_the_engine_before_a_rebuild_does_not_count(
    tmp_path: Path, folder: Path, manifest: Manifest
) -> None:
    (folder / "eval.json").write_text(json.dumps({"top1": 0.9, "artifact_sha256": "old"}))
    assert accuracy.find(folder, manifest, tmp_path / "none.json") is None


@pytest.mark.parametrize("models", [{}, {"small": {"trt-int8": {"top1": 0.1}}}])
def test_what_nobody_measured_is_none(
    tmp_path: Path, folder: Path, manifest: Manifest, models: object
) -> None:
    assert accuracy.find(folder, manifest, tmp_path / "none.json") is None
    shipped = tmp_path / "accuracy.json"
    shipped.write_text(json.dumps({**SHIPPED, "models": models}))
    assert accuracy.find(folder, manifest, shipped) is None


@pytest.mark.parametrize("key", ["model_sha256"])
def test_shipped_accuracy_of_another_model_of_that_name_does_not_count(
    tmp_path: Path, folder: Path, manifest: Manifest, key: str
) -> None:
    entry = {"small": {"ort-fp32": {"top1": 0.5}, key: "another"}}
    shipped = tmp_path / "accuracy.json"
    shipped.write_text(json.dumps({**SHIPPED, "models": entry}))
    assert accuracy.find(folder, manifest, shipped) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"top1": 61}', '{"top1": "good"}'])
def test_a_damaged_evaluation_is_named(
    tmp_path: Path, folder: Path, manifest: Manifest, text: str
) -> None:
    (folder / "eval.json").write_text(text)
    with pytest.raises(FileError, match=r"eval\.json is damaged") as caught:
        accuracy.find(folder, manifest, tmp_path / "none.json")
    assert "edgedeploy eval" in caught.value.fix


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "edgedeploy.accuracy/2"},
        {"models": []},
        {"models": {"small": 3}},
        {"models": {"small": {"ort-fp32": 0.5}}},
        {"models": {"small": {"ort-fp32": {"top1": 1.5}}}},
    ],
)
def test_a_damaged_shipped_accuracy_is_named(
    tmp_path: Path, folder: Path, manifest: Manifest, changes: dict[str, object]
) -> None:
    shipped = tmp_path / "accuracy.json"
    shipped.write_text(json.dumps({**SHIPPED, **changes}))
    with pytest.raises(FileError, match=r"accuracy\.json (is damaged|has schema)"):
        accuracy.find(folder, manifest, shipped)
