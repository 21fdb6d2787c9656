"""What the export command does: weights, random weights, or a torch module, to one ONNX file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgedeploy import model_file
from edgedeploy.errors import UsageError
from edgedeploy.exporting.module import export_module
from edgedeploy.exporting.network import emit
from edgedeploy.files import require_word, write_atomically
from edgedeploy.types import PUBLISHED, Family, Variant
from edgedeploy.zoo import networks, presets, random_weights, weight_files
from edgedeploy.zoo.rows import Activation

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from edgedeploy.model_file import ModelHints
    from edgedeploy.zoo.weights import Weights

_OF_THE_ZOO = ("alpha", "classes", "preset", "activation")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What to export: exactly one of ``weights``, ``random_seed`` and ``module``.

    Attributes:
        name: A family, or any name for a module of the user's own.
        resolution: Input side in pixels.
        alpha: Width multiplier; None for a module, which brings its own network.
        weights: A file that `zoo.weight_files` reads.
        random_seed: For untrained weights.
        module: ``package.module:factory`` of a torch module.
        preset: Who published the weights.
        activation: Where neither the file nor the preset say it.
        classes: Outputs; None: as the weights have, 1000 for random ones.
        base_resolution: Input side for which ρ is 1, where the file does not say; None: 224.
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
    base_resolution: int | None = None
    tag: str | None = None

    def __post_init__(self) -> None:
        given = [x for x in (self.weights, self.random_seed, self.module) if x is not None]
        if len(given) != 1:
            raise UsageError(
                f"{len(given)} of --weights, --random-weights and --module are given",
                fix="pass trained weights with --weights FILE (or --random-weights SEED for "
                "speed only, or --module package.module:factory)",
            )
        for part in (self.name, self.tag):
            if part is not None:
                require_word(part)
        if self.module is None and self.alpha is None:
            raise UsageError(f"{self.name} has no width", fix="pass --alpha, e.g. --alpha 0.5")
        for option in _OF_THE_ZOO if self.module is not None else ():
            value = getattr(self, option)
            if value is not None:
                instead = ", and say --mean and --std" if option == "preset" else ""
                raise UsageError(
                    f"--{option} is {value}, and --module {self.module} brings its own network",
                    fix=f"leave --{option} out{instead}",
                )
        if self.base_resolution is not None and self.base_resolution < 1:
            raise UsageError(
                f"--base-resolution is {self.base_resolution}, a side in pixels is 1 or more",
                fix="pass the side that the network was designed for, e.g. 224",
            )

    @property
    def base(self) -> int:
        """What ``base_resolution`` comes to."""
        return self.base_resolution or model_file.BASE_RESOLUTION


def export(request: ExportRequest, *, hints: ModelHints, out: Path) -> tuple[Path, bool]:
    """Write ``out/<variant>[_<tag>].onnx``; the same request gives the same bytes.

    Returns:
        The file, and whether it was there already with the same bytes.

    Raises:
        FileError: The weights are damaged or do not fit.
        UsageError: The request leaves open what decides accuracy.
    """
    tag = f"_{request.tag}" if request.tag else ""
    if request.module is not None:
        proto = export_module(request.module, resolution=request.resolution)
        about: dict[str, Any] = {"variant": None, "preprocessing": None, "labels": None}
        about |= {"base_resolution": request.base}
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
    data = proto.SerializeToString(deterministic=True)
    if path.is_file() and path.read_bytes() == data:
        return path, True
    write_atomically(path, data)
    return path, False


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
            base_resolution=request.base,
        )
        weights = weight_files.read(request.weights, asked)
        if request.base_resolution not in (None, weights.base_resolution):
            raise UsageError(
                f"{request.weights} says that its base resolution is {weights.base_resolution}, "
                f"--base-resolution says {request.base_resolution}",
                fix="leave --base-resolution out",
            )
        return weights
    usual = "keras" if family in PUBLISHED else "edgedeploy"
    style = presets.get(request.preset or usual).style(family, activation)
    network = networks.network(family, alpha=alpha, classes=request.classes or 1000, style=style)
    drawn = random_weights.random(network, request.random_seed or 0)
    return replace(drawn, base_resolution=request.base)


def _check_labels(proto: onnx.ModelProto, labels: tuple[str, ...] | None) -> None:
    classes = proto.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    if labels is not None and classes and len(labels) != classes:
        raise UsageError(
            f"there are {len(labels)} labels for {classes} classes",
            fix="pass --labels with one name per output of the network, in order",
        )
