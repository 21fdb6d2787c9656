"""What is known of each model in a folder: its size, how it was trained, how well it does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy.analyzing import counting
from edgedeploy.errors import FileError
from edgedeploy.model_file import ModelHints
from edgedeploy.training.spec import STYLE
from edgedeploy.zoo import networks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.types import OnnxModel, Variant

TRAINING, ACCURACY = "training.json", "accuracy.json"
TRAINING_SCHEMA, ACCURACY_SCHEMA = "edgedeploy.training/1", "edgedeploy.accuracy/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a model came to be.

    Attributes:
        recipe: Its name in `edgedeploy.training.recipes`.
        seed: Of everything that was drawn.
        epochs: Of all resolutions together.
        fine_tune: Epochs at the model's own resolution behind them.
        teacher: Whether it learned from another model, too.
        date: Day of the last epoch, UTC; where the weights do not say it, when they were written.
    """

    recipe: str
    seed: int
    epochs: int
    fine_tune: int
    teacher: bool
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """One model.

    Attributes:
        name: The file's stem.
        variant: Family, α and resolution.
        rho: Resolution by base resolution.
        parameters: As they were trained: in the file batch norm is folded.
        multiply_adds: Of one image, without biases.
        top1: Share of right answers by backend and precision, e.g. ``"ort-int8"``.
        images: How many that was measured on, 0 where nothing was.
        data: Their name, ``""`` where nothing was measured.
        training: None where nobody wrote it down.
    """

    name: str
    variant: Variant
    rho: float
    parameters: int
    multiply_adds: int
    top1: Mapping[str, float]
    images: int
    data: str
    training: Training | None


def read(folder: Path) -> tuple[Shipped, ...]:
    """Return the models of a folder by family, from wide to narrow and from large to small.

    An entry of `ACCURACY` or `TRAINING` counts only for the very file whose SHA-256 it names.

    Raises:
        FileError: A model is not what its metadata say, or a file is damaged.
    """
    accuracy = document(folder / ACCURACY, ACCURACY_SCHEMA)["models"]
    known_of = folder / TRAINING
    training = document(known_of, TRAINING_SCHEMA)["models"] if known_of.exists() else {}
    found = []
    for path in sorted(folder.glob("*.onnx")):
        analysis = counting.analyze(path, ModelHints())
        model, (variant, parameters, adds) = analysis.model, _sizes(analysis)
        measured = _of_this_file(accuracy.get(model.name), model)
        top1 = {key: entry["top1"] for key, entry in measured.items() if isinstance(entry, dict)}
        first = next((entry for entry in measured.values() if isinstance(entry, dict)), {})
        known = _of_this_file(training.get(model.name), model)
        known.pop("model_sha256", None)
        found.append(
            Shipped(
                name=model.name,
                variant=variant,
                rho=variant.rho(model.base_resolution),
                parameters=parameters,
                multiply_adds=adds,
                top1=top1,
                images=first.get("count", 0),
                data=first.get("data", ""),
                training=Training(**known) if known else None,
            )
        )
    return tuple(sorted(found, key=_order))


def document(path: Path, schema: str) -> dict[str, Any]:
    """Read one of the two data files.

    Raises:
        FileError: It is missing, damaged or of another version.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: {error}", fix=_written_by(path)) from error
    if not isinstance(found, dict) or found.get("schema") != schema:
        raise FileError(f"{path} is no {schema}", fix=_written_by(path))
    return found


def _written_by(path: Path) -> str:
    if path.name == ACCURACY:
        return f"run: python benchmarks/shipped_accuracy.py --models {path.parent}"
    return f"take it from the release, then: models_table.py --models {path.parent} --runs runs"


def _sizes(analysis: counting.Analysis) -> tuple[Variant, int, int]:
    """Return what a file is, with the parameters and multiply-adds of its rows in the zoo.

    The graph itself is counted, too, and must agree: batch norm is folded there, so that each
    convolution has one bias for the two numbers that were trained.
    """
    model, variant = analysis.model, analysis.model.variant
    if variant is None:
        raise FileError(
            f"{model.path} does not say which variant it is",
            fix="export it from its weights: edgedeploy export FAMILY --weights FILE",
        )
    network = networks.network(
        variant.family,
        alpha=variant.alpha,
        classes=model.output.shape[-1] or 0,
        style=STYLE,
    )
    adds = network.multiply_adds(variant.resolution)
    folded = network.parameters() - sum(row.out_channels for row in network.rows)
    totals = analysis.totals()
    if (totals["parameters"], totals["multiply_adds"]) != (folded, adds):
        raise FileError(
            f"{model.path} has {totals['parameters']} parameters and {totals['multiply_adds']} "
            f"multiply-adds, {variant.name} has {folded} and {adds} when batch norm is folded",
            fix="export it from its weights: edgedeploy export FAMILY --weights FILE",
        )
    return variant, network.parameters(), adds


def _of_this_file(entry: Mapping[str, Any] | None, model: OnnxModel) -> dict[str, Any]:
    return dict(entry) if entry and entry.get("model_sha256") == model.sha256 else {}


def _order(one: Shipped) -> tuple[object, ...]:
    variant = one.variant
    return (variant.family.value, -variant.alpha, -variant.resolution, one.name)
