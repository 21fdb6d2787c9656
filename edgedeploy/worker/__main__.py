"""Entry point: ``python -m edgedeploy.worker``, or the copy's own name in its place."""

import signal
import sys
from typing import Any, Dict

from ..runtime.errors import EdgeDeployError, MissingDependencyError
from .channel import Channel, exit_with_parent, take_stdout


def main() -> int:
    """Do the one job on stdin and return the exit code."""
    # a vendor call cannot be interrupted from Python: let Ctrl-C end the process in the middle
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    channel = Channel(take_stdout())
    try:
        channel.result(_work(sys.stdin.readline(), channel))
    except EdgeDeployError as error:
        channel.error(error)
        return error.exit_code
    return 0


def _work(line: str, channel: Channel) -> Dict[str, Any]:
    try:
        import numpy  # noqa: F401 -- a bare board's Python may lack it: say so before anything else
    except ImportError as error:
        raise MissingDependencyError(
            f"{sys.executable} has no NumPy that loads: {error}",
            fix="install it there (apt install python3-numpy), or name another Python",
        ) from error
    from . import jobs, power_modes, preparing, probing, profiling

    job, watch_stdin = jobs.parse(line)
    if watch_stdin:
        exit_with_parent()
    if isinstance(job, jobs.ProbeJob):
        return probing.probe(job)
    if isinstance(job, jobs.PrepareJob):
        return preparing.prepare(job, channel)
    if isinstance(job, jobs.PowerModeJob):
        return power_modes.guard(job, channel)
    return profiling.profile(job, channel)


if __name__ == "__main__":
    sys.exit(main())
