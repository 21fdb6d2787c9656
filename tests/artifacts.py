"""Artifacts written by hand, as a build would leave them, of a model that is easy to compute."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.helper as oh
from onnx import TensorProto

from edgedeploy.runtime import manifest as manifests

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = 4
SIDE = 8


def small_model(*, softmax: bool = False, side: int | None = SIDE) -> onnx.ModelProto:
    """Global mean of each channel, then a fixed 3 -> 4 matrix: easy to compute by hand."""
    nodes = [
        oh.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        oh.make_node("Flatten", ["pooled"], ["features"]),
        oh.make_node("MatMul", ["features", "weights"], ["scores"]),
    ]
    if softmax:
        nodes.append(oh.make_node("Softmax", ["scores"], ["probabilities"], axis=1))
    output = "probabilities" if softmax else "scores"
    sides = ["h", "w"] if side is None else [side, side]
    graph = oh.make_graph(
        nodes,
        "small",
        [oh.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, *sides])],
        [oh.make_tensor_value_info(output, TensorProto.FLOAT, ["n", CLASSES])],
        [oh.make_tensor("weights", TensorProto.FLOAT, weights().shape, weights().ravel())],
    )
    return oh.make_model(graph, opset_imports=[oh.make_opsetid("", 13)], ir_version=7)


def weights() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([[1, 0, 0, -1], [0, 1, 0, -1], [0, 0, 1, -1]], dtype=np.float32)


def expected(batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What `small_model` gives."""
    result: np.ndarray[Any, Any] = batch.mean(axis=(2, 3)) @ weights()
    return result


def document(files: dict[str, bytes], **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "schema": manifests.SCHEMA,
        "model": "small",
        "variant": None,
        "backend": "ort",
        "backend_version": "1.2.3",
        "precision": {"asked": "fp32", "runs": {"float32": 1}},
        "inputs": [{"name": "image", "shape": [None, 3, SIDE, SIDE], "dtype": "float32"}],
        "outputs": [{"name": "scores", "shape": [None, CLASSES], "dtype": "float32"}],
        "softmax": False,
        "preprocessing": {"mean": [0, 0, 0], "std": [255, 255, 255], "color": "rgb"},
        "labels": ["red", "green", "blue", "dark"],
        "options": {},
        "engine": next(iter(files)),
        "files": [
            {"name": n, "size_bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()}
            for n, d in files.items()
        ],
        "runs_on": {"portable": True},
    }
    return made | changes


def write_artifact(folder: Path, **changes: Any) -> Path:
    """Write an ort artifact of the small model; ``changes`` go into its manifest.

    ``content`` replaces the engine's files, ``precision`` may be a bare word.
    """
    softmax = bool(changes.get("softmax"))
    side = changes["inputs"][0]["shape"][2] if "inputs" in changes else SIDE
    files = changes.pop("content", None) or {
        "model.onnx": small_model(softmax=softmax, side=side).SerializeToString()
    }
    if softmax:
        name = "probabilities"
        changes["outputs"] = [{"name": name, "shape": [None, CLASSES], "dtype": "float32"}]
    if isinstance(asked := changes.get("precision"), str):
        changes["precision"] = {"asked": asked, "runs": {}}
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / manifests.MANIFEST).write_text(json.dumps(document(files, **changes)))
    return folder
