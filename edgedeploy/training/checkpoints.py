"""Checkpoints: safetensors with the weights, the optimiser's state and what a run was at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from edgedeploy.errors import FileError
from edgedeploy.files import write_atomically
from edgedeploy.optional import needs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MODULE, _STATE, _KEY = "module/", "optimiser/", "edgedeploy"


def save(
    path: Path,
    module: torch.nn.Module,
    *,
    optimiser: torch.optim.Optimizer | None = None,
    about: Mapping[str, Any],
) -> None:
    """Write a checkpoint in one step: a process killed meanwhile leaves the one before.

    Args:
        path: The file.
        module: Whose state is kept.
        optimiser: Whose state is kept beside it; None where nothing is resumed from the file.
        about: JSON values.
    """
    with needs("safetensors", extra="train"):
        from safetensors.torch import save as to_bytes

    tensors = {f"{_MODULE}{name}": tensor for name, tensor in module.state_dict().items()}
    if optimiser is not None:
        for number, parameter in enumerate(_parameters(optimiser)):
            for name, value in optimiser.state[parameter].items():
                if value is not None:  # SGD without momentum
                    tensors[f"{_STATE}{number}/{name}"] = torch.as_tensor(value)
    packed = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomically(path, to_bytes(packed, metadata={_KEY: json.dumps(about)}))


def about(path: Path) -> dict[str, Any]:
    """Return what `save` was told of a checkpoint, without a look at its tensors.

    Raises:
        FileError: It is damaged, or no checkpoint.
    """
    with needs("safetensors", extra="train"):
        from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(json.loads(file.metadata()[_KEY]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise unreadable(path, error) from error


def load(
    path: Path, module: torch.nn.Module, optimiser: torch.optim.Optimizer | None = None
) -> None:
    """Put a checkpoint's state into ``module`` and ``optimiser``.

    Raises:
        FileError: It is damaged, or of another network.
    """
    with needs("safetensors", extra="train"):
        from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
        state = {
            name.removeprefix(_MODULE): tensor
            for name, tensor in tensors.items()
            if name.startswith(_MODULE)
        }
        module.load_state_dict(state)
        if optimiser is not None:
            _restore(optimiser, tensors)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, reason: object) -> FileError:
    """Return the error for a file that is no checkpoint, or lacks what its place asks for."""
    return FileError(
        f"{path} is no checkpoint that can be read: {reason}",
        fix="put the run's own file back, or choose another folder with -o",
    )


def _restore(optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    for number, parameter in enumerate(_parameters(optimiser)):
        prefix = f"{_STATE}{number}/"
        for name, tensor in tensors.items():
            if name.startswith(prefix):
                optimiser.state[parameter][name.removeprefix(prefix)] = _like(parameter, tensor)


def _like(parameter: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Lay a state tensor out as its parameter is; counts of steps stay as they are."""
    if tensor.shape != parameter.shape:
        return tensor.clone()
    return torch.empty_like(parameter).detach().copy_(tensor)


def _parameters(optimiser: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
