"""What an artifact's own graph has to compute, beside what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError
from edgedeploy.graph import cost
from edgedeploy.profiling import layer_graphs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedeploy.graph.operations import Op
    from edgedeploy.profiling.records import ProfileRecord

_NO_GRAPH = "the artifact holds no graph to count in"
_NO_SIZE = "the engine's file does not say the size of its maps, or of an operation what it does"


@dataclass(frozen=True, slots=True)
class Counted:
    """An artifact's graph, or why there is none; never both, never neither.

    Attributes:
        ops: Its operations.
        reason: Why nothing can be counted.
    """

    ops: tuple[Op, ...] | None
    reason: str | None = None


def read(folder: Path, engine: str, shape: Sequence[int]) -> Counted:
    """Read the graph of an artifact that was measured.

    A graph that cannot be read is a reason, no error: what was measured is not lost over it.

    Args:
        folder: The artifact.
        engine: Its file.
        shape: Of the input that was measured.
    """
    try:
        ops = layer_graphs.read(folder, engine, shape)
    except FileError as error:
        return Counted(None, error.problem)
    return Counted(None, _NO_GRAPH) if ops is None else Counted(ops)


def add(record: ProfileRecord, counted: Counted) -> ProfileRecord:
    """Return ``record`` with its ``cost``: multiply-adds and parameters of its graph."""
    found: dict[str, int | None] = dict.fromkeys(("multiply_adds", "parameters"))
    if counted.ops is not None:
        costs = cost.of(counted.ops)
        found["multiply_adds"] = cost.total(each.multiply_adds for each in costs)
        found["parameters"] = cost.total(each.parameters for each in costs)
    reasons = {
        f"cost.{name}": counted.reason or _NO_SIZE
        for name, number in found.items()
        if number is None
    }
    more = {"cost": found, "reasons": {**record.document["reasons"], **reasons}}
    return replace(record, document={**record.document, **more})
