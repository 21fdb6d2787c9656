from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import UnsupportedError
from edgedeploy.worker import jobs, preparing
from edgedeploy.worker.channel import Channel
from edgedeploy.worker.jobs import PrepareJob
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path


class Loaded:
    """Stands for a runtime whose engine had to be built."""

    def __init__(self) -> None:
        self.info = {"rebuilt": True}
        self.closed = False

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


def test_an_artifact_that_loads_is_not_built_again(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact")
    out = io.StringIO()
    assert preparing.prepare(PrepareJob(str(folder)), Channel(out)) == {"rebuilt": False}
    assert json.loads(out.getvalue()) == {"event": "phase", "phase": "build"}


def test_an_engine_is_built_where_it_does_not_fit_and_put_away() -> None:
    made, asked = Loaded(), []

    def load(path: str, **wishes: Any) -> Loaded:
        asked.append((path, wishes))
        return made

    done = preparing.prepare(PrepareJob("there"), Channel(io.StringIO()), load)
    assert done == {"rebuilt": True}
    assert asked == [("there", {"rebuild": True})]
    assert made.closed


def test_nothing_is_built_on_another_board_than_asked_for() -> None:
    with pytest.raises(UnsupportedError, match="--device jetson-nano was asked for"):
        preparing.prepare(PrepareJob("there", "jetson-nano"), Channel(io.StringIO()))


def test_the_job_is_read_from_its_line() -> None:
    line = '{"job": "prepare", "artifact": "there", "board": null, "watch_stdin": true}'
    assert jobs.parse(line) == jobs.Order(PrepareJob("there"), watch_stdin=True)
