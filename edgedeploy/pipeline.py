"""Where the stages meet: each command's work, and the sweep over models × backends × precisions."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import artifact, building, model_file
from edgedeploy.calibration import files as calibrations
from edgedeploy.calibration import measuring as calibrating
from edgedeploy.errors import EdgeDeployError, FileError, UsageError
from edgedeploy.exporting.module import export_module
from edgedeploy.exporting.network import emit
from edgedeploy.files import write_atomically
from edgedeploy.profiling import measuring as profiling
from edgedeploy.profiling import records
from edgedeploy.reporting import markdown, table
from edgedeploy.types import BuildSpec, Family, Precision, Variant
from edgedeploy.zoo import networks, presets, random_weights, weight_files
from edgedeploy.zoo.rows import Activation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import onnx

    from edgedeploy.images import ImageSet
    from edgedeploy.model_file import ModelHints
    from edgedeploy.profiling.measuring import ProfileSpec
    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.types import Calibration, OnnxModel
    from edgedeploy.zoo.weights import Weights

MODELS, CALIBRATIONS = Path("models"), Path("calib")
ARTIFACTS, PROFILES = Path("build"), Path("profiles")


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with one of several things; the others went on.

    Attributes:
        subject: What was being made, e.g. ``"mobilenet_v1_0.25_112 for trt int8"``.
        error: Why it was not.
    """

    subject: str
    error: EdgeDeployError


def find_models(paths: Sequence[Path]) -> list[Path]:
    """Return the models asked for; without any, all of ``./models``; a folder stands for its own.

    Raises:
        FileError: There is none.
    """
    found: list[Path] = []
    for path in paths or [MODELS]:
        found += sorted(path.glob("*.onnx")) if path.is_dir() else [path]
    if not found:
        where = ", ".join(str(path) for path in paths or [MODELS])
        raise FileError(
            f"there is no .onnx model in {where}",
            fix="export one: edgedeploy export mobilenet_v1 --alpha 0.25 --resolution 224 "
            "--weights FILE --preset keras",
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What to export: exactly one of ``weights``, ``random_seed`` and ``module``.

    Attributes:
        name: A family, or any name for a module of the user's own.
        resolution: Input side in pixels.
        alpha: Width multiplier; None for a module.
        weights: A file that `zoo.weight_files` reads.
        random_seed: For untrained weights.
        module: ``package.module:factory`` of a torch module.
        preset: Who published the weights.
        activation: Where neither the file nor the preset say it.
        classes: Outputs; None: as the weights have, 1000 for random ones.
        base_resolution: Input side for which ρ is 1, where the file does not say.
        tag: Last part of the file's name.
    """

    name: str
    resolution: int
    alpha: float | None = None
    weights: Path | None = None
    random_seed: int | None = None
    module: str | None = None
    preset: str | None = None
    activation: str | None = None
    classes: int | None = None
    base_resolution: int = model_file.BASE_RESOLUTION
    tag: str | None = None

    def __post_init__(self) -> None:
        given = [x for x in (self.weights, self.random_seed, self.module) if x is not None]
        if len(given) != 1:
            raise UsageError(
                f"{len(given)} of --weights, --random-weights and --module are given",
                fix="pass trained weights with --weights FILE (or --random-weights SEED for "
                "speed only, or --module package.module:factory)",
            )
        if self.module is None and self.alpha is None:
            raise UsageError(f"{self.name} has no width", fix="pass --alpha, e.g. --alpha 0.5")


def export(request: ExportRequest, *, hints: ModelHints, out: Path) -> Path:
    """Write ``out/<variant>[_<tag>].onnx``; the same request gives the same bytes.

    Raises:
        FileError: The weights are damaged or do not fit.
        UsageError: The request leaves open what decides accuracy.
    """
    tag = f"_{request.tag}" if request.tag else ""
    if request.module is not None:
        proto = export_module(request.module, resolution=request.resolution)
        about: dict[str, Any] = {"variant": None, "preprocessing": None, "labels": None}
        about |= {"base_resolution": request.base_resolution}
        stem = f"{request.name}_{request.resolution}{tag}"
    else:
        weights = _weights(request)
        variant = Variant(weights.network.family, weights.network.alpha, request.resolution)
        proto = emit(weights, request.resolution)
        about = {
            "variant": variant,
            "base_resolution": weights.base_resolution,
            "preprocessing": weights.preprocessing,
            "labels": weights.labels,
        }
        stem = f"{variant.name}{tag}"
    about["preprocessing"] = hints.preprocessing or about["preprocessing"]
    about["labels"] = hints.labels or about["labels"]
    _check_labels(proto, about["labels"])
    model_file.set_metadata(proto, **about)
    path = out / f"{stem}.onnx"
    write_atomically(path, proto.SerializeToString(deterministic=True))
    return path


def _weights(request: ExportRequest) -> Weights:
    family = Family.parse(request.name)
    activation = None if request.activation is None else Activation(request.activation)
    alpha = request.alpha or 0.0
    if request.weights is not None:
        asked = weight_files.WeightRequest(
            family=family,
            alpha=alpha,
            classes=request.classes,
            preset=request.preset,
            activation=activation,
            base_resolution=request.base_resolution,
        )
        return weight_files.read(request.weights, asked)
    style = presets.get(request.preset or "keras").style(family, activation)
    network = networks.network(family, alpha=alpha, classes=request.classes or 1000, style=style)
    drawn = random_weights.random(network, request.random_seed or 0)
    return replace(drawn, base_resolution=request.base_resolution)


def _check_labels(proto: onnx.ModelProto, labels: tuple[str, ...] | None) -> None:
    classes = proto.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    if labels is not None and classes and len(labels) != classes:
        raise UsageError(
            f"there are {len(labels)} labels for {classes} classes",
            fix="pass --labels with one name per output of the network, in order",
        )


def calibrate(
    path: Path,
    images: ImageSet,
    *,
    hints: ModelHints,
    method: str,
    out: Path,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Path, Calibration]:
    """Measure one model's ranges on ``images`` and write ``out/<model>.json``.

    Raises:
        UsageError: The model's size or preprocessing is not known.
    """
    model = model_file.read(path, hints)
    if model.side is None:
        raise UsageError(
            f"{model.name} takes images of any size, and calibration needs one",
            fix="pass --resolution R or --input-shape CxHxW",
        )
    if model.preprocessing is None:
        raise UsageError(
            f"{model.name} does not say how its images are preprocessed",
            fix="pass --mean and --std in 0-255 units, e.g. --mean 127.5 --std 127.5",
        )
    calibration = calibrating.measure(
        model,
        images,
        method=method,
        side=model.side,
        preprocessing=model.preprocessing,
        threads=threads,
        progress=progress,
    )
    target = out / f"{model.name}.json"
    calibrations.write(calibration, target)
    return target, calibration


def build_all(
    paths: Sequence[Path],
    specs: Sequence[BuildSpec],
    *,
    hints: ModelHints,
    calib: Path | None = None,
    out: Path = ARTIFACTS,
    keep_going: bool = False,
    command: Sequence[str] = (),
) -> Iterator[building.BuildResult | Failure]:
    """Build every model for every spec, one by one, yielding each as it is done.

    Args:
        paths: Models; see `find_models`.
        specs: Backends and precisions.
        hints: What the models' files do not say.
        calib: Calibration to use; by default ``calib/<model>.json``.
        out: Folder of the artifacts.
        keep_going: Yield a `Failure` and go on, instead of raising.
        command: What the user typed, for the manifests.

    Raises:
        EdgeDeployError: One could not be built, and ``keep_going`` is off.
    """
    for path in paths:
        for spec in specs:
            try:
                model = model_file.read(path, hints)
                model, calibration = _calibrated(model, spec, calib)
                yield building.build(model, spec, out=out, calibration=calibration, command=command)
            except EdgeDeployError as error:
                if not keep_going:
                    raise
                yield Failure(f"{path.stem} for {spec.backend} {spec.precision.value}", error)


def _calibrated(
    model: OnnxModel, spec: BuildSpec, calib: Path | None
) -> tuple[OnnxModel, Calibration | None]:
    """Find the model's calibration; it also knows a foreign model's size and preprocessing."""
    path = calib or CALIBRATIONS / f"{model.name}.json"
    if not path.is_file():
        if calib is not None:
            raise FileError(f"there is no {calib}", fix="pass a file that calibrate wrote")
        return model, None
    calibration = calibrations.read(path)
    foreign = calibration.model_sha256 != model.sha256
    if foreign and calib is None and spec.precision is not Precision.INT8:
        return model, None
    calibrations.check(calibration, model)
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


def read_labels(path: Path) -> tuple[str, ...]:
    """Read class names: a JSON list, or one name a line.

    Raises:
        FileError: The file is missing, empty, or no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
        names = json.loads(text) if text.lstrip().startswith("[") else text.splitlines()
    except (OSError, ValueError) as error:
        raise FileError(
            f"{path} holds no labels: {error}", fix="write one class name a line, or a JSON list"
        ) from error
    if not names:
        raise FileError(f"{path} is empty", fix="write one class name a line, or a JSON list")
    return tuple(str(name).strip() for name in names)


def find_artifacts(paths: Sequence[Path]) -> list[Path]:
    """Return the artifacts among and below ``paths``; without any, all of ``./build``."""
    return artifact.find(list(paths) or [ARTIFACTS])


def profile(
    folder: Path,
    spec: ProfileSpec,
    *,
    out: Path,
    progress: Callable[[str, float, float], None] = lambda phase, done_s, total_s: None,
) -> tuple[Path, ProfileRecord]:
    """Measure one artifact in a process of its own, and keep the record in ``out``."""
    record = profiling.profile(
        folder, spec, shipped_accuracy=MODELS / "accuracy.json", progress=progress
    )
    return records.write(record, out), record


def read_profiles(paths: Sequence[Path]) -> list[ProfileRecord]:
    """Read the profiles asked for; without any, all of ``./profiles``.

    Raises:
        FileError: There is none, or one is damaged.
    """
    found: list[Path] = []
    for path in paths or [PROFILES]:
        found += sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not found:
        where = ", ".join(str(path) for path in paths or [PROFILES])
        raise FileError(f"there is no profile in {where}", fix="measure: edgedeploy profile")
    return [records.read(path) for path in found]


def write_report(measured: Sequence[ProfileRecord], path: Path) -> None:
    """Write the table of all variants as Markdown.

    Raises:
        UsageError: The file name does not end in ``.md``.
        FileError: It cannot be written.
    """
    if path.suffix != ".md":
        raise UsageError(
            f"a report is written as Markdown, not as {path.suffix or 'a file without a suffix'}",
            fix=f"pass -o {path.with_suffix('.md')}",
        )
    write_atomically(path, markdown.render(table.rows(measured)).encode())
