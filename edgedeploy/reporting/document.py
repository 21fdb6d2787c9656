"""Profiles as one JSON document, for scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedeploy.profiling.records import ProfileRecord


def document(records: Iterable[ProfileRecord]) -> dict[str, Any]:
    """Return ``{"profiles": […]}``: each record whole, its samples included."""
    return {"profiles": [dict(record.document) for record in records]}


def render(records: Iterable[ProfileRecord]) -> str:
    """Return the document as the text of a file."""
    return json.dumps(document(records), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
