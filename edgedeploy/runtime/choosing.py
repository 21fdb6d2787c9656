"""Which artifact of a folder to load: the ranking, written down once.

1. Backends: trt, then openvino, then ort.
2. Within a backend int8, then fp16, then fp32; bf16 last, for it is only taken when asked for.
   On ort fp16 comes after fp32: most CPUs have no float16 kernels and convert every tensor.
3. Behind all others, in the same order: what is known to cost accuracy. That is an artifact whose
   own ``eval.json`` says that its top-1 is more than 2 points below the best one measured on the
   same images; or, without labels, that it agrees with FP32 on less than 95 % of them. And one
   that was built for x86 CPUs with VNNI, on one without: wherever it was evaluated, its sums
   saturate here.

Whatever does not load is passed over, and the next one is tried; `Runtime.info` says so.
"""

import json
import os
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import cpu, manifest
from .errors import ArtifactError, UnknownNameError, UsageError
from .manifest import Manifest

BACKENDS = ("trt", "openvino", "ort")
PRECISIONS = ("int8", "fp16", "fp32", "bf16")
_ORT_PRECISIONS = ("int8", "fp32", "fp16", "bf16")
_TOP1_LOSS = 0.02
_AGREEMENT = 0.95
_DEPTH = 2


class Candidate(NamedTuple):
    """One artifact of a folder."""

    folder: str
    manifest: Manifest

    @property
    def name(self) -> str:
        """``backend-precision``, as the folder of an artifact is called."""
        return f"{self.manifest.backend}-{self.manifest.precision}"


class PassedOver(NamedTuple):
    """An artifact that was not chosen, and why."""

    artifact: str
    reason: str


def find(path: str) -> Tuple[List[Candidate], List[PassedOver]]:
    """List the artifacts at or below ``path``; damaged ones beside good ones are passed over.

    Raises:
        ArtifactError: There is none, or ``path`` itself is a damaged one.
        UsageError: They belong to several models.
    """
    if not os.path.isdir(path):
        state = "is a file" if os.path.exists(path) else "does not exist"
        raise ArtifactError(
            f"{path or 'the empty path'} {state}, so it holds no artifact",
            fix="pass a folder that edgedeploy build has made, e.g. build/<model>",
        )
    folders = _folders(path)
    if folders == [path]:
        return [Candidate(path, manifest.read(path))], []
    found: List[Candidate] = []
    damaged: List[PassedOver] = []
    for folder in folders:
        try:
            found.append(Candidate(folder, manifest.read(folder)))
        except ArtifactError as error:
            damaged.append(PassedOver(folder, error.problem))
    if not found:
        raise ArtifactError(
            f"{path} holds no artifact that can be read"
            + "".join(f"; {left.reason}" for left in damaged),
            fix="build one with: edgedeploy build MODEL --backend ort",
        )
    models = sorted({c.manifest.model for c in found})
    if len(models) > 1:
        raise UsageError(
            f"{path} holds artifacts of {len(models)} models: {', '.join(models)}",
            fix=f"pass the folder of one of them, e.g. {os.path.join(path, models[0])}",
        )
    return found, damaged


def select(
    candidates: Sequence[Candidate], backend: Optional[str], precision: Optional[str]
) -> List[Candidate]:
    """Keep what was asked for; None asks for nothing in particular.

    Raises:
        UnknownNameError: No backend or precision has that name.
        UsageError: Nothing is left.
    """
    if backend is not None and backend not in BACKENDS:
        raise UnknownNameError("backend", backend, BACKENDS)
    if precision is not None and precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    kept = [
        c
        for c in candidates
        if backend in (None, c.manifest.backend) and precision in (None, c.manifest.precision)
    ]
    if not kept:
        wanted = " ".join(word for word in (backend, precision) if word)
        model = candidates[0].manifest.model
        flags = f" --backend {backend or 'ort'}" + (f" --{precision}" if precision else "")
        raise UsageError(
            f"{wanted} was asked for, {model} has: {', '.join(sorted(c.name for c in candidates))}",
            fix=f"ask for one of these, or build it: edgedeploy build {model}.onnx{flags}",
        )
    return kept


def rank(
    candidates: Sequence[Candidate], unmet: Optional[Mapping[str, str]] = None
) -> List[Tuple[Candidate, Optional[str]]]:
    """Order candidates, the best first, each with what it costs in accuracy, or None.

    Args:
        candidates: Artifacts of one model.
        unmet: By folder, what an artifact needs and this machine does not have; see `unmet_need`.
    """
    evaluations = {c.folder: _evaluation(c) for c in candidates}
    lacking = unmet or {}
    costs = {
        c.folder: lacking.get(c.folder) or _cost(evaluations[c.folder], evaluations)
        for c in candidates
    }

    def place(candidate: Candidate) -> Tuple[bool, int, int, str]:
        known = candidate.manifest
        order = _ORT_PRECISIONS if known.backend == "ort" else PRECISIONS
        return (
            costs[candidate.folder] is not None,
            _index(BACKENDS, known.backend),
            _index(order, known.precision),
            candidate.folder,
        )

    return [(c, costs[c.folder]) for c in sorted(candidates, key=place)]


def unmet_need(known: Manifest, device: Optional[str], flags: FrozenSet[str]) -> Optional[str]:
    """Return what an artifact needs for right answers and this processor lacks, or None.

    Args:
        known: Of the artifact.
        device: OpenVINO's, if one was asked for; None: the one it was built for.
        flags: Of `cpu.x86_flags`.
    """
    where = (device or known.options.get("ov_device") or "CPU").upper()
    if known.needs.get("x86") != "vnni" or cpu.multiplies_bytes_exactly(flags):
        return None
    if not where.startswith(("CPU", "AUTO")):
        return None
    return "it was built for x86 CPUs with VNNI or AMX, without which its INT8 sums saturate"


def _cost(own: Dict[str, Any], evaluations: Dict[str, Dict[str, Any]]) -> Optional[str]:
    top1 = _number(own, "top1")
    agreement = _number(own, "agreement")
    if top1 is not None:
        same_data = [
            e for e in evaluations.values() if e.get("data_digest") == own.get("data_digest")
        ]
        best = max(t for t in (_number(e, "top1") for e in same_data) if t is not None)
        if best - top1 > _TOP1_LOSS:
            return f"its top-1 is {top1:.1%}, the best of this model {best:.1%} (eval.json)"
        return None
    if agreement is not None and agreement < _AGREEMENT:
        return f"it agrees with FP32 on {agreement:.1%} of the images only (eval.json)"
    return None


def _evaluation(candidate: Candidate) -> Dict[str, Any]:
    """Read ``eval.json``; one that is absent, damaged or of another engine says nothing."""
    try:
        with open(os.path.join(candidate.folder, "eval.json"), encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    fits = document.get("artifact_sha256") == candidate.manifest.sha256
    return document if fits else {}


def _number(evaluation: Dict[str, Any], key: str) -> Optional[float]:
    value = evaluation.get(key)
    return float(value) if isinstance(value, (int, float)) else None


def _index(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _folders(path: str) -> List[str]:
    """List the folders at or at most two levels below ``path`` that hold a manifest, sorted."""
    found: List[str] = []
    for folder, inner, files in os.walk(path):
        if manifest.MANIFEST in files:
            found.append(folder)
            del inner[:]
            continue
        depth = os.path.relpath(folder, path).count(os.sep) + (folder != path)
        # hidden: what a build in progress, or a killed one, has left
        inner[:] = [] if depth >= _DEPTH else sorted(n for n in inner if not n.startswith("."))
    return found
