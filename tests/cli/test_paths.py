"""Paths that the system refuses, and folders that nothing can be kept in."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from edgedeploy import pipeline
from edgedeploy.cli import app
from edgedeploy.files import NotWrittenError
from edgedeploy.profiling.measuring import ProfileSpec
from tests.artifacts import write_artifact
from tests.converting.networks import saved, vgg
from tests.models import save, stem

if TYPE_CHECKING:
    from edgedeploy.profiling.records import ProfileRecord

LONG = "x" * 300
QUICK = ("--duration", "0.02", "--threads", "1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model and two artifacts."""
    monkeypatch.chdir(tmp_path)
    save(stem(), tmp_path / "m.onnx")
    write_artifact(tmp_path / "build" / "one" / "ort-fp32", model="one")
    write_artifact(tmp_path / "build" / "two" / "ort-fp32", model="two")
    return tmp_path


@pytest.mark.parametrize(
    "argv",
    [
        ["profile", LONG],
        ["profile", "--ab", "build/one", LONG],
        ["profile", "build/one", *QUICK, "-o", LONG],
        ["profile", "build/one", *QUICK, "-o", LONG, "--resume"],
        ["profile", "build", *QUICK, "-o", LONG],
        ["report", LONG],
        ["select", LONG],
        ["compare", LONG, LONG],
        ["compare", "--baseline", LONG],
        ["build", LONG, "--backend", "ort"],
        ["build", "m.onnx", "--backend", "ort", "-o", LONG],
        ["convert", LONG, "--rank", "1"],
        ["convert", "m.onnx", "--rank", "1", "-o", f"{LONG}.onnx"],
        ["calibrate", "m.onnx", "--data", LONG],
    ],
    ids=lambda argv: " ".join(argv).replace(LONG, "LONG"),
)
def test_a_name_that_is_too_long_is_an_error_in_json_too(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert app.run([*argv, "--json"]) == 6
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert LONG in error["problem"]
    assert "File name too long" in error["problem"]
    assert error["fix"]
    assert "skipped" not in said.err  # every artifact would fail alike


def test_a_path_without_permission_is_an_error(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> bool:  # root, who may run the tests, may look everywhere
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.is_dir", refuse)
    assert app.run(["report", "closed/sub"]) == 6
    assert capsys.readouterr().err.startswith(
        "edgedeploy: closed/sub cannot be used: Permission denied\n  fix: look at the path"
    )


@pytest.mark.parametrize(
    "argv", [["build/one", "build/two"], ["--ab", "--rounds", "2", "build/one", "build/two"]]
)
def test_where_nothing_can_be_kept_nothing_is_measured(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    (here / "taken").write_text("mine")
    assert app.run(["profile", *QUICK, *argv, "-o", "taken"]) == 6
    said = capsys.readouterr().err
    assert said.startswith(
        "edgedeploy: taken cannot be written: there is a file where a folder has to be\n"
    )
    assert (here / "taken").read_text() == "mine"


def test_nothing_is_measured_before_the_folder_has_been_tried(here: Path) -> None:
    (here / "taken").write_text("mine")

    def measure(*_: object, **__: object) -> ProfileRecord:
        raise AssertionError("it was measured")

    one, two = here / "build/one/ort-fp32", here / "build/two/ort-fp32"
    with pytest.raises(NotWrittenError):
        pipeline.profile_in_turns(
            (one, two), ProfileSpec(duration_s=0), 2, out=here / "taken", measure=measure
        )
    spec = ProfileSpec(duration_s=0, python=here / "no-python")  # would be told as missing
    with pytest.raises(NotWrittenError):
        pipeline.profile(one, spec, out=here / "taken")


@pytest.mark.parametrize(
    "argv",
    [
        ["convert", "vgg.onnx", "--rank", "2", "--data", "images", "-o", "out/vgg.onnx"],
        ["calibrate", "m.onnx", "--data", "images", "-o", "out", "--mean", "0", "--std", "255"],
        ["eval", "build/one", "--data", "images"],
    ],
    ids=lambda argv: argv[0],
)
def test_what_takes_long_is_not_begun_where_its_result_cannot_be_kept(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    saved(vgg(), here / "vgg.onnx")
    (here / "images" / "a").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(here / "images" / "a" / "1.png")
    (here / "images" / "a" / "2.png").write_bytes(b"no picture")  # would be told when it is read

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert app.run(argv) == 6
    assert " cannot be written: No space left on device" in capsys.readouterr().err
    assert not (here / "out").exists()


def test_a_sweep_ends_where_the_disk_is_full(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert app.run(["profile", "build", *QUICK]) == 6
    said = capsys.readouterr().err
    assert "profiles cannot be written: No space left on device" in said
    assert "skipped" not in said
    assert not (here / "profiles").exists()


@pytest.mark.parametrize(
    "argv", [["profile", ""], ["build", "m.onnx", "--backend", "ort", "-o", ""]]
)
def test_an_empty_argument_is_not_the_folder_that_one_is_in(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert app.run(argv) == 2
    place = len(argv)
    assert f"argument {place} is empty: edgedeploy {argv[0]}" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("argv", [["--version"], ["devices", "--json"]])
def test_an_output_that_is_full_is_one_clear_error(argv: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgedeploy", *argv],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 6
    assert done.stderr.startswith("edgedeploy: the output cannot be written: No space left")
    assert "Traceback" not in done.stderr
