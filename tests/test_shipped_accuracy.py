from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgedeploy import evaluating
from edgedeploy.evaluating import Evaluation
from edgedeploy.files import sha256
from edgedeploy.runtime import manifest as manifests
from tests.artifacts import write_artifact
from tests.models import save, stem

ROOT = Path(__file__).parents[1]
EVALUATION = Evaluation(
    artifact_sha256="",
    data="cifar10.zip/test",
    data_digest="d" * 64,
    count=10_000,
    class_offset=0,
    class_offset_reason=None,
    top1=0.8,
    top5=0.9,
    accuracy_reason=None,
    agreement=1.0,
    agreement_reason=None,
    reference="ort-fp32",
    date="2026-11-22",
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("shipped_accuracy")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    for seed, name in enumerate(("one", "two")):
        save(stem(seed=seed), tmp_path / "models" / f"{name}.onnx")
    return tmp_path / "models"


def _evaluated(models: Path, word: str, name: str = "one", **changes: Any) -> Path:
    """Write an artifact of a model with its evaluation."""
    evaluation = {key: changes.pop(key) for key in list(changes) if hasattr(EVALUATION, key)}
    folder = models.parent / "build" / name / word
    backend, precision = word.split("-")
    about = {"model_sha256": sha256(models / f"{name}.onnx"), "calibration_sha256": "c" * 64}
    write_artifact(folder, model=name, backend=backend, precision=precision, **{**about, **changes})
    of_it = manifests.read(str(folder)).sha256
    evaluating.write(replace(EVALUATION, artifact_sha256=of_it, **evaluation), folder)
    return folder


def _run(script: Any, models: Path) -> int:
    return int(script.main(["--build", str(models.parent / "build"), "--models", str(models)]))


def test_evaluations_of_the_very_models_are_collected(
    script: Any, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _evaluated(models, "ort-fp32", date="2026-11-20")
    _evaluated(models, "ort-int8", top1=0.79)
    assert _run(script, models) == 0
    document = json.loads((models / "accuracy.json").read_text())
    assert document["date"] == "2026-11-22"
    entry = document["models"]["one"]
    assert (entry["model_sha256"], entry["calibration_sha256"]) == (
        sha256(models / "one.onnx"), "c" * 64,
    )  # fmt: skip
    assert (entry["ort-fp32"]["top1"], entry["ort-int8"]["top1"]) == (0.8, 0.79)
    assert entry["ort-fp32"]["count"] == 10_000
    assert "two is not evaluated in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_sha256": "f" * 64}, "was built from a model with SHA-256 ffff"),
        ({"data_digest": "e" * 64, "count": 24}, "was evaluated on 24 images of cifar10.zip/test"),
        ({"calibration_sha256": "b" * 64}, "has the calibration bbbb"),
        ({"top1": None, "accuracy_reason": "no labels"}, "has no top-1: no labels"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    script: Any,
    models: Path,
    changes: dict[str, Any],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (models / "accuracy.json").write_text("as it was")
    _evaluated(models, "openvino-int8")
    _evaluated(models, "ort-int8", **changes)
    assert _run(script, models) == 6
    told = capsys.readouterr().err
    assert said in told
    assert "\n  fix: " in told
    assert (models / "accuracy.json").read_text() == "as it was"


def test_two_evaluations_of_one_artifact_are_refused(
    script: Any, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _evaluated(models, "ort-fp32")
    folder.rename(models.parent / "build" / "elsewhere")
    _evaluated(models, "ort-fp32", top1=0.1)
    assert _run(script, models) == 6
    assert "are both evaluations of one as ort-fp32" in capsys.readouterr().err


def test_nothing_evaluated_says_what_to_run(
    script: Any, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models.parent / "build").mkdir()
    assert _run(script, models) == 6
    assert "is empty of artifacts" in capsys.readouterr().err
    folder = _evaluated(models, "ort-fp32")
    (folder / "eval.json").unlink()
    assert _run(script, models) == 6
    assert "has no evaluation of a model in" in capsys.readouterr().err
    assert not (models / "accuracy.json").exists()
