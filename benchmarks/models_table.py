"""The table in `models/README.md`, from the files beside it; or whether it is still right.

python benchmarks/models_table.py [--check] [--models models] [--runs runs]

Parameters and multiply-adds are counted in the models, accuracies come from `accuracy.json` and
seed, epochs, recipe and date from `training.json`. ``--check`` writes nothing, and ends with 1 and
the lines that differ. ``--runs`` first takes the facts of models that were trained anew from their
weight files, ``runs/*/<model>.safetensors``, into `training.json`. Only weights that export to the
very bytes of a model are its own; where they do not say their date, it is that of the file.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from shipped import facts, pages

from edgedeploy.errors import EdgeDeployError, FileError
from edgedeploy.exporting.request import ExportRequest, export
from edgedeploy.files import sha256, write_atomically
from edgedeploy.model_file import ModelHints
from edgedeploy.types import Variant
from edgedeploy.zoo import native_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipped.facts import Shipped

_SECOND_BACKENDS = ("openvino", "trt")
_HEAD = ("model", "α", "ρ", "parameters", "multiply-adds", "fp32")


def block(models: Sequence[Shipped], evaluated: str) -> str:
    """Return what stands between the marks: what the numbers are, and the table.

    Args:
        models: In the order of the table.
        evaluated: Day of the accuracies.
    """
    tag = _tag(models)
    backends = ["ort", *(b for b in _SECOND_BACKENDS if any(f"{b}-int8" in m.top1 for m in models))]
    head = (*_HEAD, *(f"{backend} int8" for backend in backends), "seed", "epochs", "date")
    rows = [_row(model, backends, tag) for model in models]
    measured = sorted({f"{m.images:,} images of `{m.data}`" for m in models if m.top1})
    recipes = sorted({f"`{m.training.recipe}`" for m in models if m.training is not None})
    accuracy = (
        f"evaluated on\n{' and '.join(measured)}, {evaluated}" if measured else "not measured"
    )
    trained = (
        f"Recipe: {', '.join(recipes)};\nthe date is that of the training."
        if recipes
        else "How they were\ntrained is not known."
    )
    words = (
        f"Files are called `mobilenet_<model>{tag}.onnx`. Top-1 in percent, {accuracy}. {trained}"
    )
    return f"{words}\n\n{pages.table(head, rows)}"


def _row(model: Shipped, backends: Sequence[str], tag: str) -> list[str | None]:
    trained = model.training
    floats = {_percent(model.top1.get(f"{backend}-fp32")) for backend in backends} - {None}
    return [
        f"`{_short(model.name, tag)}`",
        f"{model.variant.alpha:.2f}",
        f"{model.rho:.3f}",
        f"{model.parameters:,}",
        f"{model.multiply_adds / 1e6:.2f} M",
        " / ".join(sorted(filter(None, floats))) or None,
        *(_percent(model.top1.get(f"{backend}-int8")) for backend in backends),
        None if trained is None else str(trained.seed),
        None if trained is None else _epochs(trained),
        None if trained is None else trained.date,
    ]


def _epochs(trained: facts.Training) -> str:
    return f"{trained.epochs} + {trained.fine_tune}" if trained.fine_tune else str(trained.epochs)


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.2%}"[:-1]


def _tag(models: Sequence[Shipped]) -> str:
    """Return what all names end with behind the variant, e.g. ``"_cifar10"``, else ``""``."""
    ends = {model.name.removeprefix(model.variant.name) for model in models}
    return ends.pop() if len(ends) == 1 else ""


def _short(name: str, tag: str) -> str:
    return name.removeprefix("mobilenet_").removesuffix(tag)


def collect(models: Path, runs: Path) -> None:
    """Put what weight files say of their training into `training.json`; other entries stay.

    Weights that a model was not exported from are named on stderr, and say nothing of it.

    Raises:
        FileError: A weight file is damaged, or was not written by `edgedeploy train`.
    """
    path = models / facts.TRAINING
    document = (
        facts.document(path, facts.TRAINING_SCHEMA)
        if path.exists()
        else {"schema": facts.TRAINING_SCHEMA, "models": {}}
    )
    for model in sorted(models.glob("*.onnx")):
        of_it = sha256(model)
        for weights in sorted(runs.glob(f"*/{model.stem}.safetensors")):
            if _exported(weights) != of_it:
                print(f"{model} was not exported from {weights}: left as it is", file=sys.stderr)
                continue
            known = document["models"].get(model.stem, {})
            date = known.get("date") if known.get("model_sha256") == of_it else None
            entry = {"model_sha256": of_it, **asdict(_trained(weights, date))}
            document["models"][model.stem] = entry
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    write_atomically(path, text.encode())


def _exported(weights: Path) -> str | None:
    """Return the SHA-256 of what `edgedeploy export` makes of a weight file; None: not its name."""
    variant = Variant.from_name(weights.stem)
    if variant is None:
        return None
    request = ExportRequest(
        name=variant.family.value,
        alpha=variant.alpha,
        resolution=variant.resolution,
        weights=weights,
    )
    with TemporaryDirectory() as folder:
        return sha256(export(request, hints=ModelHints(), out=Path(folder))[0])


def _trained(weights: Path, date: str | None) -> facts.Training:
    """Return what a weight file says of its training.

    Args:
        weights: The file.
        date: What is written down already, for a file that does not say; None: that of the file.
    """
    _, metadata = native_weights.open_safetensors(weights)
    written = datetime.datetime.fromtimestamp(weights.stat().st_mtime, datetime.timezone.utc)
    try:
        origin: dict[str, Any] = json.loads(metadata[native_weights.METADATA_KEY])["origin"]
        recipe: dict[str, Any] = json.loads(origin["recipe"])
        return facts.Training(
            recipe=recipe["recipe"],
            seed=recipe["seed"],
            epochs=recipe["epochs"],
            fine_tune=int(origin["fine_tune"]),
            teacher=recipe["teacher_sha256"] is not None,
            date=origin.get("date") or date or f"{written:%Y-%m-%d}",
        )
    except (KeyError, ValueError, TypeError) as error:
        raise FileError(
            f"{weights} does not say how it was trained: {error!r}",
            fix="write the model's entry in training.json by hand",
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, or with ``--check`` compare it; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--check", action="store_true", help="write nothing, show what differs")
    parser.add_argument("--runs", type=Path, help="folder of trainings to take facts from")
    options = parser.parse_args(arguments)
    readme = options.models / "README.md"
    try:
        if options.runs is not None and not options.check:
            collect(options.models, options.runs)
        evaluated = facts.document(options.models / facts.ACCURACY, facts.ACCURACY_SCHEMA)["date"]
        table = block(facts.read(options.models), evaluated)
        wanted = pages.filled(readme, {"generated": table})
    except EdgeDeployError as error:
        print(f"{error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return error.exit_code
    if options.check:
        found = pages.differences(readme, wanted)
        print(found or f"{readme} is what the files say")
        return 1 if found else 0
    write_atomically(readme, wanted.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
