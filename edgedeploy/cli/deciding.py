"""Commands that decide from stored profiles: compare, select."""

from __future__ import annotations

import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedeploy.cli.output import (
    JsonFlag,
    print_json,
    print_skipped,
    print_table,
    progress,
    skipped_documents,
)
from edgedeploy.cli.wrapping import print_lines
from edgedeploy.errors import EdgeDeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedeploy.comparing.gates import Gate
    from edgedeploy.comparing.results import Results
    from edgedeploy.pipeline import Failure


class OnUnknown(str, Enum):
    """What a gate does that cannot be told."""

    FAIL = "fail"
    PASS = "pass"


class Prefer(str, Enum):
    """What counts most among variants that keep to every limit."""

    ACCURACY = "accuracy"
    LATENCY = "latency"
    ENERGY = "energy"
    SIZE = "size"


class Allow(str, Enum):
    """Which measurements may be chosen although they are not ``measured``."""

    SUSPECT = "suspect"


NONE_FEASIBLE = 1


def register(app: typer.Typer) -> None:
    """Add this file's commands to ``app``."""
    app.command()(compare)
    app.command()(select)


def compare(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="A B", help="Two profiles, or two folders of them; with --baseline only B."
        ),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="A change that must not be, e.g. 'p99 > +5%'; repeatable."),
    ] = None,
    on_unknown: Annotated[
        OnUnknown, typer.Option(help="What a --fail-if does that cannot be told: exit 8, or 0.")
    ] = OnUnknown.FAIL,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Folder of profiles to compare with, of the same device and libraries."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write what became of each --fail-if as JUnit XML.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", help="Write Markdown here too, e.g. compare.md.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Say what changed from A to B: faster, slower or cannot tell; and fail in CI if it may not.

    Exit code with --fail-if: 0 not worse, 1 worse, 8 cannot tell; 7 if the two do not measure the
    same. Without: 1 if a damaged profile was left out.
    """
    from edgedeploy import pipeline
    from edgedeploy.comparing import gates, showing

    conditions = [gates.parse(text) for text in fail_if or []]
    if junit is not None and not conditions:
        raise UsageError("--junit has nothing to write", fix="give a --fail-if, e.g. 'p99 > +5%'")
    damaged: list[pipeline.Failure] = []
    found = _compared(paths or [], baseline, conditions, damaged.append)
    _tell(damaged)
    fails = on_unknown is OnUnknown.FAIL
    code = found.exit_code(unknown_fails=fails) or _if_left_out([] if conditions else damaged)
    if out is not None:
        pipeline.write_comparison(found, out)
    if junit is not None:
        pipeline.write_junit(found, junit, unknown_fails=fails)
    if found.refusals and not found.comparisons and code != 1:
        raise found.refusals[0].error
    if json:
        skipped = skipped_documents(damaged, "profile")
        print_json({**showing.document(found, exit_code=code), "skipped": skipped})
    else:
        print_lines(showing.lines(found))
    for path in (out, junit):
        if path is not None:
            print(f"written: {path}", file=sys.stderr)
    if code:
        raise typer.Exit(code)


def _compared(
    paths: list[Path],
    baseline: Path | None,
    conditions: list[Gate],
    skip: Callable[[Failure], None],
) -> Results:
    from edgedeploy import pipeline

    if baseline is not None and len(paths) > 1:
        raise UsageError(
            f"--baseline is compared with one profile or one folder, got {len(paths)}",
            fix=f"edgedeploy compare --baseline {shlex.quote(str(baseline))} B, once for each",
        )
    if baseline is None and len(paths) != 2:
        raise UsageError(
            f"compare takes two profiles or two folders, got {len(paths)}",
            fix="edgedeploy compare A B, or edgedeploy compare --baseline DIR",
        )
    with progress("comparing") as moved:
        if baseline is not None:
            return pipeline.compare_with_baseline(
                baseline, paths, conditions, skip=skip, progress=moved
            )
        return pipeline.compare(paths[0], paths[1], conditions, skip=skip, progress=moved)


def _if_left_out(damaged: Sequence[Failure]) -> int:
    return EdgeDeployError.exit_code if damaged else 0


def _tell(damaged: Sequence[Failure]) -> None:
    """Say on stderr which profiles were left out."""
    for one in damaged:
        print_skipped(one)


def select(
    profiles: Annotated[
        list[Path] | None,
        typer.Argument(help="Profiles, or folders of them.", show_default="all of ./profiles"),
    ] = None,
    max_p50: Annotated[str | None, typer.Option(help="Median latency, e.g. 5ms.")] = None,
    max_p90: Annotated[str | None, typer.Option(help="90th percentile, e.g. 8ms.")] = None,
    max_p99: Annotated[str | None, typer.Option(help="99th percentile, e.g. 10ms.")] = None,
    min_top1: Annotated[str | None, typer.Option(help="Accuracy, e.g. 0.60 or 60%.")] = None,
    min_agreement: Annotated[
        str | None, typer.Option(help="Agreement with the FP32 artifact, e.g. 98%.")
    ] = None,
    max_energy: Annotated[str | None, typer.Option(help="Per inference, e.g. 20mJ.")] = None,
    max_rss: Annotated[str | None, typer.Option(help="Peak memory, e.g. 200MB.")] = None,
    max_device_memory: Annotated[
        str | None, typer.Option(help="Memory on the GPU, e.g. 200MB.")
    ] = None,
    max_size: Annotated[str | None, typer.Option(help="The engine's files, e.g. 5MB.")] = None,
    min_fps: Annotated[str | None, typer.Option(help="Images per second, e.g. 30.")] = None,
    prefer: Annotated[
        Prefer, typer.Option(help="What counts most among those that keep to every limit.")
    ] = Prefer.ACCURACY,
    device: Annotated[
        str | None, typer.Option(help="Board it was measured on.", show_default="the only one")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="One backend only.", show_default="all")
    ] = None,
    scenario: Annotated[
        str, typer.Option(help="As the report has it, e.g. 'server, 100/s'.")
    ] = "single",
    source: Annotated[
        str, typer.Option(help="The program that measured: edgedeploy or trtexec.")
    ] = "edgedeploy",
    allow: Annotated[
        Allow | None, typer.Option(help="Also choose what is suspect.", show_default="measured")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Choose the best variant that keeps to every limit, and say why the others fell.

    Exit code 1 if none does: then the nearest one is named, and what would have to give. Also 1
    if a damaged profile was left out.
    """
    from edgedeploy import pipeline
    from edgedeploy.selecting import constraints, showing
    from edgedeploy.selecting.candidates import Wanted

    limits = constraints.parse(
        {
            "max_p50": max_p50,
            "max_p90": max_p90,
            "max_p99": max_p99,
            "min_top1": min_top1,
            "min_agreement": min_agreement,
            "max_energy": max_energy,
            "max_rss": max_rss,
            "max_device_memory": max_device_memory,
            "max_size": max_size,
            "min_fps": min_fps,
        }
    )
    wanted = Wanted(device=device, backend=backend, scenario=scenario, source=source)
    damaged: list[pipeline.Failure] = []
    choice = pipeline.select(
        profiles or [],
        wanted,
        limits,
        prefer=prefer.value,
        suspects=allow is Allow.SUSPECT,
        skip=damaged.append,
    )
    _tell(damaged)
    code = NONE_FEASIBLE if choice.chosen is None else _if_left_out(damaged)
    if json:
        skipped = skipped_documents(damaged, "profile")
        print_json({**showing.document(choice, exit_code=code), "skipped": skipped})
    else:
        table = showing.table(choice)
        print_table(table.titles, table.rows)
        print_lines(showing.notes(choice))
    if code:
        raise typer.Exit(code)
