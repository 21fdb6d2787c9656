from __future__ import annotations

import ast
import subprocess
import sys
import threading
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgedeploy import Runtime
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two artifacts of one model whose best class is the picture's brightest channel."""
    write_artifact(tmp_path / "small" / "ort-fp32")
    write_artifact(tmp_path / "small" / "ort-fp16", precision="fp16")
    return tmp_path / "small"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (20, 16), (255, 0, 0)).save(folder / "0.png")
    Image.new("RGB", (16, 30), (0, 0, 255)).save(folder / "1.png")
    return folder


def run(example: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / example), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def _module(example: str) -> Any:
    spec = spec_from_file_location(example, EXAMPLES / f"{example}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_classify_folder_names_every_picture(model: Path, pictures: Path) -> None:
    done = run("classify_folder.py", model, pictures)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(Path(path).name, label) for path, _, label in rows] == [
        ("0.png", "red"),
        ("1.png", "blue"),
    ]
    assert "the best of 2 artifacts" in done.stderr


def test_classify_folder_says_that_there_is_no_picture(model: Path, tmp_path: Path) -> None:
    done = run("classify_folder.py", model, tmp_path / "small" / "ort-fp32")
    assert done.returncode == 2
    assert "there is no picture in" in done.stderr


def test_an_example_says_problem_and_fix_without_a_traceback(
    tmp_path: Path, pictures: Path
) -> None:
    done = run("classify_folder.py", tmp_path / "nothing", pictures)
    assert done.returncode == 1
    assert "does not exist, so it holds no artifact\n  fix: pass a folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_camera_loop_classifies_every_stored_frame(model: Path, pictures: Path) -> None:
    done = run("camera_loop.py", model, "--folder", pictures)
    assert done.returncode == 0, done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["red", "blue"]
    assert "2 frames, 0 dropped" in done.stderr


def test_camera_loop_hands_over_the_newest_frame_only_when_the_reader_is_slow() -> None:
    all_read = threading.Event()

    def camera() -> Iterator[int]:
        yield from range(5)
        all_read.set()

    newest = _module("camera_loop").NewestOnly(camera())
    assert all_read.wait(timeout=60)
    assert list(newest) == [4]
    assert newest.dropped == 4


def test_camera_loop_says_how_to_get_opencv_when_it_is_absent(model: Path) -> None:
    script = str(EXAMPLES / "camera_loop.py")
    without = (
        "import runpy, sys\n"
        "sys.modules['cv2'] = None  # what an import of it then finds\n"
        f"sys.argv = [{script!r}, {str(model)!r}, '--camera', '0']\n"
        f"runpy.run_path({script!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "--camera needs OpenCV" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(find_spec("cv2") is None, reason="OpenCV is not installed")
def test_camera_loop_says_that_there_is_no_such_camera(model: Path) -> None:
    done = run("camera_loop.py", model, "--camera", "99")
    assert done.returncode == 1
    assert "there is no camera 99" in done.stderr


def test_choose_and_report_gives_the_reason_of_each_artifact(model: Path) -> None:
    done = run("choose_and_report.py", model)
    assert done.returncode == 0, done.stderr
    assert "chosen:   ort-fp32: the best of 2 artifacts" in done.stdout
    assert "ort-fp16: ranks behind ort-fp32" in done.stdout


def test_choose_and_report_takes_the_precision_asked_for(model: Path) -> None:
    done = run("choose_and_report.py", model, "--precision", "fp16")
    assert done.returncode == 0, done.stderr
    assert "chosen:   ort-fp16: fp16 was asked for" in done.stdout


def test_robot_camera_classifies_every_frame_of_a_camera(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    red, blue = (np.full((20, 16, 3), bgr, np.uint8) for bgr in ((0, 0, 255), (255, 0, 0)))
    answers = iter([(True, red), (True, blue), (False, None)])
    camera = SimpleNamespace(read=lambda: next(answers))
    with Runtime.load(str(model)) as runtime:
        count, took_ms = _module("robot_camera").loop(runtime, camera)
    assert count == 2
    assert took_ms > 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["red", "blue"]


def test_robot_camera_is_python_3_6() -> None:
    source = (EXAMPLES / "robot_camera.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    assert "from __future__" not in source


def test_robot_camera_tells_what_is_wrong_with_the_artifact(tmp_path: Path) -> None:
    done = run("robot_camera.py", tmp_path / "nothing")
    assert done.returncode == 1
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.stderr
