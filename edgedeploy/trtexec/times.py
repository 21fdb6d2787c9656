"""The times of every query, as ``trtexec --exportTimes`` writes them: TensorRT 8 to 11.

A JSON list with an object a query; all values are milliseconds, from CUDA events, written with six
digits. Versions whose summary has an "End-to-End Host Latency" also write ``endToEndMs``, and the
queries of the warm-up before the others.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.types import Array

_MOST_BYTES = 1 << 28
_LARGEST = 1e9
_KEYS = ("latencyMs", "computeMs", "startEnqMs", "endEnqMs")
_AGAIN = "measure again: edgedeploy trtexec command ARTIFACT --measure prints how"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Every query that was exported, in order.

    Attributes:
        latency_ms: ``(n,)`` copies in, compute and copies out, without what lies between them.
        compute_ms: ``(n,)`` of that, what the GPU computed.
        enqueue_ms: ``(n,)`` what the host took to hand it over.
    """

    latency_ms: Array
    compute_ms: Array
    enqueue_ms: Array

    def last(self, count: int) -> Times:
        """Return the last ``count`` queries."""
        return Times(
            latency_ms=self.latency_ms[-count:],
            compute_ms=self.compute_ms[-count:],
            enqueue_ms=self.enqueue_ms[-count:],
        )


def read(path: Path) -> Times:
    """Read exported times.

    Raises:
        FileError: It cannot be read, or is damaged.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise FileError(
                f"{path} has {path.stat().st_size / 1e6:.0f} MB, {_MOST_BYTES / 1e6:.0f} are read "
                "at most",
                fix="measure for a shorter time: --duration",
            )
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}", fix="pass the file of --exportTimes"
        ) from error
    return parse(text, name=str(path))


def parse(text: str, *, name: str) -> Times:
    """Read the text of exported times.

    Args:
        text: JSON.
        name: What an error calls it, usually its path.

    Raises:
        FileError: It is of another form.
    """
    try:
        # an integer of a million digits would take minutes as one
        queries = json.loads(
            text, parse_int=float, parse_constant=_refuse, object_pairs_hook=_query
        )
        if not isinstance(queries, list) or not queries:
            raise ValueError("it is no list of queries")
        if not all(isinstance(query, tuple) for query in queries):
            raise ValueError("an entry of its list is no object")
    except (ValueError, RecursionError) as error:
        raise FileError(f"{name} is damaged: {error}", fix=_AGAIN) from error
    values = np.array(queries, dtype=np.float64)
    return Times(
        latency_ms=values[:, 0], compute_ms=values[:, 1], enqueue_ms=values[:, 3] - values[:, 2]
    )


def _query(pairs: list[tuple[str, object]]) -> tuple[float, ...]:
    """Keep of one query what is used."""
    query = dict(pairs)
    found = []
    for key in _KEYS:
        value = query.get(key)
        if not isinstance(value, float) or not 0 <= value <= _LARGEST or not math.isfinite(value):
            state = "is missing" if value is None else f"is {str(value)[:40]!r}"
            raise ValueError(f"{key} of a query {state}")
        found.append(value)
    return tuple(found)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"it holds {word}")
