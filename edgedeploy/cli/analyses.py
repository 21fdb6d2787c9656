"""The command that counts what a model costs: analyze."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedeploy.cli import options
from edgedeploy.cli.output import JsonFlag, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add this file's command to ``app``."""
    app.command()(analyze)


def analyze(
    model: Annotated[Path, typer.Argument(help="An ONNX file.")],
    resolution: options.Resolution = None,
    input_shape: options.InputShape = None,
    layers: Annotated[bool, typer.Option(help="Print a row for each layer too.")] = False,
    energy: Annotated[
        bool, typer.Option("--energy", help="Estimate energy too, from published figures.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Count multiply-adds, parameters and memory accesses of one image, by layer and by kind.

    Nothing is run or timed: what is counted stands in the graph. docs/analyze.md has the formulas.
    """
    from edgedeploy.analyzing import counting, showing

    hints = options.hints(None, None, None, input_shape, resolution)
    found = counting.analyze(model, hints)
    if json:
        print_json(showing.document(found, estimates=energy))
        return
    print(showing.head(found))
    print()
    last = showing.ENERGY_COLUMN if energy else showing.KIND_COLUMNS[-1]
    print_table((*showing.KIND_COLUMNS[:-1], last), showing.kind_rows(found, estimates=energy))
    if layers:
        print()
        print_table(showing.LAYER_COLUMNS, showing.layer_rows(found))
    for note in [*showing.notes(found), *([showing.energy_note(found)] if energy else [])]:
        print(note)
