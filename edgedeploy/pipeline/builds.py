"""The sweep over models × backends × precisions, on this machine or for a board."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from edgedeploy import building, devices, model_file
from edgedeploy.calibration import files as calibrations
from edgedeploy.errors import EdgeDeployError, FileError, UnsupportedError, UsageError
from edgedeploy.meters import cpu
from edgedeploy.pipeline.places import ARTIFACTS, CALIBRATIONS, Failure
from edgedeploy.types import BuildSpec, Precision, Target, no_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edgedeploy.calibration_values import Calibration
    from edgedeploy.devices import Device, JetPack
    from edgedeploy.model_file import ModelHints
    from edgedeploy.types import OnnxModel, Steps

_log = logging.getLogger(__name__)


def build_all(
    paths: Sequence[Path],
    specs: Sequence[BuildSpec],
    *,
    hints: ModelHints,
    calib: Path | None = None,
    out: Path = ARTIFACTS,
    keep_going: bool = False,
    command: Sequence[str] = (),
    progress: Callable[[str], Steps] = lambda subject: no_steps,
) -> Iterator[building.BuildResult | Failure]:
    """Build every model for every spec, one by one, yielding each as it is done.

    Args:
        paths: Models; see `find_models`.
        specs: Backends and precisions.
        hints: What the models' files do not say.
        calib: Calibration to use; by default ``calib/<model>.json``.
        out: Folder of the artifacts; those for another board go to a folder of its name in it.
        keep_going: Yield a `Failure` and go on, instead of raising.
        command: What the user typed, for the manifests.
        progress: Called with what is built; returns what is told how far that is.

    Raises:
        EdgeDeployError: One could not be built, and ``keep_going`` is off.
    """
    processor = cpu.read()
    for path in paths:
        for spec in specs:
            subject = f"{path.stem} for {spec.backend} {spec.precision.value}"
            try:
                board, release = _board(spec)
                model = model_file.read(path, hints)
                model, calibration = _calibrated(model, spec, calib, hints.side)
                yield building.build(
                    model,
                    spec,
                    out=out if spec.target is None else out / board.name,
                    calibration=calibration,
                    device=board,
                    release=release,
                    processor=processor,
                    command=command,
                    progress=progress(subject),
                )
            except EdgeDeployError as error:
                if not keep_going:
                    raise
                yield Failure(subject, error)


def find_target(device: str | None, jetpack: str | None = None) -> Target | None:
    """Return the board to prepare for; None where that is this machine.

    Args:
        device: Its name in the board table; None is this machine.
        jetpack: The release on it; None is the newest that it has.

    Raises:
        UnknownNameError: There is no such board.
        UnsupportedError: It has no TensorRT, or one that is too old.
        UsageError: It has no such JetPack, or a JetPack is given without a board.
    """
    if device is None:
        if jetpack is not None:
            raise UsageError(
                f"--jetpack {jetpack} is given without a board",
                fix="add --device, e.g. --device jetson-orin-nano",
            )
        return None
    board = devices.find(device)
    if board.name == devices.here().device.name or board.compute_capability is None:
        return None
    release = devices.release(board, jetpack)
    if release.dialect is None:
        raise UnsupportedError(
            f"JetPack {release.jetpack} of {board.title} has TensorRT {release.tensorrt}, 8.2 is "
            "the oldest that is supported",
            fix=f"update the board to JetPack {board.jetpacks[0].jetpack}; edgedeploy devices "
            f"{board.name} lists them",
        )
    return Target(
        device=board.name,
        jetpack=release.jetpack,
        tensorrt=release.tensorrt,
        compute_capability=board.compute_capability,
    )


def _board(spec: BuildSpec) -> tuple[Device, JetPack | None]:
    """Return the board that a spec is for, and what its JetPack installs."""
    if spec.target is not None:
        board = devices.find(spec.target.device)
        return board, devices.release(board, spec.target.jetpack)
    here = devices.here()
    cores = devices.dla_cores(here.device, here.facts.module)
    return replace(here.device, dla_cores=cores), devices.release_here(here.facts)


def _calibrated(
    model: OnnxModel, spec: BuildSpec, calib: Path | None, asked: tuple[int, int] | None
) -> tuple[OnnxModel, Calibration | None]:
    """Find the model's calibration; it also knows a foreign model's size and preprocessing."""
    path = calib or CALIBRATIONS / f"{model.name}.json"
    if not path.is_file():
        if calib is not None:
            raise FileError(f"there is no {calib}", fix="pass a file that calibrate wrote")
        return model, None
    calibration = calibrations.read(path)
    _log.info("%s: calibration %s, %d images", model.name, path, calibration.data_count)
    foreign = calibration.model_sha256 != model.sha256
    if foreign and calib is None and spec.precision is not Precision.INT8:
        return model, None
    calibrations.check(calibration, model)
    if asked is not None and asked != calibration.side:
        _refuse_side(model, asked, calibration.side, path)
    model = model_file.with_side(model, calibration.side, source=str(path))
    if model.preprocessing is None:
        model = replace(model, preprocessing=calibration.preprocessing)
    elif model.preprocessing != calibration.preprocessing:
        raise UsageError(
            f"{model.name} is preprocessed as {model.preprocessing}, "
            f"{path} was measured with {calibration.preprocessing}",
            fix=f"calibrate again, or pass the same --mean and --std: {path}",
        )
    return model, calibration


def _refuse_side(
    model: OnnxModel, asked: tuple[int, int], calibrated: tuple[int, int], path: Path
) -> None:
    """Say that the command line and the calibration disagree, unless the model says the first.

    Raises:
        UsageError: They do.
    """
    if model_file.read(model.path).side == asked:
        return
    raise UsageError(
        f"{model.path}: the command line says {asked[0]}x{asked[1]}, "
        f"{path} was measured at {calibrated[0]}x{calibrated[1]}",
        fix="leave --input-shape and --resolution out, or calibrate again at that size",
    )
