from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from edgedeploy import artifact
from edgedeploy.errors import BuildError, FileError

if TYPE_CHECKING:
    from pathlib import Path


def test_folder_takes_the_targets_place_when_the_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "m" / "ort-fp32"
    for content in ("one", "two"):
        with artifact.replacing(target) as folder:
            (folder / "model.onnx").write_text(content)
            assert not (target / "model.onnx").exists() or content == "two"
    assert (target / "model.onnx").read_text() == "two"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [KeyboardInterrupt, BuildError])
def test_interrupted_build_leaves_the_old_artifact_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "ort-fp32"
    target.mkdir()
    (target / "model.onnx").write_text("old")
    raised = error("refused", fix="no") if error is BuildError else error()
    with pytest.raises(error):
        _write_and_raise(target, raised)
    assert (target / "model.onnx").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(FileError, match="ort-fp32 cannot be written: No space left"),
        artifact.replacing(tmp_path / "ort-fp32"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_old_remains_of_killed_builds_are_removed_and_young_ones_kept(tmp_path: Path) -> None:
    old, young = tmp_path / ".ort-fp32.aaaa", tmp_path / ".ort-fp32.bbbb"
    old.mkdir()
    young.mkdir()
    os.utime(old, (0, 0))
    with artifact.replacing(tmp_path / "ort-fp32"):
        pass
    assert not old.exists()
    assert young.exists()


def test_artifacts_are_found_sorted_without_unfinished_ones(tmp_path: Path) -> None:
    for name in ("b/ort-fp32", "a/ort-int8", "a/.ort-fp32.tmp"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").write_text("{}")
    found = artifact.find([tmp_path, tmp_path / "b"])
    assert found == [tmp_path / "a/ort-int8", tmp_path / "b/ort-fp32"]


@pytest.mark.parametrize(
    ("name", "words"), [("", "is empty of artifacts"), ("x", "does not exist")]
)
def test_folder_without_artifacts_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(FileError, match=words):
        artifact.find([tmp_path / name])


def test_what_belongs_to_an_artifact_or_makes_one_is_told_apart(tmp_path: Path) -> None:
    whole, bare = tmp_path / "ort-fp32", tmp_path / "ort-int8"
    for folder in (whole, bare):
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"")
    (whole / "manifest.json").write_text("{}")
    source, note = tmp_path / "my model.onnx", tmp_path / "note.txt"
    for file in (source, note):
        file.write_bytes(b"")
    told = {
        source: (f"{source} is a model, not an artifact", f"edgedeploy build '{source}'"),
        whole / "model.onnx": (f"belongs to the artifact {whole}", f"name the folder: {whole}"),
        bare: (f"{bare} holds model.onnx and no manifest.json", "build it again"),
        note: (f"{note} is a file, and an artifact is a folder", "edgedeploy build MODEL"),
    }
    for path, (problem, fix) in told.items():
        with pytest.raises(FileError) as caught:
            artifact.find([path])
        assert problem in caught.value.problem
        assert fix in caught.value.fix


def _write_and_raise(target: Path, error: BaseException) -> None:
    with artifact.replacing(target) as folder:
        (folder / "model.onnx").write_text("new")
        raise error


def test_a_failed_build_leaves_no_empty_folder_of_its_model(tmp_path: Path) -> None:
    target = artifact.place(tmp_path, "m", "ort", "fp32")
    with pytest.raises(RuntimeError), artifact.replacing(target):
        raise RuntimeError("refused")
    assert list(tmp_path.iterdir()) == []
