"""What happens around a worker on a board that is a folder; `test_sshd` has the real thing."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import (
    ArtifactError,
    FileError,
    MeasurementError,
    MissingDependencyError,
    UnsupportedError,
)
from edgedeploy.profiling import remote
from edgedeploy.runtime import manifest as manifests
from tests import fake_board
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fake_board import FakeBoard

QUICK = {"min_s": 0, "max_s": 0.2, "window_s": 0.01}
JOB = {"job": "profile", "duration_s": 0.05, "threads": 1, "warm_up": QUICK, "board": None}
PATIENCE_S = 60.0


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    return fake_board.make(tmp_path, monkeypatch)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "artifact")


def python(board: FakeBoard, program: str) -> str:
    """Put an interpreter on the board that does this in place of the worker."""
    path = board.tmp.parent / "worker.py"
    path.write_text(textwrap.dedent(program))
    made = board.program(
        "python3", f'[ "$1" != -c ] || {{ echo 3.6; exit; }}; exec {sys.executable} {path}'
    )
    return str(made)


def test_an_artifact_is_measured_by_the_boards_own_python(board: FakeBoard, artifact: Path) -> None:
    phases: list[str] = []
    with remote.connected("me@board", sys.executable) as there:
        result, manifest = there.profile(
            artifact,
            JOB,
            timeout_s=PATIENCE_S,
            on_event=lambda event: phases.append(event.get("phase", "")),
        )
    assert result["count"] >= 64
    assert result["runtime"]["artifact"].startswith(str(board.tmp))
    assert manifest == manifests.read(str(artifact))
    assert phases[:3] == ["copying to me@board", "import", "load"]
    assert not there.reachable
    assert not board.left()


def test_what_travels_is_what_the_worker_needs_and_nothing_else(board: FakeBoard) -> None:
    with remote.connected("me@board", sys.executable):
        (folder,) = board.left()
        names = sorted(path.name for path in (board.tmp / folder / "edgedeploy").iterdir())
        assert names == ["__init__.py", "meters", "runtime", "worker"]
        assert not list(board.tmp.rglob("__pycache__"))


def test_only_what_the_manifest_names_is_copied(board: FakeBoard, artifact: Path) -> None:
    (artifact / "eval.json").write_text("{}")
    stub = python(
        board,
        """
        import json, os
        job = json.loads(input())
        files = sorted(os.listdir(job["artifact"]))
        print(json.dumps({"event": "result", "result": {"files": files, "cwd": os.getcwd()}}))
        """,
    )
    with remote.connected("me@board", stub) as there:
        result, _ = there.profile(artifact, JOB, timeout_s=PATIENCE_S)
        assert result["files"] == ["manifest.json", "model.onnx"]
        assert [Path(result["cwd"]).name] == board.left()


def test_the_next_artifact_takes_the_place_of_the_last(
    board: FakeBoard, artifact: Path, tmp_path: Path
) -> None:
    other = write_artifact(tmp_path / "other", content={"other.onnx": b"x"})
    stub = python(
        board,
        """
        import json, os
        files = sorted(os.listdir(json.loads(input())["artifact"]))
        print(json.dumps({"event": "result", "result": {"files": files}}))
        """,
    )
    with remote.connected("me@board", stub) as there:
        there.profile(artifact, JOB, timeout_s=PATIENCE_S)
        result, _ = there.profile(other, JOB, timeout_s=PATIENCE_S)
    assert result["files"] == ["manifest.json", "other.onnx"]


def test_another_board_than_asked_for_is_refused_with_both_names(
    board: FakeBoard, artifact: Path
) -> None:
    with (
        remote.connected("me@board", sys.executable) as there,
        pytest.raises(UnsupportedError, match=r"on me@board: --device jetson-nano .*'local'"),
    ):
        there.profile(artifact, {**JOB, "board": "jetson-nano"}, timeout_s=PATIENCE_S)
    assert not board.left()


def test_a_python_without_numpy_is_named(board: FakeBoard, artifact: Path) -> None:
    # -S leaves site-packages out, so there is no NumPy
    bare = board.program("python3", f'exec {sys.executable} -S "$@"')
    with (
        remote.connected("me@board", str(bare)) as there,
        pytest.raises(MissingDependencyError, match=r"on me@board: .* has no NumPy") as caught,
    ):
        there.profile(artifact, JOB, timeout_s=PATIENCE_S)
    assert "python3-numpy" in caught.value.fix


def test_a_missing_vendor_library_is_named(
    board: FakeBoard, artifact: Path, tmp_path: Path
) -> None:
    hide = tmp_path / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text("import sys; sys.modules['onnxruntime'] = None\n")
    bare = board.program("python3", f'PYTHONPATH={hide}:$PYTHONPATH exec {sys.executable} "$@"')
    with (
        remote.connected("me@board", str(bare)) as there,
        pytest.raises(MissingDependencyError, match="on me@board: the package 'onnxruntime'"),
    ):
        there.profile(artifact, JOB, timeout_s=PATIENCE_S)


def test_a_disk_that_fills_while_files_arrive_is_told(board: FakeBoard) -> None:
    board.program("tar", "echo 'tar: x: Cannot write: No space left on device' >&2; exit 2")
    with pytest.raises(FileError, match="disk of me@board is full: tar: x"):
        remote.connected("me@board", sys.executable).__enter__()
    assert not board.left()


def test_a_damaged_artifact_is_not_copied(board: FakeBoard, artifact: Path) -> None:
    (artifact / "model.onnx").write_bytes(b"half")
    with (
        remote.connected("me@board", sys.executable) as there,
        pytest.raises(ArtifactError, match=r"4 bytes and SHA-256"),
    ):
        there.profile(artifact, JOB, timeout_s=PATIENCE_S)


@pytest.mark.parametrize(
    ("end", "words", "fix"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", r"by signal 9 .* in phase 'load'", "free memory"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"by signal 11 .* in phase 'load'", "build the"),
        ("sys.exit(3)", r"exit code 3 in phase 'load': out of cheese", "build the artifact again"),
    ],
)
def test_a_worker_that_dies_on_the_board_is_told_apart_from_a_broken_line(
    end: str, words: str, fix: str, board: FakeBoard, artifact: Path
) -> None:
    stub = python(
        board,
        f"""
        import os, signal, sys
        print('{{"event": "phase", "phase": "load"}}', flush=True)
        print("out of cheese", file=sys.stderr, flush=True)
        {end}
        """,
    )
    with (
        remote.connected("me@board", stub) as there,
        pytest.raises(MeasurementError, match=f"on me@board: the worker .*{words}") as caught,
    ):
        there.profile(artifact, JOB, timeout_s=PATIENCE_S)
    assert fix in caught.value.fix


def test_a_worker_that_hangs_without_listening_is_ended_by_the_board(
    board: FakeBoard, artifact: Path
) -> None:
    stub = board.program(
        "python3",
        '[ "$1" != -c ] || { echo 3.6; exit; }\n'
        """echo '{"event": "phase", "phase": "build"}'; trap "" TERM HUP; sleep 600""",
    )
    seen: list[int] = []

    def interrupt(event: Mapping[str, Any]) -> None:
        if event.get("phase") == "build":
            (folder,) = board.left()
            pid = board.tmp / folder / "worker"
            assert fake_board.wait_until(lambda: pid.is_file() and bool(pid.read_text()))
            seen.append(int(pid.read_text()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), remote.connected("me@board", str(stub)) as there:
        there.profile(artifact, JOB, timeout_s=PATIENCE_S, on_event=interrupt)
    assert fake_board.wait_until(lambda: not Path(f"/proc/{seen[0]}").exists())
    assert not board.left()


BUILDER = """
    import hashlib, json, os
    job = json.loads(input())
    folder = job["artifact"]
    path = os.path.join(folder, "manifest.json")
    document = json.load(open(path))
    if job["job"] == "prepare":
        rebuilt = document["files"][0]["name"] != "model.engine" or REBUILDS
        if rebuilt:
            data = b"an engine of this board"
            open(os.path.join(folder, "model.engine"), "wb").write(data)
            entry = {"name": "model.engine", "size_bytes": len(data)}
            entry["sha256"] = hashlib.sha256(data).hexdigest()
            others = [f for f in document["files"] if f["name"] != "model.engine"]
            document["files"] = [entry, *others]
            document["runs_on"] = {"library": "tensorrt", "library_version": "8.2.1.8"}
            json.dump(document, open(path, "w"))
        result = {"rebuilt": rebuilt, "board": job["board"]}
    else:
        result = {"files": sorted(os.listdir(folder)), "runs_on": document["runs_on"]}
    print(json.dumps({"event": "result", "result": result}))
"""


def trt_artifact(folder: Path, **changes: Any) -> Path:
    return write_artifact(folder, backend="trt", engine="model.engine", **changes)


def test_a_waiting_artifact_is_built_on_the_board_and_its_engine_comes_back(
    board: FakeBoard, tmp_path: Path
) -> None:
    waiting = {"device": "jetson-nano", "tensorrt": "8.2.1"}
    artifact = trt_artifact(
        tmp_path / "build" / "waits", content={"source.onnx": b"source"}, runs_on=waiting
    )
    (artifact / "notes.txt").write_text("mine")
    assert manifests.read(str(artifact)).waiting
    stub = python(board, BUILDER.replace("REBUILDS", "False"))
    with remote.connected("me@board", stub) as there:
        result, manifest = there.profile(artifact, JOB, timeout_s=PATIENCE_S)
        again, same = there.profile(artifact, JOB, timeout_s=PATIENCE_S)
    assert result["files"] == ["manifest.json", "model.engine", "source.onnx"]
    kept = manifests.read(str(artifact))
    manifests.verify(str(artifact), kept)
    assert kept == manifest == same
    assert not kept.waiting
    assert (artifact / "model.engine").read_bytes() == b"an engine of this board"
    assert (artifact / "notes.txt").read_text() == "mine"
    assert again["runs_on"]["library_version"] == "8.2.1.8"


def test_an_engine_for_elsewhere_is_built_anew_there_and_stays_as_it_is_here(
    board: FakeBoard, tmp_path: Path
) -> None:
    artifact = trt_artifact(
        tmp_path / "mine",
        content={"model.engine": b"mine", "source.onnx": b"source"},
        runs_on={"library": "tensorrt", "library_version": "10.3.0"},
    )
    before = manifests.read(str(artifact))
    stub = python(board, BUILDER.replace("REBUILDS", "True"))
    with remote.connected("me@board", stub) as there:
        result, manifest = there.profile(artifact, JOB, timeout_s=PATIENCE_S)
    assert result["runs_on"] == manifest.runs_on != before.runs_on
    assert manifest.sha256 != before.sha256
    assert manifests.read(str(artifact)) == before
    assert (artifact / "model.engine").read_bytes() == b"mine"


def test_an_engine_that_fits_is_measured_as_it_is(board: FakeBoard, tmp_path: Path) -> None:
    artifact = trt_artifact(
        tmp_path / "mine",
        content={"model.engine": b"mine", "source.onnx": b"source"},
        runs_on={"library": "tensorrt", "library_version": "8.2.1.8"},
    )
    stub = python(board, BUILDER.replace("REBUILDS", "False"))
    with remote.connected("me@board", stub) as there:
        _, manifest = there.profile(artifact, JOB, timeout_s=PATIENCE_S)
    assert manifest == manifests.read(str(artifact))


def test_a_board_that_does_not_send_what_it_built_leaves_the_artifact_as_it_was(
    board: FakeBoard, tmp_path: Path
) -> None:
    artifact = trt_artifact(
        tmp_path / "build" / "waits", content={"source.onnx": b"source"}, runs_on={}
    )
    stub = python(board, BUILDER.replace("REBUILDS", "False"))
    with io.BytesIO() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("manifest.json"))
        (tmp_path / "wrong.tar").write_bytes(archive.getvalue())
    tar_path = os.fspath((board.bin / "tar").readlink())
    with remote.connected("me@board", stub) as there:
        board.program(
            "tar", f'case $1 in -cf) cat {tmp_path}/wrong.tar;; *) exec {tar_path} "$@";; esac'
        )
        with pytest.raises(ArtifactError, match="damaged"):
            there.profile(artifact, JOB, timeout_s=PATIENCE_S)
        board.program("tar", f'case $1 in -cf) echo hello;; *) exec {tar_path} "$@";; esac')
        with pytest.raises(
            ArtifactError, match=r"me@board sent something else than manifest\.json"
        ):
            there.profile(artifact, JOB, timeout_s=PATIENCE_S)
    assert manifests.read(str(artifact)).waiting
    assert sorted(path.name for path in artifact.iterdir()) == ["manifest.json", "source.onnx"]
