from __future__ import annotations

import importlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgedeploy.errors import FileError
from edgedeploy.exporting.request import ExportRequest, export
from edgedeploy.model_file import ModelHints
from edgedeploy.optional import is_installed
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.training.spec import STYLE
from edgedeploy.types import Family
from edgedeploy.zoo import native_weights, networks, random_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
NAME = "mobilenet_v1_0.25_64_cifar10"
RECIPE = {"recipe": "best", "seed": 1, "epochs": 30, "teacher_sha256": None}
ORIGIN = {"recipe": json.dumps(RECIPE), "fine_tune": "0"}
exports = pytest.mark.skipif(not is_installed("safetensors"), reason="needs the export extra")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("models_table")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The shipped models' folder, to be changed."""
    return Path(shutil.copytree(ROOT / "models", tmp_path / "models"))


def _edited(path: Path, **entry: object) -> None:
    """Change the first model's entry in a data file."""
    document = json.loads(path.read_text())
    next(iter(document["models"].values())).update(entry)
    path.write_text(json.dumps(document))


def _lines(text: str, sign: str) -> Iterator[str]:
    return (line[1:] for line in text.splitlines() if line.startswith(f"{sign}|"))


def test_the_committed_table_is_what_the_shipped_files_say(
    script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    status = script.main(["--check", "--models", str(ROOT / "models")])
    assert (status, capsys.readouterr().out.count("\n")) == (0, 1)


def test_a_changed_fact_fails_the_check_with_the_lines_that_differ(
    script: Any, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _edited(copied / "training.json", epochs=7, fine_tune=2)
    before = (copied / "README.md").read_text()
    assert script.main(["--check", "--models", str(copied)]) == 1
    shown = capsys.readouterr().out
    (was,), (should,) = _lines(shown, "-"), _lines(shown, "+")
    assert was.replace("| 30 |", "| 7 + 2 |") == should
    assert (copied / "README.md").read_text() == before
    assert script.main(["--models", str(copied)]) == 0
    assert script.main(["--check", "--models", str(copied)]) == 0
    assert should in (copied / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "end"),
    [("training.json", "| – | – | – |"), ("accuracy.json", "| – | – | – | 1 | 30 | 2026-11-22 |")],
)
def test_facts_of_another_file_of_that_name_do_not_count(
    script: Any, copied: Path, name: str, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _edited(copied / name, model_sha256="0" * 64)
    assert script.main(["--check", "--models", str(copied)]) == 1
    (row,) = _lines(capsys.readouterr().out, "+")
    assert row.endswith(end)


def test_a_model_that_is_not_its_metadata_is_refused(
    script: Any, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "mobilenet_v1_0.25_64_cifar10.onnx"
    model = onnx.load(path)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, shape in (("classifier/weight", (9, 256, 1, 1)), ("classifier/bias", (9,))):
        weights[name].CopyFrom(numpy_helper.from_array(np.zeros(shape, np.float32), name))
    onnx.save(model, path)
    assert script.main(["--models", str(copied)]) == 6
    assert "has 212649 parameters" in capsys.readouterr().err


def test_a_missing_accuracy_file_says_what_writes_it(
    script: Any, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "accuracy.json").unlink()
    assert script.main(["--models", str(copied)]) == 6
    assert "fix: run: python benchmarks/shipped_accuracy.py --models" in capsys.readouterr().err


def test_a_page_without_its_marks_is_refused(script: Any, copied: Path) -> None:
    readme = copied / "README.md"
    readme.write_text(readme.read_text().replace("<!-- generated: end -->", ""))
    with pytest.raises(FileError, match="once each\n  fix: put the marks back"):
        script.pages.filled(readme, {"generated": ""})


@exports
def test_facts_are_taken_from_the_weight_files_of_a_training(
    script: Any, copied: Path, tmp_path: Path
) -> None:
    recipe = {"recipe": "paper", "seed": 5, "epochs": 40, "teacher_sha256": "ab"}
    origin = {"recipe": json.dumps(recipe), "fine_tune": "2", "date": "2025-12-31"}
    _trained(copied, tmp_path / "runs", origin)
    assert script.main(["--models", str(copied), "--runs", str(tmp_path / "runs")]) == 0
    found = {model.name: model.training for model in script.facts.read(copied)}
    known = found.pop(NAME)
    assert (known.recipe, known.seed, known.epochs) == ("paper", 5, 40)
    assert (known.fine_tune, known.teacher, known.date) == (2, True, "2025-12-31")
    before = {model.name: model.training for model in script.facts.read(ROOT / "models")}
    assert found == {name: training for name, training in before.items() if name != NAME}


@exports
def test_weights_of_another_model_of_that_name_say_nothing_of_it(
    script: Any, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _trained(copied, tmp_path / "runs", ORIGIN)
    _trained(copied, tmp_path / "others", {}, seed=1)  # exported again, from other weights
    assert script.main(["--models", str(copied), "--runs", str(tmp_path / "runs")]) == 0
    assert f"{NAME}.onnx was not exported from" in capsys.readouterr().err
    before = json.loads((ROOT / "models" / "training.json").read_text())
    assert json.loads((copied / "training.json").read_text()) == before
    assert {m.name: m.training for m in script.facts.read(copied)}[NAME] is None


@exports
def test_weights_without_a_date_have_that_of_the_file_until_it_is_written_down(
    script: Any, copied: Path, tmp_path: Path
) -> None:
    path = _trained(copied, tmp_path / "runs", ORIGIN)
    for day, wanted in ((86_400, "1970-01-02"), (10 * 86_400, "1970-01-02")):
        os.utime(path, (day, day))
        script.collect(copied, tmp_path / "runs")
        document = json.loads((copied / "training.json").read_text())
        assert document["models"][NAME]["date"] == wanted


@exports
def test_facts_are_collected_in_a_folder_that_has_none(
    script: Any, copied: Path, tmp_path: Path
) -> None:
    (copied / "training.json").unlink()
    _trained(copied, tmp_path / "runs", ORIGIN)
    script.collect(copied, tmp_path / "runs")
    assert list(json.loads((copied / "training.json").read_text())["models"]) == [NAME]


@exports
def test_weights_that_do_not_say_how_they_were_trained_are_refused(
    script: Any, copied: Path, tmp_path: Path
) -> None:
    _trained(copied, tmp_path / "runs", {})
    with pytest.raises(FileError, match="does not say how it was trained: KeyError"):
        script.collect(copied, tmp_path / "runs")


def test_the_words_are_whole_without_accuracies_and_trainings(script: Any) -> None:
    models = [replace(m, top1={}, training=None) for m in script.facts.read(ROOT / "models")]
    words = script.block(models, "2026-11-22").split("\n\n")[0].replace("\n", " ")
    assert words.endswith("Top-1 in percent, not measured. How they were trained is not known.")


def _trained(models: Path, runs: Path, origin: dict[str, str], *, seed: int = 0) -> Path:
    """Write weights of a training, and the model that is exported from them."""
    network = networks.network(Family.MOBILENET_V1, alpha=0.25, classes=10, style=STYLE)
    weights = replace(
        random_weights.random(network, seed),
        preprocessing=Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3),
        origin=origin,
    )
    path = runs / "any" / f"{NAME}.safetensors"
    native_weights.save(weights, path)
    request = ExportRequest(
        name="mobilenet_v1", alpha=0.25, resolution=64, weights=path, tag="cifar10"
    )
    assert export(request, hints=ModelHints(), out=models)[0].stem == NAME
    return path
