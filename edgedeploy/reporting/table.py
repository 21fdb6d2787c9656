"""The table of all variants: rows of values from records, and how each column is written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgedeploy.reporting import happenings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from edgedeploy.profiling.records import ProfileRecord

MARKS = {"measured": "", "suspect": "?", "invalid": "!"}
"""What stands before the median of a row whose verdict is not ``measured``."""

NOT_THERE = "not in the profile"

_PRECISIONS = ("fp32", "fp16", "bf16", "int8")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a table says of one profile; what is not known is None.

    Attributes:
        model: Name of the model.
        alpha: Width multiplier; None for a model that is none of the zoo's.
        rho: Resolution over base resolution; None as alpha.
        backend: Word of the backend.
        precision: What was asked.
        source: The program that measured, where it was not edgedeploy.
        scenario: How calls arrived, with what sets it apart and the images of a call that takes
            several, e.g. ``"multi, 2 streams"`` or ``"offline, batch 8"``.
        batch: Images of a call; None where nobody said.
        happened: What the scenario did besides latencies, e.g. how many frames were dropped.
        side: Height and width of the input in pixels; None where nobody said.
        threads: CPU threads of the vendor's library; None where nobody said.
        device: Name of the board, or ``"local"``.
        power_mode: Of the board; None where it has none, or nobody said.
        p50_ms: Median latency.
        p99_ms: None with too few samples.
        throughput_ips: Images per second of this scenario.
        peak_rss_mb: The worker's largest resident memory, in 10⁶ bytes.
        engine_mb: Size of the engine's files, in 10⁶ bytes; None where nobody said.
        device_mb: Memory on the device, in 10⁶ bytes; None where it was not measured.
        device_rule: What that is.
        energy_mj: Per inference, in all.
        energy_rule: What measured it, what that is of, and how far it may be off.
        top1: Share from 0 to 1.
        top1_shipped: When the figure was measured, if it shipped with the model; else None.
        verdict: ``"measured"``, ``"suspect"`` or ``"invalid"``.
        verdict_reasons: Why it is not ``"measured"``.
        reasons: Why a value is None, by the name of its attribute.
        setup: What it was measured with, in words.
    """

    model: str
    alpha: float | None
    rho: float | None
    backend: str
    precision: str
    device: str
    p50_ms: float
    p99_ms: float | None
    throughput_ips: float | None
    peak_rss_mb: float | None
    engine_mb: float | None
    top1: float | None
    top1_shipped: str | None
    verdict: str
    verdict_reasons: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""
    source: str | None = None
    energy_mj: float | None = None
    energy_rule: str | None = None
    device_mb: float | None = None
    device_rule: str | None = None
    scenario: str = "single"
    batch: int | None = None
    happened: str | None = None
    side: tuple[int, int] | None = None
    threads: int | None = None
    power_mode: str | None = None

    @property
    def name(self) -> str:
        """What a footnote calls this row."""
        more = [None if self.scenario == "single" else self.scenario, self.power_mode]
        told = ", ".join(text for text in more if text)
        return f"{self.model} {self.by} {self.precision}{f' ({told})' if told else ''}"

    @property
    def by(self) -> str:
        """The backend, and the program that measured it where that was not edgedeploy."""
        return self.backend if self.source is None else f"{self.backend} ({self.source})"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        title: In the head.
        attribute: Of `Row`; a footnote explains its None.
        write: Makes the cell's text; None becomes a dash.
        is_number: Whether it is aligned to the right.
    """

    title: str
    attribute: str
    write: Callable[[Row], str | None]
    is_number: bool = True


def rows(records: Iterable[ProfileRecord]) -> list[Row]:
    """Return the latest record of each `ProfileRecord.key` and power mode, sorted by model.

    What another program measured is a row of its own, beside edgedeploy's.
    Numbers in names sort as numbers: ``…_96`` comes before ``…_112``.
    """
    return [row for row, _ in with_records(records)]


def with_records(records: Iterable[ProfileRecord]) -> list[tuple[Row, ProfileRecord]]:
    """Return `rows` beside the records that they were made from."""
    latest: dict[tuple[object, ...], ProfileRecord] = {}
    for record in sorted(records, key=lambda record: record.created):
        latest[(*record.key, record.source, record.power_mode)] = record
    made = [(_row(record), record) for record in latest.values()]
    return sorted(made, key=lambda pair: _order(pair[0]))


def columns(shown: Sequence[Row]) -> list[Column]:
    """Return the columns, the dearest first; device, threads, … only where there are several.

    The scenario has one unless all are ``single``; energy and device memory have one where any
    row has a value.
    """
    hidden = {name for name in _ONLY_IF_SEVERAL if not _are_several(shown, name)}
    hidden |= {name for name in _ONLY_IF_ANY if all(getattr(row, name) is None for row in shown)}
    return [column for column in _COLUMNS if column.attribute not in hidden]


def setups(shown: Sequence[Row]) -> list[str]:
    """Return what the rows were measured with, each once."""
    return sorted({row.setup for row in shown})


def _row(record: ProfileRecord) -> Row:
    document = record.document
    variant = document["variant"] or {}
    latency, memory = document["latency_ms"], document["memory_mb"]
    accuracy = document["accuracy"] or {}
    reasons = document.get("reasons", {})
    key = record.key
    no_variant = "not a model of the zoo"
    return Row(
        model=key.model,
        alpha=variant.get("alpha"),
        rho=variant.get("rho"),
        backend=key.backend,
        precision=key.precision,
        device=key.device,
        scenario=_scenario(record),
        batch=happenings.batch(record),
        happened=happenings.brief(record),
        side=key.side,
        threads=key.threads,
        power_mode=record.power_mode,
        p50_ms=latency["p50"],
        p99_ms=latency["p99"],
        throughput_ips=document["throughput_ips"],
        peak_rss_mb=memory["peak_rss"],
        engine_mb=memory["engine"],
        device_mb=memory["device"],
        device_rule=memory.get("device_rule"),
        energy_mj=document["energy_mj_per_inference"],
        energy_rule=_energy_rule(document["power"] or {}),
        top1=accuracy.get("top1"),
        top1_shipped=accuracy.get("date") if accuracy.get("source") == "shipped" else None,
        verdict=record.level,
        verdict_reasons=record.reasons,
        reasons={
            "alpha": no_variant,
            "rho": no_variant,
            "p99_ms": reasons.get("latency_ms.p99", "too few samples"),
            "top1": reasons.get("accuracy", "not evaluated: edgedeploy eval ARTIFACT --data DIR"),
            "peak_rss_mb": reasons.get("memory_mb.peak_rss", "the system does not tell"),
            "engine_mb": reasons.get("memory_mb.engine", NOT_THERE),
            "device_mb": reasons.get("memory_mb.device", NOT_THERE),
            "energy_mj": document.get("power_reason") or NOT_THERE,
        },
        setup=_setup(record),
        source=record.source,
    )


def _scenario(record: ProfileRecord) -> str:
    batch = happenings.batch(record) or 1
    is_told = batch > 1 or record.document["scenario"] == "offline"
    return f"{record.setting}, batch {batch}" if is_told else record.setting


def _energy_rule(power: Mapping[str, Any]) -> str | None:
    """Return sensor, rule and uncertainty in words; None where nobody said."""
    source, rule, percent = (power.get(key) for key in ("source", "rule", "uncertainty_pct"))
    is_known = isinstance(percent, (int, float)) and not isinstance(percent, bool)
    off = f"± {percent:.1g} %" if is_known else "its uncertainty is not known"
    if not source or not rule:
        return None
    return ", ".join(text for text in map(str, (f"{source}: {rule}", off)) if text.isprintable())


def _setup(record: ProfileRecord) -> str:
    document = record.document
    device, environment = document["device"], document["environment"]
    threads, shape = document.get("threads"), document.get("input_shape")
    parts = [
        f"{device['name']} ({device['model']})" if device["model"] else device["name"],
        str(environment.get("backend")),
        None if record.source else f"Python {environment.get('python')}",
        None if threads is None else f"{threads} thread{'s' * (threads > 1)}",
        None if shape is None else f"scenario {record.setting}, batch {shape[0]}",
        None if record.source is None else f"{', '.join(document['inside'])} by {record.source}",
    ]
    return ", ".join(part for part in parts if part)


def _order(row: Row) -> tuple[object, ...]:
    # split at numbers: text and number take turns, so like is compared with like
    words = _NUMBER.split(row.model)
    natural = tuple(float(word) if i % 2 else word for i, word in enumerate(words))
    known = row.precision in _PRECISIONS
    place = _PRECISIONS.index(row.precision) if known else len(_PRECISIONS)
    run = (row.scenario != "single", row.scenario, row.side or (0, 0), row.threads or 0)
    where = (row.device, row.source or "", run, row.power_mode or "")
    return (natural, row.backend, place, row.precision, *where)


def _are_several(shown: Sequence[Row], attribute: str) -> bool:
    if attribute == "scenario":  # the usual one goes without saying
        return {row.scenario for row in shown} != {"single"}
    if attribute == "side":  # models of different sizes are told apart by their names
        pairs = {(row.model, row.side) for row in shown if row.side is not None}
        return len(pairs) > len({model for model, _ in pairs})
    if attribute == "power_mode":  # devices are told apart by their names
        modes = {(row.device, row.power_mode) for row in shown}
        return len(modes) > len({device for device, _ in modes})
    return len({getattr(row, attribute) for row in shown} - {None}) > 1


def _write_side(row: Row) -> str | None:
    return None if row.side is None else f"{row.side[0]}×{row.side[1]}"


def _write_ms(value: float | None) -> str | None:
    if value is None:
        return None
    decimals = 3 if value < 10 else 2 if value < 100 else 1
    return f"{value:.{decimals}f}"


def _write_top1(row: Row) -> str | None:
    if row.top1 is None:
        return None
    return f"{row.top1:.1%}{'*' if row.top1_shipped is not None else ''}"


def _fixed(value: float | None, decimals: int) -> str | None:
    return None if value is None else f"{value:.{decimals}f}"


_ONLY_IF_SEVERAL = ("device", "power_mode", "scenario", "side", "threads")
_ONLY_IF_ANY = ("energy_mj", "device_mb")
# The dearest first: on a narrow terminal the last ones drop out. α and ρ also stand in the name,
# and what is not plainly measured has its mark at the median.
_COLUMNS = (
    Column("model", "model", lambda row: row.model, is_number=False),
    Column("backend", "backend", lambda row: row.by, is_number=False),
    Column("precision", "precision", lambda row: row.precision, is_number=False),
    Column("device", "device", lambda row: row.device, is_number=False),
    Column("power mode", "power_mode", lambda row: row.power_mode, is_number=False),
    Column("scenario", "scenario", lambda row: row.scenario, is_number=False),
    Column("p50 ms", "p50_ms", lambda row: f"{MARKS[row.verdict]}{_write_ms(row.p50_ms)}"),
    Column("p99 ms", "p99_ms", lambda row: _write_ms(row.p99_ms)),
    Column("top-1", "top1", _write_top1),
    Column("verdict", "verdict", lambda row: row.verdict, is_number=False),
    Column("img/s", "throughput_ips", lambda row: _fixed(row.throughput_ips, 1)),
    Column("energy mJ", "energy_mj", lambda row: _write_ms(row.energy_mj)),
    Column("peak RSS MB", "peak_rss_mb", lambda row: _fixed(row.peak_rss_mb, 1)),
    Column("device MB", "device_mb", lambda row: _fixed(row.device_mb, 1)),
    Column("engine MB", "engine_mb", lambda row: _fixed(row.engine_mb, 2)),
    Column("threads", "threads", lambda row: _fixed(row.threads, 0)),
    Column("input", "side", _write_side),
    Column("α", "alpha", lambda row: _fixed(row.alpha, 2)),
    Column("ρ", "rho", lambda row: _fixed(row.rho, 3)),
)
