"""The guidelines of ShuffleNet V2 on this device: what breaking each of them costs.

    python benchmarks/guidelines.py [-o runs/guidelines] [--rounds 9] [--docs docs/guidelines.md]

Stacks of small blocks at nearly equal multiply-adds, as in tables 1 to 4 of section 2 of the paper
(Ma et al., ECCV 2018, arXiv 1807.11164), and 1×1 convolutions around 32 and 64 channels, on ONNX
Runtime and OpenVINO, in fp32 and INT8, for one image; the settings of a table take turns. Takes
about five minutes. Prints Markdown, writes `guidelines.md` and `guidelines.svg` to the folder, and
keeps the prices in the user's cache folder, from which `edgedeploy analyze --lint` takes them
(not with `--no-keep`, nor below 5 rounds). With `--docs` the tables go between the marks there.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shufflenet import drawing, networks, rounds

from edgedeploy import backends
from edgedeploy.analyzing import kept, prices
from edgedeploy.files import write_atomically
from edgedeploy.meters import cpu
from edgedeploy.miniatures import CPU_BACKENDS
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shufflenet.networks import Experiment, Setting
    from shufflenet.rounds import Speed

    Measured = Mapping[tuple[str, Precision], Sequence[Speed]]

_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"
_FEWEST_KEPT = 5
_PICTURE = "guidelines.svg"
_ALT = "Speed of each setting beside that of the first one of its table"


def main() -> None:
    options = _options()
    host, load = kept.this_host(options.threads), cpu.load_average()
    date = datetime.datetime.now(datetime.timezone.utc)
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
                threads=host.threads,
                rounds=options.rounds,
                turn_s=options.turn_s,
            )
            for name, precision in ways
        }
    busy = "not known" if load is None else f"{load:.2f}"
    conditions = (
        f"Measured {date.date().isoformat()} by `benchmarks/guidelines.py` on {host.words}; load "
        f"before it began {busy}; {options.rounds} rounds; maps of {options.side}×{options.side}."
    )
    _write(found, conditions, options)
    if options.keep and options.rounds >= _FEWEST_KEPT:
        made = prices.Prices(date=date.isoformat(timespec="seconds"), prices=prices_of(found))
        print(f"kept in {prices.keep(made, host)}", file=sys.stderr)


def prices_of(found: Mapping[Experiment, Measured]) -> tuple[prices.Price, ...]:
    """Return what `edgedeploy analyze --lint` shows: every setting but the baselines.

    Fragments in a row are no branches, which is what `analyze` looks for.
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
    )


def table(experiment: Experiment, measured: Measured) -> str:
    """Return an experiment as Markdown: images/s ± spread, and the speed beside the first row's."""
    ways = [f"{name} {precision.value}" for name, precision in measured]
    rows = [["", "channels", "multiply-adds", *ways], ["---", *["---:"] * (2 + len(ways))]]
    for number, setting in enumerate(experiment.settings):
        cells = [_cell(speeds[number]) for speeds in measured.values()]
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


def _cell(speed: Speed) -> str:
    """Return e.g. ``45.2 ± 2 %, 81 %``: half of the middle half's width is behind the ±."""
    return f"{speed.images_per_s:.3g} ± {speed.spread / 2:.1%}, **{speed.relative:.0%}**"


def _write(
    found: Mapping[Experiment, Measured], conditions: str, options: argparse.Namespace
) -> None:
    parts = [f"### {experiment.title}\n\n{table(experiment, m)}" for experiment, m in found.items()]
    text = "\n\n".join([conditions, f"![{_ALT}.](images/{_PICTURE})", *parts])
    pictures = options.docs.parent if options.docs else options.out
    write_atomically(pictures / "images" / _PICTURE, picture(found).encode())
    write_atomically(options.out / "guidelines.md", f"{text}\n".encode())
    if options.docs:
        before, rest = options.docs.read_text(encoding="utf-8").split(_BEGIN)
        whole = f"{before}{_BEGIN}\n\n{text}\n\n{_END}{rest.split(_END)[1]}"
        write_atomically(options.docs, whole.encode())
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/guidelines"))
    parser.add_argument("--rounds", type=int, default=9, help="turns of each setting")
    parser.add_argument("--turn-s", type=float, default=0.15, help="seconds of a turn")
    parser.add_argument("--side", type=int, default=networks.SIDE, help="of the maps")
    parser.add_argument("--threads", type=int, help="of the CPU; default: its physical cores")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="keep no prices")
    parser.add_argument("--docs", type=Path, help="page to write the tables into")
    return parser.parse_args()


if __name__ == "__main__":
    main()
