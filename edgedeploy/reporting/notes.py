"""What stands below the table: why a value is absent, what it is, what is doubtful."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy import metrics
from edgedeploy.reporting.table import MARKS, NOT_THERE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.reporting.table import Column, Row


def footnotes(shown: Sequence[Row], visible: Sequence[Column]) -> list[str]:
    """Explain each dash and each mark of a table, once."""
    return [
        *dashes(shown, visible),
        *remarks(shown),
        *(
            f"{MARKS[row.verdict]} {row.name}: {row.verdict}: {'; '.join(row.verdict_reasons)}"
            for row in shown
            if MARKS[row.verdict]
        ),
    ]


def dashes(shown: Sequence[Row], visible: Sequence[Column]) -> list[str]:
    """Explain each dash of a table once, and what kind of figure each of the others is."""
    notes: list[str] = []
    for column in visible:
        reasons = sorted(
            {
                row.reasons.get(column.attribute, NOT_THERE)
                for row in shown
                if column.write(row) is None
            }
        )
        notes += [f"– {column.title}: {reason}" for reason in reasons]
    if any(column.attribute == "device_mb" for column in visible):
        rules = {row.device_rule for row in shown if row.device_mb is not None}
        notes += [f"device MB: {rule}" for rule in sorted(map(str, rules - {None}))]
    if any(column.attribute == "energy_mj" for column in visible):
        kinds = {
            row.energy_rule or "nobody said what measured it"
            for row in shown
            if row.energy_mj is not None
        }
        notes += [f"energy mJ: {kind}" for kind in sorted(kinds)]
    dates = sorted({row.top1_shipped for row in shown if row.top1_shipped is not None})
    if dates and any(column.attribute == "top1" for column in visible):
        notes.append(
            f"* shipped with the model, measured {', '.join(dates)}; edgedeploy eval measures here"
        )
    return notes


def remarks(shown: Sequence[Row]) -> list[str]:
    """Return what must be known of the rows for their times to be read rightly."""
    notes = [f"{row.name}: {row.happened}" for row in shown if row.happened]
    notes += _failed_sensors(shown)
    if any((row.batch or 1) > 1 for row in shown):
        notes.insert(0, "batch: p50 and p99 are of one call, with all images of its batch")
    return notes


def _failed_sensors(shown: Sequence[Row]) -> list[str]:
    """Say why no row has an energy, where a sensor failed: then there is no column with dashes."""
    if any(row.energy_mj is not None for row in shown):
        return []
    told = {row.reasons.get("energy_mj", "") for row in shown if row.source is None}
    return [
        f"energy not measured: {reason}"
        for reason in sorted(told - {"", NOT_THERE})
        if not metrics.lacks_sensor(reason)
    ]
