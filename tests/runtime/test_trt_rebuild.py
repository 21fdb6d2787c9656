from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import ArtifactError, BuildError
from edgedeploy.runtime import manifest, trt_rebuild
from tests.artifacts import small_model, write_artifact

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("tensorrt_rtx")


def artifact(tmp_path: Path, **more: Any) -> Path:
    files = {
        "model.engine": b"of another machine",
        "source.onnx": small_model(side=32).SerializeToString(),
        "build.log": b"WARNING: of another machine\n",
    }
    runs_on = {
        "portable": False,
        "library": "tensorrt_rtx",
        "library_version": "0.0.1",
        "gpu": None,
        "compute_capability": None,
    }
    return write_artifact(
        tmp_path / "trt-fp32", **({"backend": "trt", "content": files, "runs_on": runs_on} | more)
    )


def test_rebuilt_artifact_verifies_and_is_bound_to_this_machine(tmp_path: Path) -> None:
    folder = artifact(tmp_path)
    before = json.loads((folder / "manifest.json").read_text())
    report = trt_rebuild.rebuild(str(folder))
    known = manifest.read(str(folder))
    manifest.verify(str(folder), known)
    assert known.runs_on == report.runs_on
    assert known.runs_on["library_version"] == known.backend_version == report.version
    assert [info.name for info in known.files] == ["model.engine", "source.onnx"]
    assert not (folder / "build.log").exists()
    assert (folder / "model.engine").stat().st_size > 1000
    changed = {"files", "runs_on", "backend_version", "library", "precision"}
    for key in before.keys() - changed:
        assert known.raw[key] == before[key]
    assert known.precision == "fp32"


def test_rebuild_of_a_changed_source_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    folder = artifact(tmp_path)
    (folder / "source.onnx").write_bytes(b"something else")
    with pytest.raises(ArtifactError, match=r"source.onnx has 14 bytes"):
        trt_rebuild.rebuild(str(folder))
    assert (folder / "model.engine").read_bytes() == b"of another machine"


def test_rebuild_without_a_source_says_to_build_from_the_model(tmp_path: Path) -> None:
    folder = artifact(tmp_path, content={"model.engine": b"plan"})
    with pytest.raises(ArtifactError, match=r"has the files model.engine") as caught:
        trt_rebuild.rebuild(str(folder))
    assert "edgedeploy build small.onnx --backend trt --fp32" in caught.value.fix


def test_rebuild_of_another_backend_is_refused(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "ort-fp32")
    with pytest.raises(ArtifactError, match="is of backend 'ort'"):
        trt_rebuild.rebuild(str(folder))


def test_rebuild_that_fails_leaves_the_artifact_as_it_was(tmp_path: Path) -> None:
    folder = artifact(tmp_path, precision="int8")  # the source has no Q/DQ
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(BuildError, match="has no QuantizeLinear"):
        trt_rebuild.rebuild(str(folder))
    assert (folder / "manifest.json").read_bytes() == before
    manifest.verify(str(folder), manifest.read(str(folder)))


def test_command_rebuilds_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trt_rebuild.main([str(artifact(tmp_path))]) == 0
    assert "built by tensorrt" in capsys.readouterr().out


def test_command_prints_problem_and_fix_and_returns_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trt_rebuild.main([str(tmp_path / "nothing")]) == 6
    shown = capsys.readouterr().err
    assert "is no artifact" in shown
    assert "fix:" in shown
