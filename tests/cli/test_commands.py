"""The commands as a user types them, on a model that trains nothing and fits in a test."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedeploy import __version__, images
from edgedeploy.cli import app
from edgedeploy.profiling import records
from tests.models import save, stem
from tests.profiling.documents import record

MEAN_STD = ("--mean", "127.5", "--std", "127.5")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one model and twelve labelled pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    save(stem(), tmp_path / "models" / "stem.onnx")
    draw = np.random.default_rng(0)
    for label in ("a", "b", "c", "d"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(3):
            pixels = draw.integers(0, 256, (12, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{i}.png")
    return tmp_path


@pytest.fixture
def built(here: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The same folder, calibrated and built for ort in fp32 and int8."""
    assert app.run(["calibrate", "--data", "images", *MEAN_STD]) == 0
    assert app.run(["build", "--backend", "ort", "--fp32", "--int8"]) == 0
    capsys.readouterr()
    return here


def _json(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any]:
    code = app.run([*argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["--version"]) == 0
    assert capsys.readouterr().out == f"edgedeploy {__version__}\n"


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    names = [
        command.name or str(getattr(command.callback, "__name__", ""))
        for command in app.app.registered_commands
    ]
    assert len(names) == 14
    for name in names:
        assert app.run([name, "--help"]) == 0
        assert f"Usage: edgedeploy {name}" in capsys.readouterr().out


def test_whole_way_from_weights_to_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = ["export", "mobilenet_v1", "--alpha", "0.05", "--resolution", "32"]
    assert app.run([*export, "--random-weights", "1", "--classes", "4", "--tag", "t"]) == 0
    assert capsys.readouterr().out.strip() == "models/mobilenet_v1_0.05_32_t.onnx"
    (here / "models" / "stem.onnx").unlink()
    assert app.run(["calibrate", "--data", "images", *MEAN_STD]) == 0
    assert "30 tensors, 12 images, auto" in capsys.readouterr().out
    assert app.run(["build", "--backend", "ort", "--fp32", "--int8"]) == 0
    assert "ort-int8  built" in capsys.readouterr().out
    assert app.run(["eval", "--data", "images"]) == 0
    assert "build/mobilenet_v1_0.05_32_t/ort-int8" in capsys.readouterr().out
    assert app.run(["profile", "--duration", "0.05"]) == 0
    table = capsys.readouterr().out
    assert "mobilenet_v1_0.05_32_t  ort      int8" in table
    assert app.run(["report", "-o", "report.md"]) == 0
    assert "| mobilenet\\_v1\\_0.05\\_32\\_t | ort | int8 |" in Path("report.md").read_text()


def test_same_export_gives_the_same_bytes(here: Path) -> None:
    export = ["export", "mobilenet_v2", "--alpha", "0.1", "--resolution", "33"]
    for folder in ("one", "two"):
        assert app.run([*export, "--random-weights", "1", "-o", folder]) == 0
    name = "mobilenet_v2_0.10_33.onnx"
    assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_second_build_says_up_to_date(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = _json(capsys, "build", "--backend", "ort", "--fp32", "--int8")
    assert code == 0
    assert [artifact["up_to_date"] for artifact in document["artifacts"]] == [True, True]
    assert document["artifacts"][1]["precision"] == {
        "asked": "int8", "runs": {"int8": 1}, "quantised": 1, "fell_back": [],
    }  # fmt: skip


def test_run_classifies_with_the_labels_given(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("names.txt").write_text("one\ntwo\nthree\nfour\n")
    code, document = _json(
        capsys, "run", "build", "images/a/0.png", "--top", "2", "--labels", "names.txt"
    )
    assert code == 0
    best, second = document["results"][0]["predictions"]
    assert {best["label"], second["label"]} < {"one", "two", "three", "four"}
    assert best["score"] >= second["score"]
    assert document["runtime"]["backend"] == "ort"


def test_eval_writes_what_report_and_profile_read(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = _json(capsys, "eval", "--data", "images", "--every", "i%2==0")
    assert code == 0
    fp32, int8 = document["evaluations"]
    assert (fp32["count"], fp32["agreement"]) == (6, 1.0)
    assert int8["reference"] == "ort-fp32"
    assert json.loads(Path("build/stem/ort-int8/eval.json").read_text())["top1"] == int8["top1"]
    code, document = _json(capsys, "profile", "build/stem/ort-int8", "--duration", "0.01")
    assert document["profiles"][0]["accuracy"]["top1"] == int8["top1"]


def test_report_shows_an_accuracy_that_was_measured_after_the_latency(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["profile", "build/stem/ort-fp32", "--duration", "0.01"]) == 0
    capsys.readouterr()
    code, document = _json(capsys, "report")
    assert document["profiles"][0]["accuracy"] is None
    assert app.run(["eval", "--data", "images"]) == 0
    capsys.readouterr()
    code, document = _json(capsys, "report")
    assert code == 0
    assert document["profiles"][0]["accuracy"]["count"] == 12


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["build"], 2, "no backend is given"),
        (["build", "--backend", "tensort"], 2, "no backend is called 'tensort'"),
        (["build", "nowhere.onnx", "--backend", "ort"], 6, "nowhere.onnx cannot be read"),
        (["build", "--backend", "ort", "--int8"], 2, "stem has no calibration"),
        (["build", "--backend", "ort", "--bf16"], 4, "cannot build bf16"),
        (["build", "--backend", "ort", "--resolution", "9"], 2, "the graph says 8x8"),
        (["build", "--backend", "ort", "--mean", "1"], 2, "--mean is given without --std"),
        (["build", "--backend", "ort", "--input-shape", "1x2"], 2, "--input-shape is '1x2'"),
        (["build", "--backend", "ort", "--calib", "no.json"], 6, "there is no no.json"),
        (["calibrate", "--data", "images"], 2, "does not say how its images are preprocessed"),
        (["calibrate", "--data", "nowhere"], 6, "there is no nowhere"),
        (["calibrate", "--data", "images", "--every", "exit()"], 2, "is not arithmetic"),
        (["export", "mobilenet_v1", "--alpha", "1", "--resolution", "32"], 2, "0 of --weights"),
        (
            [
                "export",
                "mobilenet_v3",
                "--alpha",
                "1",
                "--resolution",
                "8",
                "--random-weights",
                "1",
            ],
            2,
            "no family is called 'mobilenet_v3'",
        ),
        (["eval", "--data", "images"], 6, "build does not exist"),
        (["profile"], 6, "build does not exist"),
        (["report"], 6, "there is no profile in profiles"),
        (["run", "models", "images/a/0.png"], 6, "models"),
        (["profil"], 2, "no such command 'profil'"),
        (["build", "--bakend", "ort"], 2, "no such option: --bakend"),
        (["train", "mobilenet_v1", "--data", "images", "--resolutions", "x"], 2, "--resolutions"),
    ],
)
def test_mistake_gets_one_clear_error_and_its_exit_code(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, words: str
) -> None:
    before = sorted(here.rglob("*"))
    assert app.run(argv) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert "  fix: " in printed.err
    assert "Traceback" not in printed.err
    assert sorted(here.rglob("*")) == before
    assert app.run([*argv, "--json"]) == code
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["exit_code"] == code
    assert words in error["problem"]


def test_sweep_keeps_going_past_a_bad_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("models/broken.onnx").write_bytes(b"no")
    assert app.run(["build", "--backend", "ort"]) == 6
    assert not Path("build").exists()
    Path("models/broken.onnx").rename("models/zbroken.onnx")
    code, document = _json(capsys, "build", "--backend", "ort")
    assert (code, document["error"]["exit_code"]) == (6, 6)
    assert [one["model"] for one in document["artifacts"]] == ["stem"]
    Path("models/zbroken.onnx").rename("models/broken.onnx")
    code, document = _json(capsys, "build", "--backend", "ort", "--keep-going")
    assert code == 6
    assert document["artifacts"][0]["error"]["exit_code"] == 6
    assert document["artifacts"][1]["model"] == "stem"


def test_calibrate_keeps_going_past_a_bad_model(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("models/broken.onnx").write_bytes(b"no")
    calibrate = ("calibrate", "--data", "images", *MEAN_STD)
    assert app.run([*calibrate]) == 6
    assert not Path("calib").exists()
    assert app.run([*calibrate, "--keep-going"]) == 6
    said = capsys.readouterr()
    assert "broken failed: models/broken.onnx is not an ONNX model" in said.err
    assert "calib/stem.json" in said.out
    code, document = _json(capsys, *calibrate, "--keep-going")
    assert code == 6
    broken, stem_again = document["calibrations"]
    assert (broken["subject"], broken["error"]["exit_code"]) == ("broken", 6)
    assert stem_again["up_to_date"]


def test_report_goes_on_past_a_damaged_profile_of_a_folder_and_says_so(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = records.write(record(here / "artifact"), Path("profiles"))
    broken = Path("profiles/broken.json")
    broken.write_text("{")
    for argv in (["report"], ["report", "profiles"], ["report", "profiles", str(kept)]):
        assert app.run([*argv, "-o", "report.csv"]) == 1
        said = capsys.readouterr()
        assert "small" in said.out
        assert said.err.startswith("skipped profiles/broken.json: is no JSON")
        assert "written: report.csv" in said.err
    assert app.run(["report", "profiles", str(broken)]) == 6
    kept.unlink()
    assert app.run(["report"]) == 6
    assert "broken.json is no JSON" in capsys.readouterr().err


def test_calibration_of_another_model_is_refused_with_both_digests(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(stem(seed=1), Path("models/stem.onnx"))
    assert app.run(["build", "--backend", "ort", "--int8"]) == 6
    assert "calibrate" in capsys.readouterr().err
    assert app.run(["build", "--backend", "ort", "--fp32"]) == 0


def test_zip_that_points_outside_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile("evil.zip", "w") as archive:
        archive.writestr("../../evil.png", b"")
    assert app.run(["calibrate", "--data", "evil.zip", *MEAN_STD]) == 6
    assert "entry that points outside: '../../evil.png'" in capsys.readouterr().err


def test_folder_that_cannot_be_written_to_is_told(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # nobody can make folders in /proc, not even root, who may write into read-only ones
    assert app.run(["build", "--backend", "ort", "-o", "/proc/build"]) == 6
    assert "/proc/build/stem/ort-fp32 cannot be written" in capsys.readouterr().err


def test_device_that_this_machine_is_not_is_refused(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["profile", "--device", "jetson-nano"]) == 4
    said = capsys.readouterr().err
    assert "jetson-nano" in said
    assert "skipped" not in said  # no other artifact was tried
    assert not Path("profiles").exists()


def test_ctrl_c_during_a_build_leaves_130_and_no_artifact(here: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from edgedeploy import artifact\n"
        "from edgedeploy.cli import main\n"
        "artifact.write_manifest = lambda *a: os.kill(os.getpid(), signal.SIGINT)\n"
        "main(['build', '--backend', 'ort', *sys.argv[1:]])\n"
    )
    plain, as_json = (
        subprocess.run(
            [sys.executable, "-c", code, *more],
            capture_output=True,
            text=True,
            check=False,
            cwd=here,
        )
        for more in ([], ["--json"])
    )
    assert (plain.returncode, as_json.returncode) == (130, 130)
    assert "interrupted" in plain.stderr
    assert "Traceback" not in plain.stderr + as_json.stderr
    document = json.loads(as_json.stdout)
    assert (document["artifacts"], document["error"]["exit_code"]) == ([], 130)
    assert not (here / "build" / "stem").exists()


def test_ctrl_c_during_a_calibration_leaves_130_and_no_file(here: Path) -> None:
    code = (
        "import os, signal\n"
        "from edgedeploy import images\n"
        "from edgedeploy.cli import main\n"
        "decode = images.decode\n"
        "def interrupted(data, *, name):\n"
        "    if 'c/1' in name:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return decode(data, name=name)\n"
        "images.decode = interrupted\n"
        f"main(['calibrate', '--data', 'images', *{MEAN_STD}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=here
    )
    assert done.returncode == 130
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(here.glob("calib/*"))


def test_pictures_that_cannot_be_read_are_left_out_named_and_listed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3, 16):
        shutil.copy(here / "images" / "d" / "0.png", here / "images" / "d" / f"{number}.png")
    (here / "images" / "b" / "1.png").write_bytes(b"none")
    assert app.run(["calibrate", "--data", "images", *MEAN_STD, "--json"]) == 0
    printed = capsys.readouterr()
    problem = "b/1.png is not a picture that can be read: its format is not known"
    assert f"left out: {problem}\n" in printed.err
    (listed,) = json.loads(printed.out)["calibrations"]
    assert listed["unreadable"] == [{"name": "b/1.png", "problem": problem}]
    assert (listed["images"], listed["up_to_date"]) == (25, False)
    assert app.run(["calibrate", "--data", "images", *MEAN_STD]) == 0
    assert "up to date" in capsys.readouterr().out
    written = json.loads((here / "calib" / "stem.json").read_text())
    assert written["data"]["unreadable"] == {"b/1.png": problem}
    (here / "images" / "a" / "0.png").write_bytes(b"none")
    assert app.run(["calibrate", "--data", "images", *MEAN_STD]) == 6
    assert "2 of 25 images cannot be read, at most 5% may be: a/0.png" in capsys.readouterr().err


def test_import_of_the_package_and_the_cli_loads_no_vendor_library() -> None:
    code = "import sys, edgedeploy.cli.app; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout.split()
    vendors = {"torch", "onnx", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "numpy"}
    assert vendors.isdisjoint(loaded)


def test_output_cut_short_by_a_pipe_is_no_traceback(built: Path) -> None:
    start = time.monotonic()
    command = f"{sys.executable} -m edgedeploy build --backend ort --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 60


def test_export_and_calibrate_say_up_to_date_the_second_time(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = ["export", "mobilenet_v1", "--alpha", "0.05", "--resolution", "32"]
    export += ["--random-weights", "1"]
    calibrate = ["calibrate", "models/stem.onnx", "--data", "images", *MEAN_STD]
    for argv in (export, calibrate):
        assert app.run(argv) == 0
        assert "up to date" not in capsys.readouterr().out
        assert app.run(argv) == 0
        assert "up to date" in capsys.readouterr().out
    assert app.run([*calibrate, "--samples", "3"]) == 0
    assert "up to date" not in capsys.readouterr().out


def test_labels_of_another_number_than_the_classes_are_refused(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("names.txt").write_text("one\ntwo\n")
    for argv in (
        ["build", "--backend", "ort", "--labels", "names.txt"],
        ["run", "build", "images/a/0.png", "--labels", "names.txt"],
    ):
        assert app.run(argv) == 2
        assert "there are 2 labels for the 4 classes" in capsys.readouterr().err


def test_sweep_goes_on_past_a_damaged_artifact_and_says_so(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("build/stem/ort-int8/model.onnx").open("ab") as file:
        file.write(b"x")
    code, document = _json(capsys, "eval", "--data", "images")
    assert (code, list(document)) == (6, ["evaluations", "skipped"])
    assert document["skipped"][0]["artifact"] == "build/stem/ort-int8"
    for argv in (["eval", "--data", "images"], ["profile", "--duration", "0.01"]):
        assert app.run(argv) == 6
        printed = capsys.readouterr()
        assert "skipped build/stem/ort-int8: " in printed.err
        assert "fp32" in printed.out
    assert app.run(["run", "build", "images/a/0.png"]) == 0
    assert "not build/stem/ort-int8" in capsys.readouterr().err


def test_run_goes_on_past_a_file_that_is_no_picture(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("note.jpg").write_text("no picture")
    code, document = _json(capsys, "run", "build", "note.jpg", "images/a/0.png")
    assert code == 6
    assert "format is not known" in document["results"][0]["error"]["problem"]
    assert len(document["results"][1]["predictions"]) == 4


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["report", "-o", "."], "does not end in .html, .md, .csv, .json"),
        (["profile", "--threads", "5000"], "--threads"),
        (["calibrate", "--data", "images", "--mean", "0.5", "--std", "0.2"], "pixels from 0 to 1"),
        (["calibrate", "--data", "images", "--every", "i%5"], "gives a number"),
    ],
)
def test_option_out_of_its_range_is_named(
    built: Path, capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    assert app.run(["profile", "--duration", "0.01"]) == 0
    capsys.readouterr()
    assert app.run(argv) == 2
    assert words in capsys.readouterr().err


def test_tag_that_leaves_the_folder_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = ["export", "mobilenet_v1", "--alpha", "0.05", "--resolution", "32"]
    assert app.run([*export, "--random-weights", "1", "--tag", "../x"]) == 2
    assert "'../x' cannot be part of a file name" in capsys.readouterr().err


def test_no_command_prints_the_help_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run([]) == 2
    printed = capsys.readouterr()
    assert "Usage: edgedeploy" in printed.out + printed.err
    assert "fix:" not in printed.err


def test_eval_of_several_models_decodes_each_picture_once(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(stem(seed=1), Path("models/other.onnx"))
    assert app.run(["build", "models/other.onnx", "--backend", "ort", *MEAN_STD]) == 0
    decoded: list[str] = []
    decode = images.decode

    def counted(data: bytes, *, name: str) -> Any:
        decoded.append(name)
        return decode(data, name=name)

    monkeypatch.setattr(images, "decode", counted)
    assert app.run(["eval", "--data", "images"]) == 0
    assert len(decoded) == len(set(decoded)) == 12
    assert Path("build/other/ort-fp32/eval.json").is_file()
    decoded.clear()
    for engine in Path("build").rglob("model.onnx"):
        engine.write_bytes(b"damaged")
    assert app.run(["eval", "--data", "images"]) == 6
    assert decoded == []


def test_eval_goes_on_past_a_model_without_preprocessing(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(stem(seed=1), Path("models/other.onnx"))
    assert app.run(["build", "models/other.onnx", "--backend", "ort"]) == 0
    capsys.readouterr()
    assert app.run(["eval", "--data", "images"]) == 2
    printed = capsys.readouterr()
    assert "skipped build/other/ort-fp32: does not say how" in printed.err
    assert "build/stem/ort-int8" in printed.out
