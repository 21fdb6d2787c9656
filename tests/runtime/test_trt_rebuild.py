from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgedeploy.errors import ArtifactError, BuildError, FileError, UnsupportedError
from edgedeploy.runtime import manifest, trt_api, trt_rebuild
from edgedeploy.runtime.cuda_device import Gpu
from tests.artifacts import small_model, write_artifact
from tests.runtime import fake_engine, fake_trt
from tests.runtime.fake_engine import FakeGpu
from tests.runtime.fake_trt import LayerType
from tests.runtime.trt_artifacts import waiting_artifact

ORIN = Gpu("Orin", "8.7")
CACHE = b"TRT-8502-EntropyCalibration2\ntensor0: 3c010204\n"
IMPLICIT = {"asked": "int8", "runs": {}, "int8_mode": "implicit", "quantised": 1}
NEEDS_RTX = pytest.mark.skipif(
    not trt_api.installed("tensorrt_rtx"), reason="tensorrt_rtx is not installed"
)


@pytest.fixture(autouse=True)
def _timings_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


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


@NEEDS_RTX
def test_rebuilt_artifact_verifies_and_is_bound_to_this_machine(tmp_path: Path) -> None:
    folder = artifact(tmp_path)
    before = json.loads((folder / "manifest.json").read_text())
    known = trt_rebuild.rebuild(str(folder))
    assert known == manifest.read(str(folder))
    manifest.verify(str(folder), known)
    assert known.runs_on["library"] == "tensorrt_rtx"
    assert known.runs_on["library_version"] == known.backend_version != "0.0.1"
    assert [info.name for info in known.files] == ["model.engine", "source.onnx"]
    assert not (folder / "build.log").exists()
    assert (folder / "model.engine").stat().st_size > 1000
    assert known.raw["built"]["rebuilt"] is True
    changed = {"files", "runs_on", "backend_version", "library", "precision", "built"}
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


@NEEDS_RTX
def test_rebuild_that_fails_leaves_the_artifact_as_it_was(tmp_path: Path) -> None:
    folder = artifact(tmp_path, precision="int8")  # the source has no Q/DQ
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(BuildError, match="has no QuantizeLinear"):
        trt_rebuild.rebuild(str(folder))
    assert (folder / "manifest.json").read_bytes() == before
    manifest.verify(str(folder), manifest.read(str(folder)))


@NEEDS_RTX
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


# ---- what was prepared for a board ----


def library(generation: str, **more: Any) -> fake_trt.Library:
    engine = fake_engine.loadable(generation, FakeGpu(), side=32)
    return fake_trt.Library(generation, engine=engine, plan=b"made here", **more)


def rebuild(folder: str, trt: fake_trt.Library) -> manifest.Manifest:
    return trt_rebuild.rebuild(folder, trt, find_gpu=lambda: ORIN)


@pytest.mark.parametrize("generation", ["8.2.1", "8.5.2", "10.3.0"])
def test_waiting_artifact_becomes_one_of_this_machine(tmp_path: Path, generation: str) -> None:
    content = {manifest.SOURCE: b"onnx", "calibration.cache": CACHE}
    folder, before = waiting_artifact(
        tmp_path, precision=IMPLICIT, content=content, options={"batch": [2, 4, 6]}
    )
    trt = library(generation)
    known = rebuild(folder, trt)
    manifest.verify(folder, known)
    assert before.waiting
    assert not known.waiting
    assert known.runs_on == {
        "portable": False,
        "library": "tensorrt",
        "library_version": generation,
        "gpu": "Orin",
        "compute_capability": "8.7",
        "version_compatible": False,
        "hardware_compatible": None,
        "dla_core": None,
    }
    names = [info.name for info in known.files]
    assert names == ["model.engine", "source.onnx", "calibration.cache"]
    assert (tmp_path / "trt-waiting" / "model.engine").read_bytes() == b"made here"
    assert known.raw["precision"]["int8_mode"] == "implicit"
    assert (known.quantised, known.backend_version) == (1, generation)
    assert trt.seen.profile == ("image", (2, 3, 32, 32), (4, 3, 32, 32), (6, 3, 32, 32))
    assert b"tensor0: 3c010204" in trt.seen.table
    assert known.options == before.options


def test_source_that_this_library_does_not_read_is_refused_with_how_to_prepare_another(
    tmp_path: Path,
) -> None:
    folder, _ = waiting_artifact(
        tmp_path, precision=IMPLICIT, content={manifest.SOURCE: b"onnx", "calibration.cache": CACHE}
    )
    with pytest.raises(
        UnsupportedError, match=r"says INT8 as 'implicit', tensorrt 11\.1\.0 reads typed"
    ) as caught:
        rebuild(folder, library("11.1.0"))
    assert "build small.onnx --backend trt --int8 --device jetson-orin-nano" in caught.value.fix
    assert manifest.read(folder).waiting


@pytest.mark.parametrize(("generation", "mode"), [("8.6.1", "qdq"), ("11.1.0", "typed")])
def test_int8_artifact_of_before_there_were_modes_has_qdq_nodes(
    tmp_path: Path, generation: str, mode: str
) -> None:
    folder, _ = waiting_artifact(tmp_path, precision="int8")
    trt = library(generation, layers=(LayerType.DEQUANTIZE, LayerType.CONVOLUTION))
    assert rebuild(folder, trt).raw["precision"]["int8_mode"] == mode


def test_implicit_int8_without_its_cache_is_refused(tmp_path: Path) -> None:
    folder, _ = waiting_artifact(tmp_path, precision=IMPLICIT)
    with pytest.raises(ArtifactError, match=r"has no calibration\.cache") as caught:
        rebuild(folder, library("8.2.1"))
    assert "edgedeploy build small.onnx --backend trt --int8" in caught.value.fix


def test_changed_calibration_cache_is_refused(tmp_path: Path) -> None:
    content = {manifest.SOURCE: b"onnx", "calibration.cache": CACHE}
    folder, _ = waiting_artifact(tmp_path, precision=IMPLICIT, content=content)
    (tmp_path / "trt-waiting" / "calibration.cache").write_bytes(b"another")
    with pytest.raises(ArtifactError, match=r"calibration\.cache has 7 bytes"):
        rebuild(folder, library("8.2.1"))


def test_what_only_the_old_engine_told_is_dropped(tmp_path: Path) -> None:
    told = {
        "asked": "fp16",
        "runs": {"float32": 9},
        "fell_back": ["conv1"],
        "tried": {"qdq": {"latency_ms": 1.0}},
    }
    folder, _ = waiting_artifact(tmp_path, precision=told)
    known = rebuild(folder, library("8.6.1"))
    assert (known.fell_back, known.runs) == ((), {})
    assert set(known.raw["precision"]) == {"asked", "runs"}


def test_layers_that_the_dla_leaves_to_the_gpu_are_told(tmp_path: Path) -> None:
    told = {"asked": "fp16", "runs": {}, "gpu_fallback": ["of another board"]}
    folder, _ = waiting_artifact(
        tmp_path, precision=told, options={"dla_core": 0, "batch": [4, 4, 4]}
    )
    engine = fake_engine.loadable("8.6.1", FakeGpu(), side=32)
    trt = fake_trt.Library("8.6.1", dla_cores=1, gpu_only=("convolution0",), plan=b"made here")
    trt.Runtime = lambda log: fake_engine.FakeRuntime(engine)  # type: ignore[assignment]
    known = rebuild(folder, trt)
    assert known.raw["precision"]["gpu_fallback"] == ["convolution0"]
    assert known.runs_on["dla_core"] == 0


def test_where_there_are_no_locks_an_artifact_is_rebuilt_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    folder, _ = waiting_artifact(tmp_path)
    assert not rebuild(folder, library("8.6.1")).waiting
    assert not (tmp_path / "trt-waiting" / ".rebuild.lock").exists()


def test_what_a_killed_build_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    folder, _ = waiting_artifact(tmp_path)
    left = tmp_path / "trt-waiting" / ".rebuild"
    left.mkdir()
    (left / "model.engine").write_bytes(b"half")
    rebuild(folder, library("8.6.1"))
    assert not left.exists()


def test_build_that_fails_leaves_the_artifact_waiting(tmp_path: Path) -> None:
    folder, before = waiting_artifact(tmp_path)
    trt = fake_trt.Library("8.6.1", plan=None)
    with pytest.raises(BuildError, match="Could not find any implementation"):
        rebuild(folder, trt)
    assert manifest.read(folder) == before
    assert not (tmp_path / "trt-waiting" / ".rebuild").exists()


@pytest.mark.parametrize("name", [".rebuild.lock", ".rebuild"])
def test_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path, name: str) -> None:
    folder, _ = waiting_artifact(tmp_path)
    blocked = tmp_path / "trt-waiting" / name
    if name == ".rebuild":
        blocked.write_bytes(b"a file where a folder is needed")
    else:
        blocked.mkdir()
    with pytest.raises(FileError, match=rf"{name} cannot be (locked|made)") as caught:
        rebuild(folder, library("8.6.1"))
    assert "writable" in caught.value.fix


def test_of_two_that_rebuild_at_once_one_builds_and_the_other_waits(tmp_path: Path) -> None:
    folder, _ = waiting_artifact(tmp_path)
    building, go_on = threading.Event(), threading.Event()
    builds: list[int] = []

    def during() -> None:
        builds.append(1)
        building.set()
        assert go_on.wait(10)

    trt = library("8.6.1", during=during)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(rebuild, folder, trt)
        assert building.wait(10)
        second = pool.submit(rebuild, folder, trt)
        assert not second.done()
        go_on.set()
        assert first.result() == second.result()
    assert builds == [1]


def _rebuild_in_a_process(folder: str) -> str:
    return str(rebuild(folder, library("8.6.1")).sha256)


def test_processes_that_rebuild_at_once_leave_one_whole_artifact(tmp_path: Path) -> None:
    folder, _ = waiting_artifact(tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.map(_rebuild_in_a_process, [folder] * 2))) == 1
    manifest.verify(folder, manifest.read(folder))


@pytest.mark.parametrize(
    ("library", "gpu", "has"),
    [
        ("tensorrt_rtx", None, "no GPU and tensorrt_rtx"),
        ("tensorrt_rtx", Gpu("Orin", "8.7"), r"Orin \(8.7\) and tensorrt_rtx"),
        ("tensorrt", Gpu("NVIDIA A100", "8.0"), r"NVIDIA A100 \(8.0\) and tensorrt"),
    ],
)
def test_what_waits_for_a_board_is_not_built_for_another_machine(
    tmp_path: Path, library: str, gpu: Gpu | None, has: str
) -> None:
    folder, before = waiting_artifact(tmp_path)
    trt = fake_trt.Library("10.3.0")
    trt.__name__ = library
    with pytest.raises(UnsupportedError, match=f"this machine has {has}") as caught:
        trt_rebuild.rebuild(folder, trt, find_gpu=lambda: gpu)
    assert "compute capability 8.7, tensorrt" in caught.value.problem
    assert "copy it to the jetson-orin-nano" in caught.value.fix
    assert manifest.read(folder) == before


def test_a_python_without_numpy_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError('gone', name='numpy')")
    done = subprocess.run(
        [sys.executable, "-m", "edgedeploy.runtime.trt_rebuild", "model"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(trt_rebuild.__file__).parents[2]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: this Python has no NumPy")
    assert "sudo apt-get install python3-numpy" in done.stderr
