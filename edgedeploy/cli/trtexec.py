"""Commands around NVIDIA's own program: trtexec command, trtexec import."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedeploy.cli.output import JsonFlag, console, print_json

if TYPE_CHECKING:
    from edgedeploy.trtexec.commands import Command

PROGRAM = "/usr/src/tensorrt/bin/trtexec"

Artifact = Annotated[Path, typer.Argument(help="An artifact of the backend trt.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands to ``app``, below ``trtexec``."""
    group = typer.Typer(
        name="trtexec",
        help="Build and measure engines with NVIDIA's own program, where Python cannot.",
        no_args_is_help=True,
    )
    group.command(name="command")(command)
    group.command(name="import")(import_run)
    app.add_typer(group)


def command(
    artifact: Artifact,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time the engine, instead of building it.")
    ] = False,
    tensorrt: Annotated[
        str | None,
        typer.Option(help="TensorRT that runs it, e.g. 8.2.1.", show_default="the artifact's"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Board that runs it, for the TensorRT of its newest JetPack.")
    ] = None,
    trtexec: Annotated[str, typer.Option(help="How trtexec is called there.")] = PROGRAM,
    at: Annotated[
        str | None, typer.Option(help="Where the artifact lies there.", show_default="as given")
    ] = None,
    duration: Annotated[int, typer.Option(help="Seconds of timed calls, at least.")] = 10,
    cuda_graph: Annotated[
        bool,
        typer.Option(
            "--cuda-graph/--no-cuda-graph",
            help="Replay the engine as a CUDA graph, as edgedeploy profile does.",
        ),
    ] = True,
    spin_wait: Annotated[
        bool, typer.Option("--spin-wait", help="Wait busily: steadier, and takes a CPU core.")
    ] = False,
    timing_cache: Annotated[
        str | None, typer.Option(help="TensorRT's timing cache there, to use and extend.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Print the line that builds or measures an artifact's engine with trtexec."""
    from edgedeploy.runtime import manifest as manifests
    from edgedeploy.trtexec import artifacts, commands

    manifest = manifests.read(str(artifact))
    manifests.verify(str(artifact), manifest)
    spec = commands.CommandSpec(
        program=trtexec,
        folder=str(artifact) if at is None else at,
        measure=measure,
        duration_s=duration,
        cuda_graph=cuda_graph,
        spin_wait=spin_wait,
        timing_cache=timing_cache,
    )
    found = commands.command(manifest, artifacts.version_for(manifest, tensorrt, device), spec)
    if json:
        print_json(_document(artifact, found))
        return
    print(found.text)
    if found.times is not None:
        words = ("import", str(artifact), "--log", found.log, "--times", found.times)
        print(f"then: edgedeploy trtexec {shlex.join(words)}", file=sys.stderr)


def import_run(
    artifact: Artifact,
    log: Annotated[Path, typer.Option(help="All that trtexec printed while it measured.")],
    times: Annotated[
        Path | None, typer.Option(help="What it wrote with --exportTimes.", show_default="none")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Where it ran: a board's name, or local.", show_default="as the artifact says"
        ),
    ] = None,
    out: Annotated[Path, typer.Option("-o", help="Folder of the profiles.")] = Path("profiles"),
    json: JsonFlag = False,
) -> None:
    """Keep what trtexec measured as a profile, and print its row."""
    from edgedeploy import pipeline
    from edgedeploy.reporting import document, table, terminal

    path, record = pipeline.import_trtexec(artifact, log, times, device=device, out=out)
    if json:
        print_json(document.document([record]))
        return
    terminal.show(table.rows([record]), console())
    print(f"written: {path}", file=sys.stderr)


def _document(artifact: Path, found: Command) -> dict[str, object]:
    return {
        "artifact": str(artifact),
        "command": found.text,
        "argv": list(found.argv),
        "tensorrt": found.version,
        "log": found.log,
        "times": found.times,
    }
