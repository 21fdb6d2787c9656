"""The variants to choose from: the newest profile of each, all measured in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy import metrics
from edgedeploy.errors import FileError, MeasurementError, UsageError
from edgedeploy.metrics import METRICS, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from edgedeploy.profiling.records import ProfileRecord

OURS = "edgedeploy"
"""What a source is called that no record names."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One variant, as it was measured last.

    Attributes:
        name: Model, backend and precision, and what else tells it from the others.
        record: Its profile.
        readings: Every metric of `metrics.METRICS`.
    """

    name: str
    record: ProfileRecord
    readings: Mapping[str, Reading]

    @property
    def level(self) -> str:
        """``"measured"``, ``"suspect"`` or ``"invalid"``."""
        return self.record.level


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked at.

    Attributes:
        device: Name of the board; None: there is only one.
        backend: Word of the backend; None: all.
        scenario: As a record's key has it, e.g. ``"server, 100/s"``.
        source: The program that measured.
    """

    device: str | None = None
    backend: str | None = None
    scenario: str = "single"
    source: str = OURS


def candidates(records: Sequence[ProfileRecord], wanted: Wanted) -> tuple[Candidate, ...]:
    """Return the newest profile of each variant among those wanted, sorted by name.

    Variants differ in model, backend, precision, size, threads or power mode.

    Raises:
        FileError: None is left.
        MeasurementError: What is left contains different things, or has another batch size.
        UsageError: It was measured on several devices, and none was named.
    """
    left = list(records)
    told: dict[str, Callable[[ProfileRecord], str]] = {
        "source": lambda one: one.source or OURS,
        "scenario": lambda one: one.key.scenario,
        "backend": lambda one: one.key.backend,
        "device": lambda one: one.key.device,
    }
    for what, read in told.items():
        asked = getattr(wanted, what)
        if asked is not None:
            left = _only(left, what, asked, read)
    devices = sorted({one.key.device for one in left})
    if len(devices) > 1:
        raise UsageError(
            f"the profiles are of several devices: {', '.join(devices)}",
            fix=f"name one: --device {devices[0]}",
        )
    _check_alike(left)
    newest = {_identity(one): one for one in sorted(left, key=lambda one: one.created)}
    return tuple(sorted(_named(list(newest.values())), key=lambda one: one.name))


def _only(
    records: Iterable[ProfileRecord], what: str, asked: str, read: Callable[[ProfileRecord], str]
) -> list[ProfileRecord]:
    records = list(records)
    kept = [one for one in records if read(one) == asked]
    if not kept:
        found = ", ".join(sorted({read(one) for one in records}))
        raise FileError(
            f"no profile has {what} {asked!r}; there is {found}",
            fix=f"pass --{what} with one of these, or measure: edgedeploy profile",
        )
    return kept


def _check_alike(records: Sequence[ProfileRecord]) -> None:
    """Refuse numbers that do not mean the same."""
    first = records[0]
    for one in records[1:]:
        for what, read in {"inside": _inside, "batch": _batch}.items():
            mine, other = read(first), read(one)
            if mine != other and None not in {mine, other}:
                raise MeasurementError(
                    f"the profiles do not measure the same: {what} is {mine} of {first.model}, "
                    f"measured {first.created}, and {other} of {one.model}, measured {one.created}",
                    fix="pass only profiles of one kind: edgedeploy select FILE…",
                )


def _inside(record: ProfileRecord) -> str | None:
    return " + ".join(record.document["inside"])


def _batch(record: ProfileRecord) -> str | None:
    shape = record.document.get("input_shape")
    return str(shape[0]) if shape else None


def _identity(record: ProfileRecord) -> tuple[Any, ...]:
    return (record.key, power_mode(record))


def power_mode(record: ProfileRecord) -> str | None:
    """Return the name of the mode that the board was in; None where it has none."""
    return record.power_mode


def _named(records: Sequence[ProfileRecord]) -> list[Candidate]:
    """Name each by model, backend and precision, and by what else differs where they do not."""
    short = [_short(one) for one in records]
    made = []
    for record, name in zip(records, short, strict=True):
        alike = [one for one, other in zip(records, short, strict=True) if other == name]
        more = [
            _text(record)
            for _text in (_side, _threads, power_mode)
            if len({_text(one) for one in alike}) > 1
        ]
        full = " ".join([name, *(text or "?" for text in more)])
        readings = {name: metrics.read(record.document, metric) for name, metric in METRICS.items()}
        made.append(Candidate(full, record, readings))
    return made


def _short(record: ProfileRecord) -> str:
    return f"{record.key.model} {record.key.backend} {record.key.precision}"


def _side(record: ProfileRecord) -> str | None:
    side = record.key.side
    return None if side is None else f"{side[0]}x{side[1]}"


def _threads(record: ProfileRecord) -> str | None:
    threads = record.key.threads
    return None if threads is None else f"{threads} thread{'s' * (threads > 1)}"
