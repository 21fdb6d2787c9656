"""Two profiles of one ``profile --ab`` run: the unit is the round, not the call.

A round is one process of each side, right after one another. What drifts from round to round is in
both of them, and leaves their ratio; what differs from process to process is in the spread of the
ratios. Rounds are drawn as pairs: a cluster bootstrap. A. C. Davison and D. V. Hinkley, Bootstrap
Methods and their Application, 1997, section 3.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy import stats
from edgedeploy.comparing import intervals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.comparing.intervals import Estimate
    from edgedeploy.comparing.sides import Side
    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.types import Array


@dataclass(frozen=True, slots=True)
class Rounds:
    """The rounds of two profiles that were measured in turns.

    Attributes:
        first: Samples of each round in ms, each ``(n,)``.
        second: As many of the other side.
        energies: Millijoules of an inference in each round, of both sides: ``(rounds, 2)``; None
            where a round has none.
    """

    first: tuple[Array, ...]
    second: tuple[Array, ...]
    energies: Array | None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.first)

    def estimate(self, name: str) -> Estimate | None:
        """Return the change of a figure from the first side to the second.

        Args:
            name: One of `intervals.SHARES`, ``"mean"`` or ``"energy"``.

        Returns:
            None for the energy where a round has none.
        """
        if name == "energy":
            return None if self.energies is None else intervals.paired(*self.energies.T)
        if name in ("p50", "mean"):
            return intervals.paired(_figures(self.first, name), _figures(self.second, name))
        return intervals.tails(self.first, self.second, intervals.SHARES[name])


def of(first: Side, second: Side) -> Rounds | None:
    """Return the rounds of two profiles; None if they are not the two sides of one run."""
    one, two = first.record.document, second.record.document
    if not _are_one_run(one, two):
        return None
    energies = [
        [each.get("energy_mj_per_inference") for each in pair]
        for pair in zip(one["rounds"], two["rounds"], strict=True)
    ]
    are_known = all(value is not None and value > 0 for pair in energies for value in pair)
    return Rounds(
        _split(first.record), _split(second.record), np.array(energies) if are_known else None
    )


def doubt(record: ProfileRecord) -> str | None:
    """Return why a side of such a run may not be believed; None: it may.

    A drift from round to round is no doubt here: both sides have it.
    """
    verdict = record.document["ab"]["verdict"]
    if verdict["level"] == "measured":
        return None
    return ": ".join([verdict["level"], *verdict["reasons"][:1]])


def _are_one_run(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    told, other = one.get("ab"), two.get("ab")
    if told is None or other is None or "rounds" not in one or "rounds" not in two:
        return False
    is_pair = told["id"] == other["id"] and told["side"] != other["side"]
    return is_pair and len(one["rounds"]) == len(two["rounds"])


def _split(record: ProfileRecord) -> tuple[Array, ...]:
    ends = np.cumsum([each["count"] for each in record.document["rounds"]])
    return tuple(np.split(record.samples_ns() / 1e6, ends[:-1]))


def _figures(rounds: tuple[Array, ...], name: str) -> Array:
    """Return the median or the mean of each round, ``(rounds,)``."""
    of_round = np.mean if name == "mean" else lambda samples: stats.percentile(samples, 0.5)
    return np.array([of_round(samples) for samples in rounds])
