"""The command that counts what a model costs: analyze."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedeploy.cli import options
from edgedeploy.cli.output import JsonFlag, print_json, print_table
from edgedeploy.cli.wrapping import print_lines

if TYPE_CHECKING:
    from edgedeploy.analyzing.counting import Analysis
    from edgedeploy.analyzing.lints import Finding
    from edgedeploy.analyzing.prices import Prices
    from edgedeploy.analyzing.roofline import Roofline


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
    roofline: Annotated[
        bool,
        typer.Option("--roofline", help="Set layers against this device's measured peaks."),
    ] = False,
    remeasure: Annotated[
        bool, typer.Option("--remeasure", help="Measure the peaks again; implies --roofline.")
    ] = False,
    lint: Annotated[
        bool, typer.Option("--lint", help="Say where ShuffleNet V2's guidelines are broken.")
    ] = False,
    threads: options.Threads = None,
    json: JsonFlag = False,
) -> None:
    """Count multiply-adds, parameters and memory accesses of one image, by layer and by kind.

    Nothing of the model is run: what is counted stands in the graph. With --roofline the peaks of
    this device are measured once, in some seconds, and kept; --lint shows prices where
    benchmarks/guidelines.py has measured them. docs/analyze.md has the formulas.
    """
    from edgedeploy.analyzing import counting, lint_showing, roofline_showing, showing

    hints = options.hints(None, None, None, input_shape, resolution)
    found = counting.analyze(model, hints)
    roofs = _under_roofs(found, threads, again=remeasure) if roofline or remeasure else None
    if json:
        document = showing.document(found, estimates=energy)
        if roofs is not None:
            document["roofline"] = roofline_showing.document(roofs)
        if lint:
            document["lints"] = lint_showing.document(*_findings(found, threads))
        print_json(document)
        return
    print_lines([showing.head(found)])
    print()
    last = showing.ENERGY_COLUMN if energy else showing.KIND_COLUMNS[-1]
    print_table((*showing.KIND_COLUMNS[:-1], last), showing.kind_rows(found, estimates=energy))
    if layers:
        print()
        print_table(showing.LAYER_COLUMNS, showing.layer_rows(found))
    print_lines([*showing.notes(found), *([showing.energy_note(found)] if energy else [])])
    if roofs is not None:
        _print_roofline(found, roofs, layers=layers)
    if lint:
        print()
        print_lines(lint_showing.lines(*_findings(found, threads)))


def _under_roofs(found: Analysis, threads: int | None, *, again: bool) -> Roofline:
    from edgedeploy.analyzing import peaks, roofline

    return roofline.of(found, peaks.of_this_device(threads=threads, again=again))


def _findings(found: Analysis, threads: int | None) -> tuple[tuple[Finding, ...], Prices | None]:
    from edgedeploy.analyzing import lints, prices

    known = prices.of_this_device(threads=threads)
    return lints.find(found, known), known


def _print_roofline(found: Analysis, roofs: Roofline, *, layers: bool) -> None:
    from edgedeploy.analyzing import roofline_showing

    print()
    print_lines(roofline_showing.head(roofs.peaks))
    print()
    print_table(roofline_showing.KIND_COLUMNS, roofline_showing.kind_rows(roofs, found.kinds()))
    if layers:
        print()
        print_table(roofline_showing.LAYER_COLUMNS, roofline_showing.layer_rows(roofs))
    print_lines(roofline_showing.notes(roofs))
