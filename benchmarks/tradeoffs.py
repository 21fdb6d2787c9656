"""The MobileNet paper's trade-offs on our data, and those it could not show: `docs/tradeoffs.md`.

python benchmarks/tradeoffs.py [--models models] [--compared runs/compared]
    [--profiles profiles [--measure]] [--page docs/tradeoffs.md] [--check]

Accuracy, work and size come from the models' folder with its `accuracy.json`. ``--compared`` adds
the networks of tables 4 and 5, from a folder like it. ``--profiles`` adds what was measured, and
``--measure`` measures it first, which wants a quiet machine. A part whose option is missing stays
as it is on the page. ``--check`` writes nothing, and ends with 1 and the lines that differ.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import zoo
from shipped import counted, facts, measured, pages

from edgedeploy.errors import EdgeDeployError
from edgedeploy.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipped.counted import Section
    from shipped.facts import Shipped

_COMPARED = ("mobilenet_v1_1.00", "mobilenet_v1_0.75")


def sections(
    models: Sequence[Shipped], compared: Path | None, profiles: Path | None
) -> dict[str, Section]:
    """Return the parts of the page, by the names in their marks.

    Args:
        models: Those that ship.
        compared: Folder of the networks to compare with; None: that part stays.
        profiles: Folder of what was measured; None: that part stays.
    """
    found = {"counted": counted.section(models, _untrained(models, [r.name for r in zoo.GRID]))}
    if compared is not None:
        others = facts.read(compared) if any(compared.glob("*.onnx")) else ()
        trained = [*models, *others]
        wanted = [*_COMPARED, *(row.name for row in zoo.COMPARED)]
        found["compared"] = counted.compared(trained, _untrained(trained, wanted))
    if profiles is not None:
        found["measured"] = measured.section(measured.read(profiles))
    return found


def _untrained(models: Sequence[Shipped], names: Sequence[str]) -> list[str]:
    there = {model.variant.width_name for model in models}
    return [name for name in names if name not in there]


def measure(profiles: Path) -> None:
    """Build and profile the models in ``./models`` into a folder."""
    for command in measured.COMMANDS:
        arguments = command.format(profiles=profiles).split()
        subprocess.run([sys.executable, "-m", "edgedeploy", *arguments], check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and its drawings, or compare the page; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--compared", type=Path, help="folder of networks to compare with")
    parser.add_argument("--profiles", type=Path, help="folder of profiles")
    parser.add_argument("--measure", action="store_true", help="measure into that folder first")
    parser.add_argument("--page", type=Path, default=Path("docs", "tradeoffs.md"))
    parser.add_argument("--check", action="store_true", help="write nothing, show what differs")
    options = parser.parse_args(arguments)
    if options.measure and (options.profiles is None or options.check):
        parser.error("--measure needs --profiles, the folder to measure into, and no --check")
    try:
        if options.measure:
            measure(options.profiles)
        parts = sections(facts.read(options.models), options.compared, options.profiles)
        wanted = pages.filled(options.page, {name: part.text for name, part in parts.items()})
        if options.check:
            found = pages.differences(options.page, wanted)
            print(found or f"{options.page} is what the files say")
            return 1 if found else 0
        drawings = {plot.file: plot.draw() for part in parts.values() for plot in part.plots}
        for name, drawn in drawings.items():
            write_atomically(options.page.parent / "images" / name, drawn.encode())
        write_atomically(options.page, wanted.encode())
    except EdgeDeployError as error:
        print(f"{error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
