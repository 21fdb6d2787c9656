"""Where the time of a call goes: layers by kind, beside what they have to compute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import MeasurementError
from edgedeploy.profiling.layer_kinds import KINDS, Graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.profiling.costs import Counted
    from edgedeploy.profiling.records import ProfileRecord


def add(record: ProfileRecord, result: Mapping[str, Any], counted: Counted) -> ProfileRecord:
    """Return ``record`` with the layers that its worker timed.

    Args:
        record: Of the run.
        result: Of its worker, which was asked for layers.
        counted: The graph of the artifact, which says what the layers are.

    Raises:
        MeasurementError: The worker says nothing of layers: it is of another version.
    """
    if "layers" not in result:
        raise MeasurementError(
            "layers were asked for, the worker's result says nothing of them",
            fix="use the same version of edgedeploy on both sides",
        )
    found = result["layers"]
    graph = Graph(counted.ops or ())
    reasons = dict(record.document["reasons"])
    del reasons["layers"]
    if found is None:
        reasons["layers"] = result["layers_reason"]
    if counted.reason is not None:
        reasons["layers_work"] = counted.reason
    layers = None if found is None else _layers(found, graph)
    more = {
        "layers": layers,
        "layers_ms": None if layers is None else _by_kind(layers),
        "layers_runs": None if layers is None else result["layers_runs"],
        "layers_work": None if counted.ops is None else graph.work(),
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
