"""Where the time of a call goes: layers by kind, beside what they have to compute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import MeasurementError
from edgedeploy.profiling import layer_graphs
from edgedeploy.profiling.layer_kinds import KINDS, Graph

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.runtime.manifest import Manifest

_NO_GRAPH = "the artifact holds no graph to count in"


def add(
    record: ProfileRecord, result: Mapping[str, Any], manifest: Manifest, folder: Path
) -> ProfileRecord:
    """Return ``record`` with the layers that its worker timed.

    Args:
        record: Of the run.
        result: Of its worker, which was asked for layers.
        manifest: Of the artifact.
        folder: Where the artifact lies on this machine; its graph says what the layers are.

    Raises:
        MeasurementError: The worker says nothing of layers: it is of another version.
        FileError: The artifact's graph is damaged.
    """
    if "layers" not in result:
        raise MeasurementError(
            "layers were asked for, the worker's result says nothing of them",
            fix="use the same version of edgedeploy on both sides",
        )
    found = result["layers"]
    ops = layer_graphs.read(folder, manifest.engine, result["input_shape"])
    graph = Graph(ops or ())
    reasons = dict(record.document["reasons"])
    del reasons["layers"]
    if found is None:
        reasons["layers"] = result["layers_reason"]
    if ops is None:
        reasons["layers_work"] = _NO_GRAPH
    layers = None if found is None else _layers(found, graph)
    more = {
        "layers": layers,
        "layers_ms": None if layers is None else _by_kind(layers),
        "layers_runs": None if layers is None else result["layers_runs"],
        "layers_work": None if ops is None else graph.work(),
        "reasons": reasons,
    }
    return replace(record, document={**record.document, **more})


def _layers(found: list[dict[str, Any]], graph: Graph) -> list[dict[str, Any]]:
    total = sum(layer["ms"] for layer in found)
    return [
        {
            "name": layer["name"],
            "kind": graph.kind(layer["name"], layer["kind"]),
            "ms": layer["ms"],
            "share": layer["ms"] / total if total else None,
        }
        for layer in found
    ]


def _by_kind(layers: list[dict[str, Any]]) -> dict[str, float]:
    sums = {kind: [layer["ms"] for layer in layers if layer["kind"] == kind] for kind in KINDS}
    return {kind: sum(times) for kind, times in sums.items() if times}
