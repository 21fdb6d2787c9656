"""Commands that measure and show: profile, report."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedeploy.cli import in_turns, options, sweeps
from edgedeploy.cli.output import (
    JsonFlag,
    console,
    phases,
    print_json,
    print_skipped,
    skipped_documents,
    whole,
)
from edgedeploy.errors import EdgeDeployError, MeasurementError, UsageError, WrongBoardError
from edgedeploy.files import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgedeploy.profiling.records import ProfileRecord


def register(app: typer.Typer) -> None:
    """Add this file's commands to ``app``."""
    app.command()(profile)
    app.command()(report)


def profile(
    context: typer.Context,
    artifacts: options.Artifacts = None,
    device: Annotated[
        str, typer.Option(help="What this machine must be: auto, local, or a board's name.")
    ] = "auto",
    host: Annotated[
        str | None, typer.Option(help="Measure on this board, over SSH.", metavar="USER@BOARD")
    ] = None,
    python: Annotated[
        Path | None, typer.Option(help="Interpreter that measures.", show_default="this one")
    ] = None,
    scenario: Annotated[
        str, typer.Option(help="How calls arrive: single, multi, offline, server, camera.")
    ] = "single",
    duration: Annotated[float, typer.Option(help="Seconds of timed calls, at least.")] = 10.0,
    percentile: Annotated[
        str, typer.Option(help="The furthest with enough calls: p90, p95, p97, p99, p99.9.")
    ] = "p90",
    streams: Annotated[
        int | None, typer.Option(help="Calls at a time: multi, server.", show_default="2, 1")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Queries a second, at random times: server.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames a second: camera.", show_default="30")
    ] = None,
    batches: Annotated[
        str | None,
        typer.Option(
            help="Batch sizes to try, e.g. 1,8: offline.", show_default="1, 2, 4, … while it gains"
        ),
    ] = None,
    threads: options.Threads = None,
    resolution: options.Resolution = None,
    layers: Annotated[
        bool, typer.Option(help="Time by layer too, with the vendor's profiler.")
    ] = False,
    out: Annotated[Path, typer.Option("-o", help="Folder of the profiles.")] = Path("profiles"),
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a sweep: skip what -o holds already of the same artifact, settings, "
            "device and versions.",
        ),
    ] = False,
    ab: Annotated[
        bool,
        typer.Option("--ab", help="Measure two artifacts in turns, A B B A …, and compare them."),
    ] = False,
    rounds: Annotated[
        int | None, typer.Option(help="Turns of each side: --ab.", show_default="10")
    ] = None,
    power_mode: Annotated[
        list[str] | None,
        typer.Option(
            help="A Jetson's power mode by name or number, several repeated or with commas, or "
            "all: measure in each, as root; the first is set again.",
            metavar="NAME|ID|all",
            show_default="as it is",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option(help="Exit with 7 if a verdict is not 'measured'.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Measure artifacts, each in a process of its own, and print the table."""
    from edgedeploy import pipeline
    from edgedeploy.profiling.measuring import ProfileSpec

    spec = ProfileSpec(
        device=device,
        python=python,
        duration_s=duration,
        threads=threads,
        scenario=scenario,
        percentile=percentile,
        streams=streams,
        rate=rate,
        fps=fps,
        batches=_sizes(batches),
        side=None if resolution is None else (resolution, resolution),
        layers=layers,
        command=("edgedeploy", *sys.argv[1:]),
    )
    context.with_resource(sweeps.terminable())
    in_turns.check(is_asked=ab, count=rounds, resume=resume, power_modes=power_mode or [])
    if ab:
        both = in_turns.profile(
            context, artifacts or [], spec, rounds, host=host, out=out, as_json=json
        )
        _require_measured(both if strict else [])
        return
    records: list[ProfileRecord] = []
    failures: list[pipeline.Failure] = []
    found = pipeline.find_artifacts(artifacts or [], board=None if host is None else device)
    sweeps.tell_length(spec)
    board = context.with_resource(pipeline.reach(host, python))
    modes = context.with_resource(pipeline.power_modes(power_mode or [], board))
    total = len(found) * len(modes)
    seek = partial(pipeline.find_measured, found, spec, out=out, board=board) if resume else None
    skip = partial(sweeps.skip, failures)
    document = partial(sweeps.document, records, failures, modes, total) if json else None
    with whole(document):
        with sweeps.told_how_to_go_on(records, total):
            for step in modes.steps(found, seek, skip):
                artifact, count = step.artifact, f"{step.number}/{total}{step.note}"
                if step.measured is not None:
                    sweeps.print_measured(f"{count} {artifact}", step.measured)
                    records.append(step.measured.shown)
                    continue
                try:
                    with phases(f"{count} {artifact.parent.name} {artifact.name}") as moved:
                        path, record = pipeline.profile(
                            artifact, spec, out=out, board=board, stamp=step.stamp, progress=moved
                        )
                except EdgeDeployError as error:
                    lost = board is not None and not board.reachable
                    # what the others would end in as well: nothing is kept, or another board
                    vain = isinstance(error, (NotWrittenError, WrongBoardError))
                    if lost or vain or not pipeline.is_sweep(artifacts or []):
                        raise
                    skip(pipeline.Failure(str(artifact), error))
                    continue
                records.append(record)
                if not json and not sys.stderr.isatty():
                    print(f"{count} {path}", file=sys.stderr)
        modes.end()
        if failures and not records:
            raise failures[0].error
    _print(records, document, layers=layers)
    if code := pipeline.sweep_code(failures):
        raise typer.Exit(code)
    if strict:
        _require_measured(records)


def report(
    profiles: Annotated[
        list[Path] | None,
        typer.Argument(help="Profiles, or folders of them.", show_default="all of ./profiles"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", help="Write it here too: a .html, .md, .csv or .json file.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Show the newest profile of every model, backend and precision as one table."""
    from edgedeploy import pipeline
    from edgedeploy.reporting import document as reporting

    failures: list[pipeline.Failure] = []
    records = pipeline.read_profiles(profiles or [], skip=failures.append)
    for failure in failures:
        print_skipped(failure)
    if out is not None:
        pipeline.write_report(records, out)
    skipped = skipped_documents(failures, "profile")
    document = {**reporting.document(records), "skipped": skipped}
    _print(records, (lambda: document) if json else None)
    if out is not None:
        print(f"written: {out}", file=sys.stderr)
    if failures:
        raise typer.Exit(EdgeDeployError.exit_code)


def _require_measured(records: Sequence[ProfileRecord]) -> None:
    """Exit with the code of a measurement that is not to be trusted, if there is one."""
    doubted = [record for record in records if record.level != "measured"]
    for record in doubted:
        name = " ".join(filter(None, (*record.key[:3], record.power_mode)))
        print(f"--strict: {name} is {record.level}: {'; '.join(record.reasons)}", file=sys.stderr)
    if doubted:
        raise typer.Exit(MeasurementError.exit_code)


def _sizes(text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--batches is {text!r}", fix="write numbers with commas, e.g. 1,2,4"
        ) from error


def _print(
    records: Sequence[ProfileRecord],
    document: Callable[[], Mapping[str, Any]] | None,
    *,
    layers: bool = False,
) -> None:
    """Print the table; or, where there is one, the document that stands for it."""
    from edgedeploy.reporting import layer_table, table, terminal

    if document is not None:
        print_json(document())
        return
    terminal.show(table.rows(records), console())
    if layers:
        layer_table.show(records, console())
