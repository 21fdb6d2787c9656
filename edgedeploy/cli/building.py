"""The command build."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgedeploy.cli import build_specs, options
from edgedeploy.cli.builds import print_builds
from edgedeploy.cli.output import JsonFlag
from edgedeploy.cli.status import StatusLine

_TRT = "TensorRT"


class X86(str, Enum):
    """Which x86 CPUs INT8 weights are made for."""

    ANY = "any"
    VNNI = "vnni"


class OpenVinoDevice(str, Enum):
    """Where OpenVINO compiles."""

    CPU = "CPU"
    GPU = "GPU"
    NPU = "NPU"
    AUTO = "AUTO"


class Int8Mode(str, Enum):
    """How INT8 is said to TensorRT."""

    AUTO = "auto"
    IMPLICIT = "implicit"
    QDQ = "qdq"
    TYPED = "typed"


class Hardware(str, Enum):
    """Which other GPUs may load an engine."""

    AMPERE_PLUS = "ampere-plus"
    SAME_COMPUTE_CAPABILITY = "same-compute-capability"


def register(app: typer.Typer) -> None:
    """Add this file's command to ``app``."""
    app.command()(build)


def build(
    models: options.Models = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="ort, openvino or trt; several repeated or with commas: ort,openvino.",
            show_default="required",
        ),
    ] = None,
    fp32: Annotated[bool, typer.Option("--fp32", help="32-bit floats (the default).")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="16-bit floats.")] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="bfloat16, OpenVINO only.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit integers, calibrated.")] = False,
    calib: Annotated[
        Path | None, typer.Option(help="Calibration.", show_default="calib/<model>.json")
    ] = None,
    ov_device: Annotated[
        OpenVinoDevice | None,
        typer.Option(help="OpenVINO's device.", case_sensitive=False, show_default="CPU"),
    ] = None,
    x86: Annotated[
        X86 | None,
        typer.Option(
            "--x86",
            help="INT8 for ort and openvino: any keeps weights small enough for x86 CPUs without "
            "VNNI, vnni uses all 8 bits.",
            case_sensitive=False,
            show_default="any",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Board to prepare for, where it is not this machine, e.g. jetson-nano.",
            show_default="this machine",
            rich_help_panel=_TRT,
        ),
    ] = None,
    jetpack: Annotated[
        str | None,
        typer.Option(
            help="That board's JetPack, e.g. 6.2.",
            show_default="its newest",
            rich_help_panel=_TRT,
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            help="Images a call takes: one number, or smallest,best,largest.",
            show_default="1,1,8; on a DLA 1",
            rich_help_panel=_TRT,
        ),
    ] = None,
    int8_mode: Annotated[
        Int8Mode | None,
        typer.Option(
            metavar="MODE",
            help="How INT8 is said to TensorRT: auto, implicit, qdq or typed.",
            show_default="auto: by its version",
            case_sensitive=False,
            rich_help_panel=_TRT,
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="Build INT8 in every mode, keep the fastest.",
            rich_help_panel=_TRT,
        ),
    ] = False,
    workspace_mb: Annotated[
        int | None,
        typer.Option(
            help="Scratch memory of a layer, in MiB.", show_default="256", rich_help_panel=_TRT
        ),
    ] = None,
    opt_level: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=5,
            help="Optimisation level; more takes longer.",
            show_default="TensorRT's own",
            rich_help_panel=_TRT,
        ),
    ] = None,
    version_compatible: Annotated[
        bool,
        typer.Option(
            "--version-compatible",
            help="Let later TensorRT of the same major load it.",
            rich_help_panel=_TRT,
        ),
    ] = False,
    hardware_compatible: Annotated[
        Hardware | None,
        typer.Option(
            metavar="GPUS",
            help="Let other GPUs load it: ampere-plus or same-compute-capability.",
            show_default="the GPU that builds",
            case_sensitive=False,
            rich_help_panel=_TRT,
        ),
    ] = None,
    dla_core: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=15,
            help="Run on this deep-learning accelerator.",
            show_default="the GPU",
            rich_help_panel=_TRT,
        ),
    ] = None,
    mean: options.Mean = None,
    std: options.Std = None,
    labels: options.Labels = None,
    input_shape: options.InputShape = None,
    resolution: options.Resolution = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on after a model that fails.")
    ] = False,
    out: Annotated[Path, typer.Option("-o", help="Folder of the artifacts.")] = Path("build"),
    json: JsonFlag = False,
) -> None:
    """Build engines: every model, for every backend, in every precision asked for."""
    from edgedeploy import pipeline

    asked = {"fp32": fp32, "fp16": fp16, "bf16": bf16, "int8": int8}
    trt: dict[str, Any] = {
        "batch": None if batch is None else build_specs.batch(batch),
        "int8_mode": int8_mode and int8_mode.value,
        "tune": tune or None,
        "workspace_mb": workspace_mb,
        "optimization_level": opt_level,
        "version_compatible": version_compatible or None,
        "hardware_compatible": hardware_compatible and hardware_compatible.value,
        "dla_core": dla_core,
    }
    specs = build_specs.specs(
        build_specs.backend_names(backend or []),
        [name for name, on in asked.items() if on],
        ov_device=ov_device and ov_device.value,
        x86=x86 and x86.value,
        trt={name: value for name, value in trt.items() if value is not None},
        board=(device, jetpack),
    )
    line = StatusLine()
    results = pipeline.build_all(
        pipeline.find_models(models or []),
        specs,
        hints=options.hints(mean, std, labels, input_shape, resolution),
        calib=calib,
        out=out,
        keep_going=keep_going,
        command=["edgedeploy", *sys.argv[1:]],
        progress=line.told,
    )
    code = print_builds(line.cleared(results), as_json=json)
    if code:
        raise typer.Exit(code)
