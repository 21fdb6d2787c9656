"""Evaluate stage: loaded artifacts and pictures in, accuracy and agreement with FP32 out."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import FileError, UsageError
from edgedeploy.files import write_atomically
from edgedeploy.labelling import labels_of, offset_of
from edgedeploy.runtime.choosing import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgedeploy.images import ImageSet
    from edgedeploy.labelling import ClassOffset, Labels
    from edgedeploy.runtime.manifest import Manifest
    from edgedeploy.runtime.runtime import Runtime
    from edgedeploy.types import Array

SCHEMA = "edgedeploy.eval/1"
FILE = "eval.json"

_TOP = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How well an artifact answers on a set of pictures.

    Attributes:
        artifact_sha256: The artifact that was evaluated.
        data: Where the pictures came from.
        data_digest: SHA-256 over them.
        count: How many.
        class_offset: What was added to the data's class indices; None where nobody labelled it.
        class_offset_reason: Why so much.
        top1: Share of pictures whose best answer is right, 0 to 1; None with a reason.
        top5: Share of pictures whose five best answers hold the right one; None where the model
            has no more than five classes.
        accuracy_reason: Why `top1` is None.
        agreement: Share of pictures whose best answer is that of the FP32 artifact; None with a
            reason. The FP32 artifact agrees with itself.
        agreement_reason: Why `agreement` is None.
        reference: Name of the FP32 artifact, e.g. ``"ort-fp32"``.
        date: Day of the evaluation, UTC.
    """

    artifact_sha256: str
    data: str
    data_digest: str
    count: int
    class_offset: int | None
    class_offset_reason: str | None
    top1: float | None
    top5: float | None
    accuracy_reason: str | None
    agreement: float | None
    agreement_reason: str | None
    reference: str | None
    date: str


def evaluate(
    runtime: Runtime,
    images: ImageSet,
    *,
    reference: Runtime | None = None,
    class_offset: ClassOffset = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Evaluate one artifact; see `evaluate_all`.

    Args:
        runtime: The artifact.
        images: Labelled pictures.
        reference: The FP32 artifact of the same model, for `Evaluation.agreement`.
        class_offset: As for `evaluate_all`.
        progress: As for `evaluate_all`.
    """
    runtimes = {"it": runtime}
    if reference is not None:
        runtimes["reference"] = reference
    found = evaluate_all(runtimes, images, class_offset=class_offset, progress=progress)
    return found["it"]


def evaluate_all(
    runtimes: Mapping[str, Runtime],
    images: ImageSet,
    *,
    class_offset: ClassOffset = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Evaluation]:
    """Evaluate artifacts on the same pictures, each of which is decoded once.

    A picture is fitted once per size and preprocessing, however many artifacts take it. What an
    artifact's answers are compared with is decided by `reference_of`.

    Args:
        runtimes: Loaded artifacts by any name.
        images: Pictures; without labels only the agreement is measured.
        class_offset: What to add to the data's class indices to get the model's; ``"auto"``: 1
            for a model with one class more than the data has indices for (background comes
            first), else 0.
        progress: Called with the number of pictures done, and of all.

    Returns:
        An evaluation per name, in the same order.

    Raises:
        UsageError: A class index lies outside the model, or an artifact does not say how
            pictures are preprocessed.
        FileError: A picture cannot be decoded.
    """
    if not runtimes:
        return {}
    labels = labels_of(images)
    manifests = {name: runtime.manifest for name, runtime in runtimes.items()}
    offsets = {n: offset_of(labels, _classes(m), class_offset) for n, m in manifests.items()}
    best = _best_answers(runtimes, images, progress)
    digest = images.digest()
    results = {}
    for name, known in manifests.items():
        reference = reference_of(name, manifests)
        top1, top5 = _accuracy(best[name], labels, offsets[name][0], _classes(known))
        agreement = None
        if reference is not None:
            agreement = float(np.mean(best[name][:, 0] == best[reference][:, 0]))
        results[name] = Evaluation(
            artifact_sha256=known.sha256,
            data="/".join(part for part in (images.source.name, images.inside) if part),
            data_digest=digest,
            count=len(images.entries),
            class_offset=offsets[name][0],
            class_offset_reason=offsets[name][1],
            top1=top1,
            top5=top5,
            accuracy_reason=labels.reason,
            agreement=agreement,
            agreement_reason=None
            if reference is not None
            else f"no fp32 artifact of {known.model} was evaluated beside it",
            reference=None if reference is None else _artifact_name(manifests[reference]),
            date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        )
    return results


def check(runtime: Runtime, images: ImageSet, *, class_offset: ClassOffset = "auto") -> None:
    """Refuse an artifact that `evaluate_all` would refuse, before any picture is decoded.

    Raises:
        UsageError: As `evaluate_all`.
    """
    offset_of(labels_of(images), _classes(runtime.manifest), class_offset)
    runtime.preprocess(np.zeros((1, 1, 3), dtype=np.uint8))


def reference_of(name: str, manifests: Mapping[str, Manifest]) -> str | None:
    """Return the FP32 artifact that ``name`` is compared with, or None if there is none.

    It is of the same model: of the same backend if there is one, else of the first backend in
    the order ort, openvino, trt. An artifact may be its own reference.
    """
    own = manifests[name]
    order = [own.backend, *reversed(BACKENDS)]
    found = [
        n
        for n, other in manifests.items()
        if other.precision == "fp32"
        and other.model == own.model
        and other.raw.get("model_sha256") == own.raw.get("model_sha256")
        and other.backend in order
    ]
    return min(found, key=lambda n: order.index(manifests[n].backend), default=None)


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the form that `write` writes."""
    return {"schema": SCHEMA, **asdict(evaluation)}


def write(evaluation: Evaluation, folder: Path) -> Path:
    """Write ``eval.json`` beside the engine and return its path.

    Raises:
        FileError: The folder cannot be written to.
    """
    path = folder / FILE
    write_atomically(path, (json.dumps(to_json(evaluation), indent=1) + "\n").encode())
    return path


def read(folder: Path) -> Evaluation | None:
    """Read ``eval.json``; None if there is none, or if it is of another engine than lies there now.

    Raises:
        FileError: It is damaged, or of a newer schema.
    """
    from edgedeploy.runtime import manifest

    path = folder / FILE
    try:
        document = json.loads(path.read_bytes())
        if document.pop("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        evaluation = Evaluation(**document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FileError(
            f"{path} is damaged: {type(error).__name__}: {error}",
            fix=f"evaluate again: edgedeploy eval {folder} --data IMAGES",
        ) from error
    same = manifest.read(str(folder)).sha256 == evaluation.artifact_sha256
    return evaluation if same else None


def _best_answers(
    runtimes: Mapping[str, Runtime], images: ImageSet, progress: Callable[[int, int], None]
) -> dict[str, Array]:
    """Return each artifact's best answers, ``(pictures, up to 5)``, the best first."""
    total = len(images.entries)
    best = {
        name: np.zeros((total, min(_TOP, _classes(runtime.manifest))), dtype=np.int32)
        for name, runtime in runtimes.items()
    }
    groups: dict[object, list[str]] = {}
    for name, runtime in runtimes.items():
        known = runtime.manifest
        groups.setdefault((known.preprocessing, known.input.shape[2:]), []).append(name)
    for position, (_, frame) in enumerate(images.pictures()):
        for names in groups.values():
            batch = runtimes[names[0]].preprocess(frame)
            for name in names:
                output = runtimes[name].infer(batch).reshape(-1)
                order = np.argsort(-output, kind="stable")  # equal scores: the lower index first
                best[name][position] = order[: best[name].shape[1]]
        progress(position + 1, total)
    return best


def _accuracy(
    best: Array, labels: Labels, offset: int | None, classes: int
) -> tuple[float | None, float | None]:
    if labels.indices is None or offset is None:
        return None, None
    hits = best == (labels.indices + offset)[:, None]
    top5 = float(hits.any(axis=1).mean()) if classes > _TOP else None
    return float(hits[:, 0].mean()), top5


def _classes(known: Manifest) -> int:
    """Return how many classes an artifact tells apart.

    Raises:
        UsageError: Its output has no fixed length.
    """
    sizes = known.output.shape[1:]
    if not sizes or None in sizes:
        raise UsageError(
            f"the output of {known.model} has shape {known.output.shape}, "
            "a classifier's is (N, classes)",
            fix="evaluate a classifier; for other models call Runtime.infer",
        )
    return int(np.prod([size for size in sizes if size is not None]))


def _artifact_name(known: Manifest) -> str:
    return f"{known.backend}-{known.precision}"
