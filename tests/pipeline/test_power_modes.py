"""What a sweep over power modes does where a mode, or the board, is lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from edgedeploy.errors import EdgeDeployError
from edgedeploy.meters.power_modes import PowerMode
from edgedeploy.pipeline.power_modes import PowerModes, power_modes
from edgedeploy.profiling.power_modes import Change

if TYPE_CHECKING:
    from edgedeploy.pipeline import Failure, Measured
    from edgedeploy.profiling.power_modes import Guard

WEAK, STRONG = PowerMode(1, "5W"), PowerMode(0, "MAXN")
ARTIFACTS = [Path("a"), Path("b")]


class Refusing:
    """A guard that sets no weak mode."""

    def __init__(self, *, reachable: bool) -> None:
        self.reachable = reachable

    def set(self, mode: PowerMode) -> Change:
        if mode == WEAK:
            raise EdgeDeployError("it fails", fix="none")
        return Change(mode, WEAK, settled=True)


def sweep(*, reachable: bool) -> PowerModes:
    return PowerModes(cast("Guard", Refusing(reachable=reachable)), [WEAK, STRONG])


def test_a_mode_that_cannot_be_set_is_told_and_the_others_are_measured() -> None:
    modes, told = sweep(reachable=True), cast("list[Failure]", [])
    steps = list(modes.steps(ARTIFACTS, None, told.append))
    assert [(step.number, step.artifact, step.note) for step in steps] == [
        (3, Path("a"), " (MAXN)"),
        (4, Path("b"), " (MAXN)"),
    ]
    assert [(failure.subject, failure.error.problem) for failure in told] == [("5W", "it fails")]
    assert [(one["measured"], one["reason"]) for one in modes.told()["power_modes"]] == [
        (False, "it fails"),
        (True, None),
    ]


def test_a_lost_board_ends_the_sweep() -> None:
    with pytest.raises(EdgeDeployError, match="it fails"):
        list(sweep(reachable=False).steps(ARTIFACTS, None, lambda _: None))


def test_what_is_done_is_asked_for_in_each_mode() -> None:
    asked = []

    def seek(*, power_mode: str | None) -> dict[Path, Measured]:
        asked.append(power_mode)
        return {}

    list(sweep(reachable=True).steps(ARTIFACTS, seek, lambda _: None))
    with power_modes([], None) as as_it_is:
        steps = list(as_it_is.steps(ARTIFACTS, seek, lambda _: None))
        assert len(as_it_is) == 1
        assert as_it_is.told() == {}
        as_it_is.end()
    assert asked == ["MAXN", None]
    assert [(step.number, step.note) for step in steps] == [(1, ""), (2, "")]
