"""Several engines in turns, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy import miniatures, stats
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shufflenet.networks import Experiment

    from edgedeploy.types import Array

_TYPES = {Precision.FP32: "float32", Precision.INT8: "int8"}  # as engines report them
_WARM_UP = 3
_FEWEST = 3  # calls in a turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """One network on one backend.

    Attributes:
        images_per_s: Median of the turns.
        spread: Width of the middle half of the turns, over their median.
        relative: Multiply-adds per second over those of the baseline, median of the turns.
        runs: What the engine reports it runs: convolutions by type.
    """

    images_per_s: float
    spread: float
    relative: float
    runs: dict[str, int]

    def is_of(self, precision: Precision) -> bool:
        """Return whether every convolution runs in the type that was asked for."""
        return set(self.runs) == {_TYPES[precision]}


def measure(
    experiment: Experiment,
    backend: str,
    precision: Precision,
    *,
    threads: int,
    rounds: int,
    turn_s: float,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> tuple[Speed, ...]:
    """Measure the settings of an experiment, the first of which is the baseline.

    Args:
        experiment: What to compare.
        backend: Of `miniatures.CPU_BACKENDS`.
        precision: FP32 or INT8.
        threads: Of the CPU.
        rounds: In each, every setting has a turn; every other one goes backwards.
        turn_s: Seconds of a turn; three calls at least.
        clock_ns: Monotonic.
    """
    with ExitStack() as stack:
        engines = [
            stack.enter_context(
                miniatures.opened(setting.model, backend, precision, threads=threads)
            )
            for setting in experiment.settings
        ]
        for engine in engines:
            for _ in range(_WARM_UP):
                engine.call()
        times = in_turns([engine.call for engine in engines], rounds, turn_s, clock_ns)
        runs = [dict(engine.runs) for engine in engines]
    work = np.array([setting.multiply_adds for setting in experiment.settings])
    return _speeds(times, work, runs)


def _speeds(times: Array, work: Array, runs: Sequence[dict[str, int]]) -> tuple[Speed, ...]:
    speeds = work / times
    ratios = speeds / speeds[:, :1]
    return tuple(
        Speed(
            images_per_s=1e9 / stats.percentile(times[:, column], 0.5),
            spread=stats.spread(times[:, column]),
            relative=stats.percentile(ratios[:, column], 0.5),
            runs=runs[column],
        )
        for column in range(len(runs))
    )


def in_turns(
    calls: Sequence[Callable[[], None]], rounds: int, turn_s: float, clock_ns: Callable[[], int]
) -> Array:
    """Return the median nanoseconds of a call in each turn, ``(rounds, len(calls))``."""
    times = np.empty((rounds, len(calls)))
    for number, row in enumerate(times):
        order = range(len(calls))
        for column in order if number % 2 == 0 else reversed(order):
            row[column] = _median_ns(calls[column], turn_s, clock_ns)
    return times


def _median_ns(call: Callable[[], None], turn_s: float, clock_ns: Callable[[], int]) -> float:
    samples: list[int] = []
    end_ns = clock_ns() + int(turn_s * 1e9)
    before_ns = clock_ns()
    while len(samples) < _FEWEST or before_ns < end_ns:
        call()
        after_ns = clock_ns()
        samples.append(after_ns - before_ns)
        before_ns = after_ns
    return stats.percentile(np.array(samples), 0.5)
