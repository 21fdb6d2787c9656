"""PyTorch state dicts of torchvision and timm, renamed to the zoo's rows."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import FileError
from edgedeploy.optional import needs
from edgedeploy.types import PUBLISHED, Family
from edgedeploy.zoo import networks
from edgedeploy.zoo.rows import Activation, Padding, Style
from edgedeploy.zoo.weights import other_family

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.types import Array

_NESTED = ("state_dict", "model", "model_state_dict", "model_ema", "state_dict_ema")
_PARTS = {
    "weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance",
}  # fmt: skip
# Blocks per stage of timm's arch_def (timm/models/efficientnet.py: _gen_mobilenet_v1, …_v2).
_TIMM_REPEATS = {
    Family.MOBILENET_V1: (1, 2, 2, 6, 2),
    Family.MOBILENET_V2: (1, 2, 3, 4, 3, 3, 1),
}
_ANY_STYLE = Style(activation=Activation.RELU6, padding=Padding.SYMMETRIC, eps=1e-5)


def load(path: Path) -> dict[str, Array]:
    """Read a ``.pth`` or ``.pt`` state dict without running what is in it.

    Raises:
        FileError: It is damaged, holds code or a whole pickled module, or no tensors.
        MissingDependencyError: torch is not installed.
    """
    with needs("torch", extra="export"):
        import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of TorchScript archives, then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FileError(
            f"{path} holds more than tensors, and what is in it is not run: {_reason(error)}",
            fix="save the state dict alone: torch.save(model.state_dict(), 'weights.pth')",
        ) from error
    except (
        OSError, RuntimeError, ValueError, EOFError, KeyError, IndexError, AttributeError,
        TypeError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise FileError(
            f"{path} is no state dict that can be read: {_reason(error)}",
            fix="save it again: torch.save(model.state_dict(), 'weights.pth')",
        ) from error
    tensors = _unwrapped(content)
    if not tensors:
        raise FileError(
            f"{path} holds no tensors by name",
            fix="save the state dict: torch.save(model.state_dict(), 'weights.pth')",
        )
    return {name: tensor.to(torch.float32).numpy() for name, tensor in tensors.items()}


def rename(
    tensors: Mapping[str, Array], family: Family, *, ordered: bool, source: str
) -> dict[str, Array]:
    """Give a state dict's tensors the zoo's names; names that mean nothing stay, for the check.

    Args:
        tensors: By PyTorch's names, with or without the ``module.`` of DataParallel.
        family: Whose rows they should fill.
        ordered: Whether the order is that of the modules, so that a state dict of unknown names
            can be read by it: any PyTorch MobileNet makes its convolutions in the order they run.
        source: What errors call the file.

    Raises:
        FileError: They are the other family's, or of no publisher that is known.
    """
    tensors = {
        name.removeprefix("module."): array
        for name, array in tensors.items()
        if not name.endswith("num_batches_tracked")
    }
    schemes = [(f, modules) for f in PUBLISHED for modules in _schemes(f)]
    schemes.sort(key=lambda pair: (_coverage(tensors, pair[1]), pair[0] is family))
    found, modules = schemes[-1]
    if _coverage(tensors, modules) > 0.5:
        if found is not family:
            raise other_family(family, found, source=source)
        return _renamed(tensors, modules)
    if ordered:
        return _renamed(tensors, _modules_in_order(tensors, family, source))
    raise FileError(
        f"{source} has no names of torchvision or timm; its first are "
        f"{', '.join(list(tensors)[:3])}",
        fix="pass the .pth, whose order says which tensor is which, or rename the tensors",
    )


def _coverage(tensors: Mapping[str, Array], modules: Mapping[str, tuple[str, ...]]) -> float:
    """Return the share of a scheme's convolutions that is there."""
    return sum(f"{names[0]}.weight" in tensors for names in modules.values()) / len(modules)


def _renamed(
    tensors: Mapping[str, Array], modules: Mapping[str, tuple[str, ...]]
) -> dict[str, Array]:
    names: dict[str, str] = {}
    for row, (convolution, *norms) in modules.items():
        names |= {f"{convolution}.{part}": f"{row}/{part}" for part in ("weight", "bias")}
        for norm in norms:
            names |= {f"{norm}.{part}": f"{row}/{ours}" for part, ours in _PARTS.items()}
    renamed = {names.get(name, name): array for name, array in tensors.items()}
    classifier = renamed.get("classifier/weight")
    if classifier is not None and classifier.ndim == 4:  # a 1×1 convolution
        renamed["classifier/weight"] = classifier.reshape(len(classifier), -1)
    return renamed


def _schemes(family: Family) -> list[dict[str, tuple[str, ...]]]:
    """Return what each publisher calls the convolution and the batch norm of every row."""
    if family is Family.MOBILENET_V1:  # torchvision has none
        return [_timm(family)]
    return [_torchvision(), _timm(family)]


def _rows(family: Family) -> list[str]:
    return [row.name for row in networks.network(family, alpha=1, classes=1, style=_ANY_STYLE).rows]


def _torchvision() -> dict[str, tuple[str, ...]]:
    """Source: torchvision/models/mobilenetv2.py (features, InvertedResidual.conv, classifier)."""
    names = {"stem": ("features.0.0", "features.0.1"), "head": ("features.18.0", "features.18.1")}
    for row in _rows(Family.MOBILENET_V2)[1:-1]:
        block, part = row.split("/")
        number = int(block[-2:])
        first = 0 if number == 1 else 1  # the first block has no expansion
        prefix = f"features.{number}.conv"
        names[row] = {
            "expand": (f"{prefix}.0.0", f"{prefix}.0.1"),
            "depthwise": (f"{prefix}.{first}.0", f"{prefix}.{first}.1"),
            "project": (f"{prefix}.{first + 1}", f"{prefix}.{first + 2}"),
        }[part]
    return names | {"classifier": ("classifier.1",)}


def _timm(family: Family) -> dict[str, tuple[str, ...]]:
    """Source: timm/models/efficientnet.py and _efficientnet_blocks.py.

    A block without expansion is a DepthwiseSeparableConv (conv_dw, bn1, conv_pw, bn2), one with it
    an InvertedResidual (conv_pw, bn1, conv_dw, bn2, conv_pwl, bn3). V1 has no conv_head, but for
    ``mobilenetv1_100h``, which is no MobileNetV1 and is refused.
    """
    repeats = _TIMM_REPEATS[family]
    blocks = [f"blocks.{stage}.{i}" for stage, count in enumerate(repeats) for i in range(count)]
    rows = _rows(family)
    names: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if "/" not in row:
            names[row] = ("conv_stem", "bn1") if row == "stem" else ("conv_head", "bn2")
            continue
        block, part = row.split("/")
        prefix = blocks[int(block[-2:]) - 1]
        expands = f"{block}/expand" in rows
        convolution, norm = {
            "expand": ("conv_pw", "bn1"),
            "depthwise": ("conv_dw", "bn2" if expands else "bn1"),
            "pointwise": ("conv_pw", "bn2"),
            "project": ("conv_pwl", "bn3") if expands else ("conv_pw", "bn2"),
        }[part]
        names[row] = (f"{prefix}.{convolution}", f"{prefix}.{norm}")
    return names | {"classifier": ("classifier",)}


def _modules_in_order(
    tensors: Mapping[str, Array], family: Family, source: str
) -> dict[str, tuple[str, ...]]:
    """Pair the modules with the rows: a kernel begins a row, a batch norm belongs to the last."""
    found: list[tuple[str, ...]] = []
    for name, array in tensors.items():
        module, _, part = name.rpartition(".")
        if part == "weight" and array.ndim in (2, 4):
            found.append((module,))
        elif part == "running_mean" and found:
            found[-1] = (*found[-1], module)
    rows = [*_rows(family), "classifier"]
    if len(found) != len(rows):
        raise FileError(
            f"{source} has {len(found)} convolutions and linear layers, {family.value} has "
            f"{len(rows)}",
            fix=f"pass the state dict of a {family.value} of torchvision, timm or one like theirs",
        )
    return dict(zip(rows, found, strict=True))


def _unwrapped(content: Any) -> dict[str, Any]:
    """Return the tensors by name, out of a checkpoint's nesting if need be."""
    import torch

    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        return {}
    return {
        str(name): value.detach()
        for name, value in content.items()
        if isinstance(value, torch.Tensor) and not value.is_quantized and not value.is_sparse
    }


def _reason(error: Exception) -> str:
    """Return what torch says, without its advice to load the file unsafely."""
    return str(error).strip().splitlines()[0].split(". ")[0] if str(error) else type(error).__name__
