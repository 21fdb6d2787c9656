"""The prepare job: an artifact's engine is built where it does not fit this machine.

It is a job of its own, for a process that has built an engine would measure the builder's memory
and call its time the load.
"""

from typing import Any, Callable, Dict

from ..meters import board
from ..runtime.runtime import Runtime
from . import conditions
from .channel import Channel
from .jobs import PrepareJob


def prepare(
    job: PrepareJob, channel: Channel, load: Callable[..., Any] = Runtime.load
) -> Dict[str, Any]:
    """Load an artifact, and build its engine from its source if it does not load as it is.

    Args:
        job: What to prepare, and for which board.
        channel: Hears that it begins.
        load: Opens the artifact.

    Returns:
        ``{"rebuilt": bool}``; the artifact's manifest says what was built.

    Raises:
        EdgeDeployError: It neither loads nor can be built here, or this is another board.
    """
    conditions.require_board(job.board, board.detect())
    channel.phase("build")
    with load(job.artifact, rebuild=True) as runtime:
        return {"rebuilt": runtime.info["rebuilt"]}
