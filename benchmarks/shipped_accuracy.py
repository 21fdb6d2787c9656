"""Collect the ``eval.json`` of the shipped models' artifacts into ``models/accuracy.json``.

edgedeploy eval --data cifar10-jpeg.zip/test
python benchmarks/shipped_accuracy.py [--build build] [--models models]

Only artifacts that were built from the very files in ``--models`` count, all evaluated on the same
images; what is not evaluated is named and left out.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import artifact, evaluating, model_file
from edgedeploy.errors import EdgeDeployError, FileError
from edgedeploy.files import write_atomically
from edgedeploy.runtime import manifest as manifests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.evaluating import Evaluation
    from edgedeploy.runtime.manifest import Manifest

_EVALUATE = "edgedeploy eval {} --data cifar10-jpeg.zip/test"


def collect(build: Path, models: Path) -> dict[str, Any]:
    """Return the document: accuracies by model, and by backend and precision.

    Raises:
        FileError: Nothing is evaluated, or something that does not belong to these models or to
            the other evaluations.
    """
    shipped = {path.stem: model_file.read(path).sha256 for path in sorted(models.glob("*.onnx"))}
    found: dict[str, dict[str, Any]] = {}
    places: dict[tuple[str, str], Path] = {}
    dates, data = [], {}
    for folder in artifact.find([build]):
        about = manifests.read(str(folder))
        evaluation = evaluating.read(folder) if about.model in shipped else None
        if evaluation is None:
            continue
        _require_built_from(folder, about, shipped[about.model], models)
        _require_alike(data, folder, evaluation)
        key = (about.model, f"{about.backend}-{about.precision}")
        if key in places:
            raise FileError(
                f"{places[key]} and {folder} are both evaluations of {about.model} as {key[1]}",
                fix="keep one of them in --build",
            )
        places[key] = folder
        entry = found.setdefault(about.model, {"model_sha256": shipped[about.model]})
        if about.precision == "int8":
            _calibrated(entry, folder, about)
        entry[key[1]] = _numbers(evaluation)
        dates.append(evaluation.date)
    if not found:
        raise FileError(
            f"{build} has no evaluation of a model in {models}",
            fix=f"run: edgedeploy build --backend ort,openvino --fp32 --int8 && "
            f"{_EVALUATE.format(build)}",
        )
    for name in sorted(shipped.keys() - found.keys()):
        print(f"{name} is not evaluated in {build}, and so left out", file=sys.stderr)
    return {"schema": "edgedeploy.accuracy/1", "date": max(dates), "models": found}


def _require_built_from(folder: Path, about: Manifest, sha256: str, models: Path) -> None:
    """Refuse an artifact of another file of that name."""
    theirs = about.raw.get("model_sha256")
    if theirs == sha256:
        return
    model = models / f"{about.model}.onnx"
    raise FileError(
        f"{folder} was built from a model with SHA-256 {theirs}, {model} has {sha256}",
        fix=f"build and evaluate it again: edgedeploy build {shlex.quote(str(model))} --backend "
        f"{about.backend} --{about.precision} -o {shlex.quote(str(folder.parent.parent))} && "
        f"{_EVALUATE.format(shlex.quote(str(folder)))}",
    )


def _require_alike(data: dict[str, Path], folder: Path, evaluation: Evaluation) -> None:
    """Refuse an evaluation without top-1, or on other images than those before it."""
    again = _EVALUATE.format(shlex.quote(str(folder)))
    if evaluation.top1 is None:
        raise FileError(
            f"{folder} has no top-1: {evaluation.accuracy_reason}",
            fix=f"evaluate it on labelled images: {again}",
        )
    data.setdefault(evaluation.data_digest, folder)
    if len(data) > 1:
        first = evaluating.read(next(iter(data.values())))
        raise FileError(
            f"{folder} was evaluated on {_images(evaluation)}, "
            f"{next(iter(data.values()))} on {first and _images(first)}",
            fix=f"evaluate all on the same images: "
            f"{_EVALUATE.format(shlex.quote(str(folder.parent.parent)))}",
        )


def _images(evaluation: Evaluation) -> str:
    return f"{evaluation.count} images of {evaluation.data} ({evaluation.data_digest[:12]})"


def _calibrated(entry: dict[str, Any], folder: Path, about: Manifest) -> None:
    """Put the calibration down, which is one for all INT8 artifacts of a model."""
    calibration = about.raw.get("calibration_sha256")
    other = entry.setdefault("calibration_sha256", calibration)
    if other != calibration:
        raise FileError(
            f"{folder} has the calibration {calibration}, another of {about.model} has {other}",
            fix="build them again from one calibration: edgedeploy build --backend ort,openvino "
            "--int8",
        )


def _numbers(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "top1": evaluation.top1,
        "top5": evaluation.top5,
        "agreement": evaluation.agreement,
        "count": evaluation.count,
        "data": evaluation.data,
        "data_digest": evaluation.data_digest,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file that `edgedeploy.profiling.accuracy` reads; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    options = parser.parse_args(arguments)
    try:
        document = collect(options.build, options.models)
        text = json.dumps(document, indent=1, sort_keys=True) + "\n"
        write_atomically(options.models / "accuracy.json", text.encode())
    except EdgeDeployError as error:
        print(f"{error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
