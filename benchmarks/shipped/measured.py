"""The trade-offs that need a clock: time against batch size, accuracy against time and energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgedeploy.profiling import records
from edgedeploy.reporting.figures import number
from shipped import pages
from shipped.counted import EVALUATE, Section, percent
from shipped.plots import Axis, Plot, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord

_BATCHES = "build/mobilenet_v1_0.50_112_cifar10 build/mobilenet_v1_0.25_112_cifar10"
COMMANDS = (
    "build --backend ort,openvino --fp32 --int8",
    "profile --duration 3 -o {profiles}",
    f"profile {_BATCHES} --scenario offline --duration 3 -o {{profiles}}",
)
"""What measures it all, as `edgedeploy` takes it; batches of two widths are enough to read."""


def read(folder: Path) -> list[ProfileRecord]:
    """Return the newest profile of each thing in a folder.

    Raises:
        FileError: A profile is damaged.
    """
    found = sorted(map(records.read, folder.glob("*.json")), key=lambda record: record.created)
    return sorted({record.key: record for record in found}.values(), key=_order)


def section(profiles: Sequence[ProfileRecord]) -> Section:
    """Return what was measured; what was not is said, with the command."""
    single = [record for record in profiles if record.document["scenario"] == "single"]
    offline = [record for record in profiles if record.document["scenario"] == "offline"]
    parts = [_latency(single), _energy(single), _batches(offline)]
    return Section(
        text="\n\n".join(part.text for part in parts),
        plots=tuple(plot for part in parts for plot in part.plots),
    )


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points than which none is both cheaper and more accurate, cheapest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, -point.y)):
        if not best or point.y > best[-1].y:
            best.append(point)
    return best


class _Run(NamedTuple):
    """One profile as a place in a drawing."""

    record: ProfileRecord
    cost: float
    top1: float

    @property
    def is_believed(self) -> bool:
        return self.record.level == "measured"


def _latency(single: Sequence[ProfileRecord]) -> Section:
    runs = _runs(single, lambda document: document["latency_ms"]["p50"])
    title = "Accuracy against measured latency"
    if not runs:
        return Section(text=f"### {title}\n\n{_why_none(single)}.", plots=())
    return _against(runs, file="tradeoffs-latency.svg", title=title, axis="p50 latency, ms")


def _energy(single: Sequence[ProfileRecord]) -> Section:
    runs = _runs(single, lambda document: document["energy_mj_per_inference"])
    title, axis = "Accuracy against measured energy", "energy of an inference, mJ"
    if runs:
        return _against(runs, file="tradeoffs-energy.svg", title=title, axis=axis)
    reasons = sorted({str(record.document["power_reason"]) for record in single} - {"None"})
    why = f"Not measured: {_command(COMMANDS[1])}, on a machine with a power sensor."
    return Section(text="\n\n".join([f"### {title}", why, *reasons[:1]]), plots=())


def _why_none(single: Sequence[ProfileRecord]) -> str:
    """Return why there is nothing to draw, with the command that mends it."""
    unknown = sorted(
        {r.model for r in single if r.level != "invalid" and not r.document["accuracy"]}
    )
    if unknown:
        return f"Measured, and without an accuracy: {', '.join(unknown)}; `{EVALUATE}`"
    return f"Not measured: {_command(COMMANDS[1])}"


def _runs(
    single: Sequence[ProfileRecord], cost: Callable[[Mapping[str, Any]], float | None]
) -> list[_Run]:
    """Return the runs that have both numbers, and were not refused."""
    found = []
    for record in single:
        paid, accuracy = cost(record.document), record.document["accuracy"]
        if record.level != "invalid" and accuracy and paid is not None:
            found.append(_Run(record, paid, accuracy["top1"]))
    return found


def _against(runs: Sequence[_Run], *, file: str, title: str, axis: str) -> Section:
    """Draw top-1 against one measured number, with the front of the runs that are believed."""
    best = front([Point(run.cost, run.top1) for run in runs if run.is_believed])
    on_front = [run for run in runs if run.is_believed and Point(run.cost, run.top1) in best]
    series: dict[str, list[Point]] = {}
    for run in runs:
        label = _label(run.record) if run in on_front else ""
        point = Point(run.cost, run.top1, label, not run.is_believed)
        series.setdefault(_group(run.record), []).append(point)
    ends = [f"{point.y:.1%} at {number(point.x)}" for point in (*best[:1], *best[-1:])]
    drawn = Plot(
        file=file,
        title=title,
        desc=f"Runs: {len(runs)}; on the front: {len(on_front)}, from {' to '.join(ends)} ({axis})."
        if best
        else f"Runs: {len(runs)}, none of them to be believed without its reasons.",
        series=series,
        x=Axis(title=axis, is_log=True),
        y=Axis(title="top-1, CIFAR-10", format=".1%"),
        front=best,
        is_joined=False,
    )
    head = ("model", "backend and precision", axis, "top-1", "on the front", "verdict")
    rows = [
        [
            run.record.model,
            _group(run.record),
            number(run.cost),
            percent(run.top1),
            "yes" if run in on_front else "no",
            run.record.level,
        ]
        for run in runs
    ]
    where = _conditions([run.record for run in runs])
    text = f"{where}\n\n{drawn.markdown()}\n\n{pages.table(head, rows, text=2)}"
    return Section(text=f"### {title}\n\n{text}", plots=(drawn,))


def _batches(offline: Sequence[ProfileRecord]) -> Section:
    """Draw the time of an image against the batch that it came in."""
    title = "Time against batch size"
    series: dict[str, list[Point]] = {}
    rows: list[list[str | None]] = []
    known = [record for record in offline if record.level != "invalid"]
    for record in known:
        steps = [
            step
            for step in record.document["scenario_results"]["steps"]
            if step["p50_ms"] is not None
        ]
        times = [Point(step["batch"], step["p50_ms"] / step["batch"]) for step in steps]
        name = f"{_label(record)} {_group(record)}"
        series[name] = [point._replace(is_hollow=record.level != "measured") for point in times]
        rows += [
            [
                *(record.model, _group(record), str(step["batch"]), number(step["p50_ms"])),
                *(number(point.y), number(step["throughput_ips"]), record.level),
            ]
            for step, point in zip(steps, times, strict=True)
        ]
    if not rows:
        return Section(text=f"### {title}\n\nNot measured: {_command(COMMANDS[2])}.", plots=())
    everything = [point for points in series.values() for point in points]
    least = min(everything, key=lambda point: point.y)
    drawn = Plot(
        file="tradeoffs-batch.svg",
        title=title,
        desc=f"Runs: {len(series)}, in batches up to {max(point.x for point in everything):g}; an "
        f"image takes least, {number(least.y)} ms, in a batch of {least.x:g}.",
        series=series,
        x=Axis(title="batch size", is_log=True),
        y=Axis(title="p50 latency of a batch by its size, ms", is_log=True),
    )
    head = ("model", "backend and precision", "batch", "ms", "ms an image", "images/s", "verdict")
    text = f"{_conditions(known)}\n\n{drawn.markdown()}\n\n{pages.table(head, rows, text=2)}"
    return Section(text=f"### {title}\n\n{text}", plots=(drawn,))


def _conditions(profiles: Sequence[ProfileRecord]) -> str:
    """Return where and when profiles were measured."""
    places = sorted(
        {
            f"{record.document['device']['model']}, {record.document['threads']} threads, "
            f"{record.document['environment']['backend']}"
            for record in profiles
        }
    )
    days = sorted(record.created[:10] for record in profiles)
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    doubted = sum(record.level != "measured" for record in profiles)
    hollow = f" Hollow: {doubted} whose verdict is not `measured`." if doubted else ""
    return f"Measured {when} on {'; '.join(places)}.{hollow}"


def _command(text: str) -> str:
    return f"`edgedeploy {text.format(profiles='profiles')}`"


def _group(record: ProfileRecord) -> str:
    artifact = record.document["artifact"]
    return f"{artifact['backend']} {artifact['precision']}"


def _label(record: ProfileRecord) -> str:
    variant = record.document["variant"]
    return record.model if variant is None else f"{variant['alpha']:g}/{variant['resolution']}"


def _order(record: ProfileRecord) -> tuple[object, ...]:
    variant = record.document["variant"] or {"alpha": 0.0, "resolution": 0}
    return (_group(record), -variant["alpha"], -variant["resolution"], record.model)
