"""The probe job: which Python, which board."""

from typing import Any, Dict

from . import conditions


def probe() -> Dict[str, Any]:
    """Return the versions and the board, as JSON values."""
    return {"environment": conditions.environment(), "board": {"name": "local", "model": None}}
