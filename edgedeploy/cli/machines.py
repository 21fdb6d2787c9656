"""Commands that look at machines: doctor, devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedeploy.cli.output import JsonFlag, print_json, print_table
from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from edgedeploy.devices import Device


def register(app: typer.Typer) -> None:
    """Add this file's commands to ``app``."""
    app.command()(doctor)
    app.command()(devices)


def doctor(
    measure: Annotated[
        bool, typer.Option("--measure", help="Time INT8 against the other types: 2 to 5 seconds.")
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Look at another machine's files, e.g. a mounted SD card of a Jetson.",
            exists=True,
            file_okay=False,
            show_default="this machine",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Say what this machine is, what runs here, whether INT8 helps, and what is missing."""
    from edgedeploy import doctor as examination

    if root is not None and not (root / "etc").is_dir():
        raise UsageError(
            f"{root} is not the root of a Linux system: it has no folder etc",
            fix="pass where the card or container is mounted, e.g. --root /media/you/APP",
        )
    where = "/" if root is None else str(root)
    diagnosis = examination.examine(where, elsewhere=root is not None, measure=measure)
    document = examination.to_json(diagnosis)
    if json:
        print_json(document)
        return
    print(f"device: {document['device']['name']} ({document['device']['model']})")
    _print_board(document)
    if root is None:
        _print_backends(document)
    else:
        print("\nbackends and sensors: not examined, these are the files of another machine")
    for gain in diagnosis.gains or ():
        print(f"{gain.backend} int8: {gain}, on half a MobileNet")
    for row in document["advice"]:
        print(f"\n{row['subject']}: {row['problem']}\n  {row['fix']}")
    for row in document["missing"]:
        print(f"\n{row['problem']}\n  fix: {row['fix']}")


def _print_board(document: dict[str, Any]) -> None:
    """Print what a Jetson is, what its JetPack brings and what is installed."""
    board, release, tensorrt = (document[key] for key in ("board", "release", "tensorrt"))
    if board is None:
        if tensorrt is not None:
            mode = tensorrt["int8_mode"]
            print(
                f"TensorRT: {tensorrt['source']} {tensorrt['installed']}, INT8 mode auto is {mode}"
            )
        return
    cores = board["dla_cores"]
    dla = f"{cores} DLA core{'s' * (cores > 1)}" if cores else "no DLA"
    module = f"module {board['module']}, " if board["module"] else ""
    print(f"board: {module}GPU sm {board['compute_capability']}, {dla}")
    mode = f", power mode {board['power_mode']}" if board["power_mode"] else ""
    print(f"system: Jetson Linux {board['l4t'] or '?'} (JetPack {board['jetpack'] or '?'}){mode}")
    memory = document["memory"]
    if memory is not None:
        print(
            f"memory: {memory['available_mb']} of {memory['total_mb']} MiB free; free swap: "
            f"{memory['swap_free_mb']} MiB on disk, {memory['zram_free_mb']} MiB on zram"
        )
    brings = release or {"tensorrt": None, "cuda": None, "python": None}
    print()
    print_table(
        ("software", f"JetPack {board['jetpack'] or '?'} brings", "installed"),
        [
            ("TensorRT", brings["tensorrt"], tensorrt["installed"]),
            ("CUDA", brings["cuda"], tensorrt["cuda"]),
            ("Python of TensorRT", brings["python"], ", ".join(tensorrt["pythons"]) or None),
        ],
    )
    print()
    runs = " ".join(tensorrt["precisions"]) or "nothing"
    int8 = f"; INT8 mode auto is {tensorrt['int8_mode']}" if tensorrt["int8_mode"] else ""
    old = "" if tensorrt["generation"] or runs == "nothing" else "; too old for edgedeploy"
    print(f"TensorRT runs here: {runs}{int8}{old}")


def _print_backends(document: dict[str, Any]) -> None:
    backends, sensors = document["backends"], document["sensors"]
    print()
    print_table(
        ("backend", "builds", "runs", "precisions", "version"),
        [
            (
                name,
                _yes(state["can_build"]),
                _yes(state["can_run"]),
                " ".join(state["precisions"]) or None,
                state["version"] and state["version"].split("-")[0],
            )
            for name, state in backends.items()
        ],
    )
    print()
    print_table(("sensor", "here"), [(n, _yes(s["available"])) for n, s in sensors.items()])
    print()
    for name, state in [*backends.items(), *sensors.items()]:
        if state["reason"]:
            print(f"{name}: {state['reason']}")


def devices(
    device: Annotated[
        str | None, typer.Argument(help="One of them: its JetPacks, and what each brings.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """List the boards that are known, and what each cannot do."""
    from edgedeploy import device_rows
    from edgedeploy import devices as boards

    if device is not None:
        _print_device(boards.find(device), as_json=json)
        return
    table = boards.table()
    if json:
        print_json({"devices": [device_rows.to_json(row) for row in table]})
        return
    print_table(device_rows.COLUMNS, [device_rows.row(row) for row in table])
    print("\nThe JetPacks of one of them: edgedeploy devices NAME")


def _print_device(device: Device, *, as_json: bool) -> None:
    from edgedeploy import device_rows

    document: dict[str, Any] = device_rows.to_json(device)
    if as_json:
        print_json(document)
        return
    print(f"{device.name}: {device.title}")
    for name, value in device_rows.facts(device):
        print(f"{name}: {value}")
    if device.jetpacks:
        print()
        rows = [device_rows.release_row(device, jetpack) for jetpack in device.jetpacks]
        print_table(device_rows.RELEASE_COLUMNS, rows)


def _yes(value: object) -> str:
    return "yes" if value else "no"
