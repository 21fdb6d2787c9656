"""Which profile is compared with which: two files, two folders, or a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edgedeploy.profiling.records import ProfileRecord

# A baseline counts only on the machine, and with the libraries, that it was taken with.
_ENVIRONMENT = ("backend", "engine_device", "python")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two profiles to be compared.

    Attributes:
        name: What they are of.
        first: Before.
        second: After.
    """

    name: str
    first: ProfileRecord
    second: ProfileRecord


@dataclass(frozen=True, slots=True)
class Lonely:
    """A profile without a partner.

    Attributes:
        name: What it is of.
        reason: Where it is, and why nothing goes with it.
        is_new: Whether it is on the second side.
    """

    name: str
    reason: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Pairs:
    """What goes together, and what is left.

    Attributes:
        pairs: Sorted by name.
        lonely: Sorted by name.
    """

    pairs: tuple[Pair, ...]
    lonely: tuple[Lonely, ...]


def subject(record: ProfileRecord) -> str:
    """Return what a record is of, in words."""
    key, mode = record.key, record.document["device"].get("power_mode")
    by = key.backend if record.source is None else f"{key.backend} ({record.source})"
    more = [
        key.device,
        mode if isinstance(mode, str) and mode.isprintable() else None,
        None if key.scenario == "single" else key.scenario,
        None if key.side is None else "x".join(map(str, key.side)),
        None if key.threads is None else f"{key.threads} thread{'s' * (key.threads > 1)}",
    ]
    return f"{key.model} {by} {key.precision} ({', '.join(text for text in more if text)})"


def direct(first: ProfileRecord, second: ProfileRecord) -> Pairs:
    """Pair two profiles, whatever they are of."""
    one, two = subject(first), subject(second)
    name = one if one == two else f"{one} against {two}"
    return Pairs((Pair(name, first, second),), ())


def by_key(first: Sequence[ProfileRecord], second: Sequence[ProfileRecord]) -> Pairs:
    """Pair the newest profile of each key with the other side's newest of the same power mode.

    Where the other side has the key in another mode only, the two are paired all the same, so that
    the comparison can say what is wrong with them.
    """
    before, after = _newest(first, _in_mode), _newest(second, _in_mode)
    pairs = [Pair(subject(after[one]), before[one], after[one]) for one in before if one in after]
    rest_before = _newest([before[one] for one in before if one not in after], _key)
    rest_after = _newest([after[one] for one in after if one not in before], _key)
    for one in [one for one in rest_before if one in rest_after]:
        now = rest_after.pop(one)
        pairs.append(Pair(subject(now), rest_before.pop(one), now))
    lonely = [Lonely(subject(one), "only in A", is_new=False) for one in rest_before.values()]
    lonely += [Lonely(subject(one), "only in B", is_new=True) for one in rest_after.values()]
    return Pairs(_sorted(pairs), _sorted(lonely))


def with_baseline(baseline: Sequence[ProfileRecord], measured: Sequence[ProfileRecord]) -> Pairs:
    """Pair the newest profile of each key with the newest baseline of the same key and machine.

    The machine is the device's name, model and power mode, and the environment: the backend's
    library with its version, what it ran on, and Python. A baseline that nothing was measured
    for is left alone.
    """
    before, others = _newest(baseline, _on_machine), _newest(baseline, _key)
    pairs, lonely = [], []
    for record in _newest(measured, _in_mode).values():
        name, found = subject(record), before.get(_on_machine(record))
        if found is not None:
            pairs.append(Pair(name, found, record))
        else:
            reason = _lacking(record, others.get(_key(record)))
            lonely.append(Lonely(name, reason, is_new=True))
    return Pairs(_sorted(pairs), _sorted(lonely))


def _newest(
    records: Iterable[ProfileRecord], name: Callable[[ProfileRecord], Any]
) -> dict[Any, ProfileRecord]:
    return {name(one): one for one in sorted(records, key=lambda one: one.created)}


def _key(record: ProfileRecord) -> tuple[Any, ...]:
    return (record.key, record.source)


def _in_mode(record: ProfileRecord) -> tuple[Any, ...]:
    return (*_key(record), str(record.document["device"].get("power_mode")))


def _on_machine(record: ProfileRecord) -> tuple[Any, ...]:
    return (*_key(record), *(text for _, text in _machine_facts(record)))


def _machine_facts(record: ProfileRecord) -> list[tuple[str, str]]:
    device, environment = record.document["device"], record.document["environment"]
    facts = [(f"device.{name}", device.get(name)) for name in ("name", "model", "power_mode")]
    facts += [(f"environment.{name}", environment.get(name)) for name in _ENVIRONMENT]
    return [(name, str(value)) for name, value in facts]


def _lacking(record: ProfileRecord, nearest: ProfileRecord | None) -> str:
    """Say why there is no baseline: none at all, or what differs in the newest one."""
    if nearest is None:
        return "no baseline"
    told = [
        f"{name} {before!r} there, {now!r} here"
        for (name, before), (_, now) in zip(
            _machine_facts(nearest), _machine_facts(record), strict=True
        )
        if before != now
    ]
    return f"no baseline for this machine: {'; '.join(told)}"


def _sorted(found: Any) -> tuple[Any, ...]:
    return tuple(sorted(found, key=lambda one: one.name))
