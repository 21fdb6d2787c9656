"""The guidelines of ShuffleNet V2 on this device: what breaking each of them costs.

    python benchmarks/guidelines.py [-o runs/guidelines] [--rounds 9] [--docs docs/guidelines.md]

Stacks of small blocks at nearly equal multiply-adds, as in tables 1 to 4 of section 2 of the paper
(Ma et al., ECCV 2018, arXiv 1807.11164), and 1×1 convolutions around 32 and 64 channels, on ONNX
Runtime and OpenVINO, in fp32 and INT8, for one image; the settings of a table take turns. Takes
about five minutes. Prints Markdown, writes `guidelines.md` and `guidelines.svg` to the folder, and
keeps the prices in the user's cache folder, from which `edgedeploy analyze --lint` takes them
(not with `--no-keep`, nor below 5 rounds, nor of a network that a library runs in another type than
asked for: its cell has a dagger). With `--docs` the tables go between the marks there.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shipped import pages
from shufflenet import drawing, networks, rounds

from edgedeploy import backends
from edgedeploy.analyzing import kept, prices
from edgedeploy.errors import EdgeDeployError
from edgedeploy.files import write_atomically
from edgedeploy.meters import cpu
from edgedeploy.miniatures import CPU_BACKENDS
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shufflenet.networks import Experiment, Setting
    from shufflenet.rounds import Speed

    Measured = Mapping[tuple[str, Precision], Sequence[Speed]]

_PART = "measured"  # of the page, between two marks
_FEWEST_KEPT = 5
_OTHERWISE = "†"
_PICTURE = "guidelines.svg"
_ALT = "Speed of each setting beside that of the first one of its table"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and keep; return the exit status."""
    options = _options(arguments)
    try:
        if options.docs:  # before minutes of measuring
            pages.filled(options.docs, {_PART: ""})
        _measure(options)
    except EdgeDeployError as error:
        print(f"{error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return error.exit_code
    return 0


def _measure(options: argparse.Namespace) -> None:
    host, load = kept.this_host(options.threads), cpu.load_average()
    date = datetime.datetime.now(datetime.timezone.utc)
    found = _speeds(options, host.threads)
    busy = "not known" if load is None else f"{load:.2f}"
    conditions = (
        f"Measured {date.date().isoformat()} by `benchmarks/guidelines.py` on {host.words}; load "
        f"before it began {busy}; {options.rounds} rounds; maps of {options.side}×{options.side}."
    )
    print(write(found, conditions, out=options.out, docs=options.docs))
    if options.keep and options.rounds >= _FEWEST_KEPT:
        made = prices.Prices(date=date.isoformat(timespec="seconds"), prices=prices_of(found))
        print(f"kept in {prices.keep(made, host)}", file=sys.stderr)


def _speeds(options: argparse.Namespace, threads: int) -> dict[Experiment, Measured]:
    ways = [
        (name, precision)
        for name in CPU_BACKENDS
        if backends.package(name) is not None
        for precision in (Precision.FP32, Precision.INT8)
    ]
    found: dict[Experiment, Measured] = {}
    for experiment in networks.experiments(options.side):
        print(experiment.title, file=sys.stderr)
        found[experiment] = {
            (name, precision): rounds.measure(
                experiment,
                name,
                precision,
                threads=threads,
                rounds=options.rounds,
                turn_s=options.turn_s,
            )
            for name, precision in ways
        }
    return found


def prices_of(found: Mapping[Experiment, Measured]) -> tuple[prices.Price, ...]:
    """Return what `edgedeploy analyze --lint` shows: every setting but the baselines.

    Fragments in a row are no branches, which is what `analyze` looks for. What a library runs in
    another type than asked for is no price of that type, nor is anything beside such a baseline.
    """
    return tuple(
        prices.Price(
            rule=experiment.rule,
            number=setting.number,
            setting=setting.words,
            baseline=experiment.settings[0].words,
            backend=name,
            precision=precision.value,
            relative=speed.relative,
        )
        for experiment, measured in found.items()
        for (name, precision), speeds in measured.items()
        for setting, speed in list(zip(experiment.settings, speeds, strict=True))[1:]
        if not setting.words.endswith(networks.IN_A_ROW)
        and speeds[0].is_of(precision)
        and speed.is_of(precision)
    )


def table(experiment: Experiment, measured: Measured) -> str:
    """Return an experiment as Markdown: images/s ± spread, and the speed beside the first row's."""
    ways = [f"{name} {precision.value}" for name, precision in measured]
    rows = [["", "channels", "multiply-adds", *ways], ["---", *["---:"] * (2 + len(ways))]]
    for number, setting in enumerate(experiment.settings):
        cells = [_cell(speeds[number], way[1]) for way, speeds in measured.items()]
        work = f"{setting.multiply_adds / 1e6:.1f} M"
        rows.append([setting.words, setting.channels, work, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def picture(found: Mapping[Experiment, Measured]) -> str:
    """Return all tables as one drawing."""
    return drawing.panels(
        {
            experiment.title: [
                (setting.words, f"{name} {precision.value}", speed.relative)
                for (name, precision), speeds in measured.items()
                for setting, speed in _across(experiment, speeds)
            ]
            for experiment, measured in found.items()
        },
        alt=_ALT,
    )


def _across(experiment: Experiment, speeds: Sequence[Speed]) -> list[tuple[Setting, Speed]]:
    """Return the settings from left to right: channels by their number."""
    pairs = list(zip(experiment.settings, speeds, strict=True))
    if experiment.rule == prices.CHANNELS:
        pairs.sort(key=lambda pair: pair[0].number)
    return pairs


def _cell(speed: Speed, precision: Precision) -> str:
    """Return e.g. ``45.2 ± 2 %, 81 %``: half of the middle half's width is behind the ±."""
    mark = "" if speed.is_of(precision) else _OTHERWISE
    return f"{speed.images_per_s:.3g} ± {speed.spread / 2:.1%}, **{speed.relative:.0%}**{mark}"


def in_another_type(found: Mapping[Experiment, Measured]) -> list[str]:
    """Return a line on each cell whose convolutions do not run in the type of its column."""
    return [
        f"{_OTHERWISE} {experiment.title}, {setting.words}: {name} runs "
        + ", ".join(f"{count} convolutions in {kind}" for kind, count in speed.runs.items())
        + f", not all in {precision.value}; no price."
        for experiment, measured in found.items()
        for (name, precision), speeds in measured.items()
        for setting, speed in zip(experiment.settings, speeds, strict=True)
        if not speed.is_of(precision)
    ]


def write(
    found: Mapping[Experiment, Measured], conditions: str, *, out: Path, docs: Path | None
) -> str:
    """Write tables and drawing, into a page too if there is one; return the tables."""
    parts = [f"### {experiment.title}\n\n{table(experiment, m)}" for experiment, m in found.items()]
    text = "\n\n".join(
        [conditions, f"![{_ALT}.](images/{_PICTURE})", *parts, *in_another_type(found)]
    )
    pictures = docs.parent if docs else out
    write_atomically(pictures / "images" / _PICTURE, picture(found).encode())
    write_atomically(out / "guidelines.md", f"{text}\n".encode())
    if docs:
        write_atomically(docs, pages.filled(docs, {_PART: text}).encode())
    return text


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/guidelines"))
    parser.add_argument("--rounds", type=int, default=9, help="turns of each setting")
    parser.add_argument("--turn-s", type=float, default=0.15, help="seconds of a turn")
    parser.add_argument("--side", type=int, default=networks.SIDE, help="of the maps")
    parser.add_argument("--threads", type=int, help="of the CPU; default: its physical cores")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="keep no prices")
    parser.add_argument("--docs", type=Path, help="page to write the tables into")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
