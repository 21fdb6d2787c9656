"""Which records may stand in one chart: those whose latencies mean the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedeploy.profiling.records import ProfileRecord


@dataclass(frozen=True, slots=True, order=True)
class Setting:
    """Under what a number was taken; numbers of two settings are not compared.

    Attributes:
        device: Name of the board, and its processor where the name does not tell.
        power_mode: The board's, or ``""``.
        scenario: How calls arrived, with what sets it apart: see `ProfileRecord.setting`.
        batch: Images a call; 0 where nobody said.
        inside: What is inside a latency.
    """

    device: str
    power_mode: str
    scenario: str
    batch: int
    inside: tuple[str, ...]

    @property
    def words(self) -> str:
        """The setting in words, e.g. ``local (Intel N100), single, batch 1, h2d+compute+d2h``."""
        batch = f"batch {self.batch}" if self.batch else ""
        parts = (self.device, self.power_mode, self.scenario, batch, "+".join(self.inside))
        return ", ".join(part for part in parts if part)


def setting(record: ProfileRecord) -> Setting:
    """Return a record's setting."""
    document = record.document
    device = document["device"]
    mode = device.get("power_mode")
    shape = document.get("input_shape")
    return Setting(
        device=f"{device['name']} ({device['model']})" if device["model"] else device["name"],
        power_mode="" if mode is None else f"power mode {mode}",
        scenario=record.setting,
        batch=shape[0] if shape else 0,
        inside=tuple(document["inside"]),
    )


def by_setting(records: Iterable[ProfileRecord]) -> dict[Setting, list[ProfileRecord]]:
    """Return the records of each setting, that with the most of them first."""
    groups: dict[Setting, list[ProfileRecord]] = {}
    for record in records:
        groups.setdefault(setting(record), []).append(record)
    return dict(sorted(groups.items(), key=lambda found: (-len(found[1]), found[0])))


def group(record: ProfileRecord) -> str:
    """Return what colour and shape stand for: backend, source where it is another, precision."""
    backend, precision = record.key.backend, record.key.precision
    by = backend if record.source is None else f"{backend} ({record.source})"
    return f"{by} {precision}"
