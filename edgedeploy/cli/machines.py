"""Commands that look at machines: doctor, devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedeploy.cli.output import JsonFlag, print_json, print_table

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
    json: JsonFlag = False,
) -> None:
    """Say what this machine is, what runs here, whether INT8 helps, and what is missing."""
    from edgedeploy import doctor as examination

    diagnosis = examination.examine(measure=measure)
    document = examination.to_json(diagnosis)
    if json:
        print_json(document)
        return
    print(f"device: {document['device']['name']} ({document['device']['model']})\n")
    backends, sensors = document["backends"], document["sensors"]
    print_table(
        ("backend", "builds", "runs", "precisions", "version"),
        [
            (
                name,
                _yes(state["can_build"]),
                _yes(state["can_run"]),
                " ".join(state["precisions"]) or None,
                state["version"],
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
    for gain in diagnosis.gains or ():
        print(f"{gain.backend} int8: {gain}, on half a MobileNet")
    for row in document["advice"]:
        print(f"\n{row['subject']}: {row['problem']}\n  {row['fix']}")
    for row in document["missing"]:
        print(f"\n{row['problem']}\n  fix: {row['fix']}")


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
