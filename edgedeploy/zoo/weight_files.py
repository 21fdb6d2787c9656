"""Any weight file that the zoo reads, by its content; nothing in it is ever run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError, UsageError
from edgedeploy.types import PUBLISHED
from edgedeploy.zoo import keras_weights, native_weights, networks, presets, torch_weights
from edgedeploy.zoo.weights import Weights, check, other_family

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.runtime.preprocessing import Preprocessing
    from edgedeploy.types import Array, Family
    from edgedeploy.zoo.rows import Activation, Style

_READ = {
    ".safetensors": "our own, or a torchvision or timm state dict",
    ".pth": "a torchvision or timm state dict",
    ".pt": "the same",
    ".h5": "Keras: weights or a whole model",
    ".keras": "a whole Keras 3 model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRequest:
    """What the user says of a weight file.

    Attributes:
        family: Whose rows the weights fill.
        alpha: Width multiplier of the rows.
        classes: Outputs of the classifier; None: as many as the file has.
        preset: Whose weights these are (`presets.PRESETS`), None where the file itself says.
        activation: Behind the convolutions, where neither file nor preset say.
        base_resolution: Input side for which ρ is 1.

    Raises:
        UsageError: A number is below 1.
    """

    family: Family
    alpha: float
    classes: int | None = None
    preset: str | None = None
    activation: Activation | None = None
    base_resolution: int = 224

    def __post_init__(self) -> None:
        for what, value in (("classes", self.classes), ("base resolution", self.base_resolution)):
            if value is not None and value < 1:
                raise UsageError(f"{what} is {value}, it must be at least 1", fix="pass 1 or more")


def read(path: Path, request: WeightRequest) -> Weights:
    """Read and check a weight file.

    The network returns logits, also where the published one ends in Softmax (Keras applications),
    because softmax changes no ranking and quantises badly.

    Raises:
        FileError: It is missing, damaged, hostile or of an unknown kind, or does not fit.
        UsageError: The file leaves open what ``preset`` or ``activation`` must say.
        UnknownNameError: There is no such preset.
        MissingDependencyError: The package that reads this kind is not installed.
    """
    if not path.is_file():
        raise FileError(f"there is no weight file {path}", fix="pass an existing file")
    if path.suffix == ".safetensors":
        return _from_safetensors(path, request)
    if request.family not in PUBLISHED:
        raise _nobody_else(path, request.family)
    if path.suffix in (".pth", ".pt"):
        return _from_state_dict(torch_weights.load(path), path, request)
    if path.suffix in (".h5", ".hdf5", ".keras"):
        return _from_keras(path, request)
    kinds = "; ".join(f"{suffix}: {what}" for suffix, what in _READ.items())
    raise FileError(
        f"{path} has the suffix {path.suffix!r}, which says nothing of its format",
        fix=f"pass one of these, under its own suffix: {kinds}",
    )


def _nobody_else(path: Path, family: Family) -> FileError:
    return FileError(
        f"{path} is not of edgedeploy train, and nobody else has trained a {family.value}",
        fix=f"pass the .safetensors that edgedeploy train {family.value} writes",
    )


def _from_safetensors(path: Path, request: WeightRequest) -> Weights:
    tensors, metadata = native_weights.open_safetensors(path)
    ours = metadata.get(native_weights.METADATA_KEY)
    if ours is None and request.family not in PUBLISHED:
        raise _nobody_else(path, request.family)
    if ours is None:
        return _from_state_dict(tensors, path, request)
    weights = native_weights.load(tensors, ours, source=str(path))
    network = weights.network
    if network.family is not request.family:
        raise other_family(request.family, network.family, source=str(path))
    for what, found, wanted in (
        ("α", network.alpha, request.alpha),
        ("classes", network.classes, request.classes or network.classes),
    ):
        if found != wanted:
            raise FileError(
                f"{path}: these weights are of {what} = {found}, {wanted} was asked for",
                fix=f"pass {'--alpha' if what == 'α' else '--classes'} {found}",
            )
    for what, given in (("preset", request.preset), ("activation", request.activation)):
        if given is not None:
            raise UsageError(
                f"{path} says how it was trained, so --{what} has no part in it",
                fix=f"leave --{what} out",
            )
    return weights


def _from_state_dict(tensors: dict[str, Array], path: Path, request: WeightRequest) -> Weights:
    if request.preset is None:
        raise UsageError(
            f"{path} is a PyTorch state dict: it does not say how its images were prepared, nor "
            "its padding and epsilon",
            fix="pass --preset torchvision, timm-v1, timm-v2 or keras, whose recipe it was "
            "trained with",
        )
    preset = presets.get(request.preset)
    style = preset.style(request.family, request.activation)
    named = torch_weights.rename(
        tensors, request.family, ordered=path.suffix != ".safetensors", source=str(path)
    )
    return _checked(named, style, preset.preprocessing, path, request)


def _from_keras(path: Path, request: WeightRequest) -> Weights:
    found = keras_weights.read(path, request.family, assume_applications=request.preset == "keras")
    if request.activation not in (None, found.style.activation):
        raise UsageError(
            f"{path} has {found.style.activation.value}, --activation says "
            f"{request.activation.value}",
            fix="leave --activation out",
        )
    name = request.preset or ("keras" if found.published else None)
    rule = None if name is None else presets.get(name).preprocessing
    return _checked(found.tensors, found.style, rule, path, request)


def _checked(
    tensors: dict[str, Array],
    style: Style,
    rule: Preprocessing | None,
    path: Path,
    request: WeightRequest,
) -> Weights:
    classifier = tensors.get("classifier/weight")
    network = networks.network(
        request.family,
        alpha=request.alpha,
        classes=request.classes or (1 if classifier is None else len(classifier)),
        style=style,
    )
    check(network, tensors, source=str(path))
    return Weights(
        network=network,
        tensors=tensors,
        base_resolution=request.base_resolution,
        preprocessing=rule,
        origin={"file": path.name},
    )
