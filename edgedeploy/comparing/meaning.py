"""Do two profiles mean the same by their numbers? If not, they are not compared.

docs/deciding.md names what must agree.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.profiling.records import ProfileRecord

_OURS = "edgedeploy"
# What decides which parts of a query trtexec's times hold: its versions have other defaults.
_TRTEXEC = ("latency_is", "cuda_graph", "spin_wait", "expose_dma", "streams")
# What may differ, and is said.
_NOTED = (
    "model",
    "artifact.backend",
    "artifact.precision",
    "device.name",
    "device.model",
    "device.clocks",
    "threads",
    "environment.edgedeploy",
    "environment.backend",
    "environment.engine_device",
    "environment.python",
    "environment.numpy",
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that two profiles have differently.

    Attributes:
        what: Where the record has it, e.g. ``"device.power_mode"``.
        first: In the first, as text.
        second: In the second.
    """

    what: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.what}: {self.first} against {self.second}"


def mismatches(first: ProfileRecord, second: ProfileRecord) -> tuple[Mismatch, ...]:
    """Return what makes two profiles incomparable; empty: nothing does.

    What only one of them knows (an older record has no ``input_shape``, for one) is no mismatch,
    except for the power mode: one that is not known is not the same.
    """
    one, two = first.document, second.document
    pairs: list[tuple[str, Any, Any]] = [
        ("source", first.source or _OURS, second.source or _OURS),
        # with its rate or its streams; for how long it was measured does not matter
        ("scenario", first.key.scenario, second.key.scenario),
        ("inside", one["inside"], two["inside"]),
        ("device.power_mode", one["device"].get("power_mode"), two["device"].get("power_mode")),
    ]
    if "input_shape" in one and "input_shape" in two:
        pairs.append(("input_shape", one["input_shape"], two["input_shape"]))
    told, other = one.get("trtexec"), two.get("trtexec")
    if isinstance(told, dict) and isinstance(other, dict):
        pairs += [(f"trtexec.{what}", told.get(what), other.get(what)) for what in _TRTEXEC]
    return _differing(pairs)


def noted(first: ProfileRecord, second: ProfileRecord) -> tuple[Mismatch, ...]:
    """Return what differs and forbids nothing: it is what the comparison may be about."""
    return _differing(
        [(path, _at(first.document, path), _at(second.document, path)) for path in _NOTED]
    )


def _at(document: Mapping[str, Any], path: str) -> Any:
    value: Any = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _differing(pairs: list[tuple[str, Any, Any]]) -> tuple[Mismatch, ...]:
    return tuple(Mismatch(what, _text(one), _text(two)) for what, one, two in pairs if one != two)


def _text(value: Any) -> str:
    """Return a value of a record on one line, with nothing that steers a terminal."""
    if value is None:
        return "not known"
    if isinstance(value, str) and value.isprintable():
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return " + ".join(_text(one) for one in value)
    return json.dumps(value, sort_keys=True)
