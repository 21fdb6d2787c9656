"""Commands that look at, compare, check and convert calibrations: calib show, diff, verify, …."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedeploy.cli import calibration_output, options
from edgedeploy.cli.output import JsonFlag, error_document, print_error, print_json
from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.types import OnnxModel

_SHOWN = 10
DIFFERENT = 1

CalibrationFile = Annotated[Path, typer.Argument(metavar="CALIB", help="A calibration file.")]
Model = Annotated[Path, typer.Option("--model", help="The ONNX file.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands to ``app``, below ``calib``."""
    group = typer.Typer(
        name="calib",
        help="Look at calibrations, compare and check them, move them to TensorRT's own cache.",
        no_args_is_help=True,
    )
    group.command(name="show")(show)
    group.command(name="diff")(diff)
    group.command(name="verify")(verify)
    group.command(name="import")(import_cache)
    group.command(name="export")(export)
    app.add_typer(group)


def show(calib: CalibrationFile, json: JsonFlag = False) -> None:
    """Say where a calibration comes from, and the range of every tensor.

    kept is the share of what was seen, from min to max, that the range from low to high holds.
    """
    from edgedeploy.calibration import files

    calibration = files.read(calib)
    if json:
        print_json(calibration_output.document(calib, calibration))
    else:
        calibration_output.print_calibration(calib, calibration)


def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="A calibration file.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    json: JsonFlag = False,
) -> None:
    """Say what two calibrations differ in, the largest change first; exit code 1 if anything."""
    from edgedeploy.calibration import comparing, files

    found = comparing.compare(files.read(first), files.read(second))
    if json:
        print_json(calibration_output.difference_document(first, second, found))
    else:
        calibration_output.print_difference(first, second, found)
    if not found.is_empty:
        raise typer.Exit(DIFFERENT)


def verify(
    calib: CalibrationFile,
    model: Model,
    mean: options.Mean = None,
    std: options.Std = None,
    input_shape: options.InputShape = None,
    resolution: options.Resolution = None,
    json: JsonFlag = False,
) -> None:
    """Check that a calibration fits a model: weights, preprocessing, size, tensors, arrays."""
    from edgedeploy.calibration import checking, files

    calibration = files.read(calib)
    described = _model(model, mean, std, input_shape, resolution)
    found = checking.examine(calibration, described)
    document: dict[str, Any] = {
        "calibration": str(calib),
        "model": str(model),
        "serves": found.serves,
        "changed": found.changed,
        "missing": found.missing,
        "missing_for_u8": found.only_u8,
        "unknown": found.unknown,
        "misfits": found.misfits,
    }
    if found.problems:
        error = checking.refusal(found, described, source=str(calib))
        if json:
            print_json({**document, "error": error_document(error)})
        else:
            print_error(error, as_json=False)
        raise typer.Exit(error.exit_code)
    if json:
        print_json(document)
        return
    print(f"{calib} fits {model}: {len(calibration.ranges)} tensors")
    _print_only_u8(found.only_u8)


def import_cache(
    cache: Annotated[Path, typer.Argument(metavar="FILE.cache", help="TensorRT's text cache.")],
    model: Model,
    out: Annotated[Path, typer.Option("-o", help="The calibration to write.", metavar="CALIB")],
    mean: options.Mean = None,
    std: options.Std = None,
    input_shape: options.InputShape = None,
    resolution: options.Resolution = None,
    json: JsonFlag = False,
) -> None:
    """Make a calibration of the cache that TensorRT's calibrator wrote for a model.

    Its scales come back bit for bit, so that Q/DQ graphs for TensorRT 11, which reads no cache,
    have them too.
    """
    from edgedeploy import trt_cache
    from edgedeploy.calibration import converting, files

    described = _model(model, mean, std, input_shape, resolution)
    found = converting.from_trt_cache(trt_cache.read(cache), described, source=str(cache))
    files.write(found.calibration, out)
    if json:
        print_json(
            {
                "calibration": str(out),
                "tensors": len(found.calibration.ranges),
                "unknown": found.unknown,
                "missing_for_u8": found.only_u8,
            }
        )
        return
    print(f"{out}  {len(found.calibration.ranges)} tensors, {found.calibration.method}")
    if found.unknown:
        print(
            f"left out {len(found.unknown)} of the cache's tensors, which {model} does not have: "
            f"{_some(found.unknown)}",
            file=sys.stderr,
        )
    _print_only_u8(found.only_u8)


def export(
    calib: CalibrationFile,
    out: Annotated[Path, typer.Option("-o", help="The cache to write.", metavar="FILE.cache")],
    trt_cache: Annotated[
        bool, typer.Option("--trt-cache", help="As TensorRT's text cache, the one format there is.")
    ] = False,
    trt_version: Annotated[
        str | None,
        typer.Option(help="Digits of TensorRT's version.", show_default="as imported, else 8201"),
    ] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(
            help="Of the calibrator that will read it.",
            show_default="as imported, else EntropyCalibration2",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="The ONNX file; needed where the calibration changes weights."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Write a calibration as the cache that TensorRT 8 to 10 read instead of calibrating.

    Where the calibration changes weights, the changed ONNX is written beside it: the cache belongs
    to that one.
    """
    from edgedeploy.calibration import converting, files
    from edgedeploy.model_file import read

    if not trt_cache:
        raise UsageError("no format is given", fix="pass --trt-cache")
    written = converting.export(
        files.read(calib),
        out,
        model=None if model is None else read(model),
        version=trt_version,
        algorithm=algorithm,
    )
    if json:
        network = str(written[1]) if len(written) > 1 else None
        print_json({"cache": str(out), "model": network})
        return
    print(out)
    for path in written[1:]:
        print(f"{path}  the network that the cache belongs to")


def _model(
    path: Path,
    mean: str | None,
    std: str | None,
    input_shape: str | None,
    resolution: int | None,
) -> OnnxModel:
    from edgedeploy.model_file import read

    return read(path, options.hints(mean, std, None, input_shape, resolution))


def _print_only_u8(names: Sequence[str]) -> None:
    if names:
        print(
            f"for trt only: {len(names)} tensors that ort and openvino need have no range: "
            f"{_some(names)}",
            file=sys.stderr,
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
