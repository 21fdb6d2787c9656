"""The probe job: which Python, which board."""

from typing import Any, Dict

from ..meters import board
from . import conditions


def probe() -> Dict[str, Any]:
    """Return the versions and the board, as JSON values."""
    return {"environment": conditions.environment(), "board": dict(board.detect()._asdict())}
