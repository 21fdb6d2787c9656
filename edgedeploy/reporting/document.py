"""Profiles as one JSON document, for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedeploy.profiling.records import ProfileRecord


def document(records: Iterable[ProfileRecord]) -> dict[str, Any]:
    """Return ``{"profiles": […]}``: each record whole, its samples included."""
    return {"profiles": [dict(record.document) for record in records]}
