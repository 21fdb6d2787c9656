"""Doing one thing in a process of its own, so that a crash of the driver costs that thing only."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import EdgeDeployError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORKER = Path(__file__).with_name("worker.py")


class NotDoneError(EdgeDeployError):
    """A job failed; the others go on.

    Attributes:
        code: What the process would end with.
    """

    def __init__(self, problem: str, *, fix: str, code: int = 1) -> None:
        super().__init__(problem, fix=fix)
        self.code = code


def run(told: Mapping[str, Any], *, limit_s: float, python: str = sys.executable) -> dict[str, Any]:
    """Run one job of `on_gpu.worker`.

    Args:
        told: ``{"do": "machine" | "build" | "latency" | "agreement", …}``.
        limit_s: Seconds after which it is ended.
        python: Interpreter.

    Returns:
        What it found, as JSON values.

    Raises:
        NotDoneError: It failed, crashed or took too long.
    """
    fix = f"run it by hand: echo '{json.dumps(told)}' | {python} {_WORKER}"
    try:
        done = subprocess.run(
            [python, str(_WORKER)],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        raise NotDoneError(f"it was ended after {limit_s:.0f} s", fix=fix) from None
    said = done.stdout.strip().splitlines()
    try:
        found = json.loads(said[-1])
    except (IndexError, ValueError):
        raise NotDoneError(_ending(done), fix=fix) from None
    if "error" in found:
        error = found["error"]
        raise NotDoneError(error["problem"], fix=error["fix"], code=error["exit_code"])
    result: dict[str, Any] = found
    return result


def _ending(done: subprocess.CompletedProcess[str]) -> str:
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if done.returncode < 0:
        return f"the process died of {signal.Signals(-done.returncode).name}: {last}"
    return f"the process ended with {done.returncode}: {last}"
