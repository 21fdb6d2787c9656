"""What is copied to a board: Python 3.6, no import of ours outside, any package name."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgedeploy
from tests.artifacts import write_artifact
from tests.runtime.trt_artifacts import waiting_artifact

ROOT = Path(edgedeploy.__file__).parent
# Pythons as JetPack has them, 3.6 and 3.8, each with NumPy; joined as in PATH.
BOARD_PYTHONS = [p for p in os.environ.get("EDGEDEPLOY_BOARD_PYTHONS", "").split(os.pathsep) if p]
FOLDERS = ("runtime", "meters", "worker")
SOURCES = [ROOT / "__init__.py", *(p for f in FOLDERS for p in sorted((ROOT / f).glob("*.py")))]
ids = [str(path.relative_to(ROOT)) for path in SOURCES]


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_the_syntax_is_that_of_python_3_6(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_nothing_of_ours_is_imported_from_outside_the_travelling_folders(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    here = path.parent.relative_to(ROOT).parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not any(name.name.split(".")[0] == "edgedeploy" for name in node.names)
        if not isinstance(node, ast.ImportFrom) or _type_checking_only(tree, node):
            continue
        if node.level == 0:
            assert (node.module or "").split(".")[0] != "edgedeploy"
            continue
        base = here[: len(here) - node.level + 1]
        names = [node.module] if node.module else [alias.name for alias in node.names]
        for name in names:
            target = (*base, *name.split("."))
            assert target[0] in FOLDERS, f"{path.name} imports {'.'.join(target)}"


def _type_checking_only(tree: ast.Module, node: ast.ImportFrom) -> bool:
    return any(
        node in ast.walk(block)
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
    )


def test_the_library_calls_are_those_of_python_3_6() -> None:
    done = subprocess.run(
        [
            sys.executable, "-c", "import vermin; vermin.main()", "-t=3.6-", "--no-tips",
            "--eval-annotations", "--no-parse-comments", "--processes=1", *map(str, SOURCES),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The folders as they lie on a board, under another name and without the rest."""
    package = tmp_path / "board" / "copied"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, package / folder, ignore=lambda _, names: [
            name for name in names if name == "__pycache__"
        ])  # fmt: skip
    shutil.copy(ROOT / "__init__.py", package)
    return package.parent


def run_there(elsewhere: Path, code: str, python: str = sys.executable) -> str:
    # -I: neither the environment nor the working tree is looked at for modules
    head = f"import sys; sys.path.insert(0, {str(elsewhere)!r})\n"
    done = subprocess.run(
        [python, "-I", "-c", head + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_copy_under_another_name_infers(elsewhere: Path, tmp_path: Path) -> None:
    artifact = write_artifact(tmp_path / "ort-fp32")
    code = f"""
import json, numpy
from copied import Runtime, EdgeDeployError, __version__
with Runtime.load({str(artifact)!r}, threads=1) as rt:
    best = rt.classify(numpy.full((20, 20, 3), (0, 0, 255), numpy.uint8), top=1)[0]
    print(json.dumps([best.label, rt.info["backend"], Runtime.__module__]))
try:
    Runtime.load("nowhere")
except EdgeDeployError as error:
    assert "holds no artifact" in error.problem
assert not [name for name in sys.modules if name.startswith("edgedeploy")]
"""
    assert json.loads(run_there(elsewhere, code)) == ["blue", "ort", "copied.runtime.runtime"]


IMPORT_ALL = """
import glob, importlib, os
here = os.path.dirname(importlib.import_module("copied").__file__)
for path in sorted(glob.glob(os.path.join(here, "*", "*.py"))):
    folder, name = os.path.split(path[:-3])
    if name in ("__main__", "__init__"):
        continue
    try:
        importlib.import_module(".".join(["copied", os.path.basename(folder), name]))
    except ImportError as error:
        vendors = ("onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "pynvml")
        if (error.name or "").split(".")[0] not in vendors:
            raise
assert not [name for name in sys.modules if name.startswith("edgedeploy")]
"""


def test_every_module_that_needs_no_vendor_imports_in_the_copy(elsewhere: Path) -> None:
    run_there(elsewhere, IMPORT_ALL)


@pytest.mark.skipif(
    not BOARD_PYTHONS, reason="EDGEDEPLOY_BOARD_PYTHONS names no Python of a board, with NumPy"
)
@pytest.mark.parametrize("python", BOARD_PYTHONS)
def test_a_boards_own_python_imports_the_copy_and_rebuilds_with_it(
    elsewhere: Path, tmp_path: Path, python: str
) -> None:
    run_there(elsewhere, IMPORT_ALL, python)
    prepared, _ = waiting_artifact(tmp_path)
    code = f"""
from copied import Runtime, EdgeDeployError
try:
    Runtime.load({prepared!r})
except EdgeDeployError as error:
    assert "python3 -m copied.runtime.trt_rebuild" in error.fix, error.fix
"""
    run_there(elsewhere, code, python)
    done = subprocess.run(
        [python, "-m", "copied.runtime.trt_rebuild", prepared],
        cwd=elsewhere, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "TensorRT is not installed" in done.stderr
    assert "python3-libnvinfer" in done.stderr


def test_importing_the_package_loads_neither_numpy_nor_a_vendor() -> None:
    code = """
import sys
import edgedeploy
loaded = {name.split(".")[0] for name in sys.modules}
print(sorted(loaded & {"numpy", "onnx", "onnxruntime", "openvino", "torch", "typer", "PIL"}))
print(sorted(name for name in sys.modules if name.startswith("edgedeploy")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n['edgedeploy']\n"


def test_the_package_lists_its_names_and_refuses_others() -> None:
    assert {"Runtime", "Prediction", "EdgeDeployError", "__version__"} <= set(dir(edgedeploy))
    with pytest.raises(AttributeError, match="module 'edgedeploy' has no attribute 'Runtme'"):
        getattr(edgedeploy, "Runtme")  # noqa: B009 -- mypy knows that it is not there


def test_the_version_is_that_of_the_project() -> None:
    text = (ROOT.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{edgedeploy.__version__}"\n' in text
