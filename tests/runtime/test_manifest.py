from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy import Runtime
from edgedeploy.errors import ArtifactError
from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime.preprocessing import Preprocessing
from tests.artifacts import document, write_artifact

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "ort-fp32")


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / manifests.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_whole_artifact_is_read_and_verified(artifact: Path) -> None:
    known = manifests.read(str(artifact))
    manifests.verify(str(artifact), known)
    assert (known.model, known.backend, known.precision) == ("small", "ort", "fp32")
    assert known.input.shape == (None, 3, 8, 8)
    assert known.size_bytes == (artifact / "model.onnx").stat().st_size


def test_the_identity_follows_the_engine_and_not_the_rest(tmp_path: Path) -> None:
    one = write_artifact(tmp_path / "one")
    two = write_artifact(tmp_path / "two", backend_version="9", model="other")
    three = write_artifact(tmp_path / "three", content={"model.onnx": b"other"})
    first, second, third = (manifests.read(str(f)).sha256 for f in (one, two, three))
    assert first == second != third


def test_a_file_that_differs_from_its_checksum_is_refused_with_both(artifact: Path) -> None:
    engine = artifact / "model.onnx"
    engine.write_bytes(engine.read_bytes()[:-1] + b"?")
    wanted = manifests.read(str(artifact)).files[0].sha256[:12]
    with pytest.raises(ArtifactError, match=rf"SHA-256 \w+, the manifest says .* and {wanted}"):
        Runtime.load(artifact)


def test_a_file_that_is_missing_is_refused(artifact: Path) -> None:
    (artifact / "model.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"model.onnx belongs to the artifact and cannot be re"):
        Runtime.load(artifact)


def test_a_newer_schema_is_refused_with_both(artifact: Path) -> None:
    rewrite(artifact, schema="edgedeploy.artifact/2")
    with pytest.raises(
        ArtifactError,
        match=r"schema 'edgedeploy.artifact/2', this version reads 'edgedeploy.artifact/1'(?s:.*)"
        "fix: update edgedeploy",
    ):
        Runtime.load(artifact)


def test_a_folder_without_a_manifest_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is no artifact(?s:.*)edgedeploy build"):
        manifests.read(str(tmp_path))


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/model.onnx", "..", ""])
def test_a_file_name_that_leaves_the_artifact_is_refused(artifact: Path, name: str) -> None:
    rewrite(artifact, engine=name, files=[{"name": name, "size_bytes": 1, "sha256": "0"}])
    with pytest.raises(ArtifactError, match="points outside the artifact"):
        Runtime.load(artifact)


BAD = {
    "engine": "other.onnx",
    "labels": "red",
    "files": [{"name": "model.onnx"}],
    "inputs": [],
    "outputs": [{"name": "a", "shape": [0], "dtype": "float32"}],
    "preprocessing": {"mean": [0, 0, 0], "std": [1, 0, 1]},
    "precision": "fp32",
    "runs_on": 3,
    "options": None,
    "variant": "v1",
}


@pytest.mark.parametrize("key", BAD)
def test_a_value_of_another_form_is_a_damaged_manifest(artifact: Path, key: str) -> None:
    rewrite(artifact, **{key: BAD[key]})
    with pytest.raises(ArtifactError, match=r"manifest.json is damaged(?s:.*)fix: build"):
        Runtime.load(artifact)


@pytest.mark.parametrize("key", sorted(document({"model.onnx": b""})))
def test_a_key_that_is_missing_is_a_damaged_manifest(artifact: Path, key: str) -> None:
    path = artifact / manifests.MANIFEST
    whole = json.loads(path.read_text())
    del whole[key]
    path.write_text(json.dumps(whole))
    with pytest.raises(ArtifactError, match=f"is damaged: it has no '{key}'"):
        manifests.read(str(artifact))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema": "edgedeploy.artifact/1"}',
    ],
    ids=["empty", "cut", "list", "null", "no text", "deep", "schema only"],
)
def test_bytes_that_are_no_manifest_are_refused(artifact: Path, data: bytes) -> None:
    (artifact / manifests.MANIFEST).write_bytes(data)
    with pytest.raises(ArtifactError, match="is damaged"):
        manifests.read(str(artifact))


def test_sizes_beyond_all_numbers_are_refused(artifact: Path) -> None:
    path = artifact / manifests.MANIFEST
    path.write_text(path.read_text().replace('"size_bytes": ', '"size_bytes": 1e999, "x": '))
    with pytest.raises(ArtifactError, match="is damaged: OverflowError"):
        manifests.read(str(artifact))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([{"name": "x", "shape": [None, 8], "dtype": "float32"}], r"float32 \(None, 8\), not"),
        ([{"name": "x", "shape": [1, 3, 8, 8], "dtype": "uint8"}], "the input is uint8"),
    ],
)
def test_an_input_that_is_no_picture_is_refused(
    artifact: Path, inputs: list[dict[str, Any]], words: str
) -> None:
    rewrite(artifact, inputs=inputs)
    with pytest.raises(ArtifactError, match=words):
        manifests.read(str(artifact))


def test_preprocessing_survives_its_json_form() -> None:
    rule = Preprocessing((1.5, 2, 3), (4, 5, 6.25), color="bgr", resize="stretch", crop_fraction=1)
    text = json.dumps(manifests.format_preprocessing(rule))
    assert manifests.parse_preprocessing(json.loads(text)) == rule
    assert manifests.parse_preprocessing(None) is None
    assert manifests.format_preprocessing(None) is None


@pytest.mark.parametrize(
    "change",
    [
        {"layout": "NHWC"},
        {"dtype": "uint8"},
        {"color": "hsv"},
        {"resize": "tile"},
        {"crop_fraction": 0},
        {"crop_fraction": 1.5},
        {"std": [1, 1e-30, 1]},
        {"mean": [1, 2]},
        {"mean": [1, 2, float("nan")]},
    ],
    ids=str,
)
def test_preprocessing_out_of_range_is_refused(change: dict[str, Any]) -> None:
    good = {"mean": [0, 0, 0], "std": [1, 1, 1]}
    with pytest.raises(ValueError, match=r"must|unknown|values to unpack"):
        manifests.parse_preprocessing({**good, **change})


# ---- prepared for a board that builds the engine itself ----

PREPARED = {
    "portable": False,
    "library": "tensorrt",
    "library_version": None,
    "gpu": None,
    "compute_capability": "5.3",
    "device": "jetson-nano",
    "tensorrt": "8.2.1",
}


def prepared(folder: Path, **changes: Any) -> Path:
    files = {"source.onnx": b"onnx", "calibration.cache": b"TRT-8201"}
    given = {"content": files, "backend": "trt", "engine": "model.engine", "runs_on": PREPARED}
    return write_artifact(folder, **(given | changes))


def test_artifact_without_its_engine_yet_is_waiting_and_verifies(tmp_path: Path) -> None:
    known = manifests.read(str(prepared(tmp_path / "trt-fp16")))
    manifests.verify(str(tmp_path / "trt-fp16"), known)
    assert known.waiting
    assert (known.engine, known.size_bytes) == ("model.engine", 0)


def test_artifact_with_its_engine_is_not_waiting(artifact: Path) -> None:
    assert not manifests.read(str(artifact)).waiting


@pytest.mark.parametrize(
    "changes",
    [
        {"backend": "ort"},
        {"content": {"calibration.cache": b"TRT-8201"}},
        {"runs_on": PREPARED | {"library_version": "8.2.1"}},
    ],
    ids=["of another backend", "nothing to build from", "built already"],
)
def test_engine_that_is_missing_from_any_other_artifact_is_damage(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    folder = prepared(tmp_path / "trt-fp16", **changes)
    with pytest.raises(ArtifactError, match=r"engine 'model.engine' is not among its files"):
        manifests.read(str(folder))
