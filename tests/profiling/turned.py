"""Runs in turns that no process makes: a machine whose speed drifts, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.profiling import rounds
from edgedeploy.profiling.measuring import ProfileSpec
from tests.profiling import documents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.profiling.rounds import Turn

CALLS = 100


class Drifting:
    """Measures turns on a machine that gets slower from each to the next.

    Args:
        folder: For the artifacts.
        times_ms: What a call takes at the beginning, of A and of B.
        turns: In all.
        drift: By how much the last turn is slower than the first, as a share.
        between: Standard deviation from process to process, as a share.
        result: Changes a turn's raw result.
    """

    def __init__(
        self,
        folder: Path,
        *,
        times_ms: tuple[float, float] = (1.0, 1.0),
        turns: int = 20,
        drift: float = 0.0,
        between: float = 0.002,
        result: Callable[[Turn], Mapping[str, Any]] = lambda _: {},
    ) -> None:
        self.measured: list[Turn] = []
        self.specs: list[ProfileSpec] = []
        self._folder, self._result = folder, result
        self._times_ms = dict(zip("AB", times_ms, strict=True))
        self._speeds = np.linspace(1, 1 + drift, turns)
        self._between = between
        self._random = np.random.default_rng(0)

    def __call__(self, turn: Turn, spec: ProfileSpec) -> ProfileRecord:
        """Return the record of the next turn."""
        scale = self._times_ms[turn.side] * self._speeds[len(self.measured)]
        scale *= np.exp(self._random.normal(0, self._between))
        ns = [int(1e6 * scale * each) for each in self._random.lognormal(0, 0.01, CALLS)]
        self.measured.append(turn)
        self.specs.append(spec)
        result = documents.raw_result(ns, window_ns=sum(ns), **self._result(turn))
        when_s = 1_795_332_600 + len(self.measured)
        return documents.record(
            self._folder / turn.side, result=result, created_s=when_s, model=f"model {turn.side}"
        )


def in_turns(
    folder: Path, count: int = 10, *, name: str = "one run", **machine: Any
) -> tuple[ProfileRecord, ProfileRecord]:
    """The two records of one run."""
    one = Drifting(folder, turns=2 * count, **machine)
    return rounds.measure(ProfileSpec(), count, one, name=name)
