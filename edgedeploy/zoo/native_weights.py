"""Our own weight files: safetensors under the zoo's names, with all that the tensors cannot say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.errors import FileError
from edgedeploy.files import write_atomically
from edgedeploy.optional import needs
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.types import Family
from edgedeploy.zoo import networks
from edgedeploy.zoo.rows import Activation, Padding, Style
from edgedeploy.zoo.weights import Weights, check

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.types import Array

METADATA_KEY = "edgedeploy"


def save(weights: Weights, path: Path, *, half: bool = False) -> None:
    """Write ``weights`` to ``path``; another file there is replaced in one step.

    A file that holds these bytes already is left alone, with the time at which it was written.

    Args:
        weights: Trained weights.
        path: The file.
        half: Whether kernels are stored as float16, which halves the file and is widened again
            where it is read. Biases and batch norm stay float32: they are few, and a running
            variance may lie outside of float16's range.
    """
    with needs("safetensors", extra="export"):
        from safetensors.numpy import save as to_bytes

    network = weights.network
    about = {
        "family": network.family.value,
        "alpha": network.alpha,
        "classes": network.classes,
        "activation": network.style.activation.value,
        "padding": network.style.padding.value,
        "stem_padding": network.style.stem_padding and network.style.stem_padding.value,
        "eps": network.style.eps,
        "base_resolution": weights.base_resolution,
        "preprocessing": weights.preprocessing and weights.preprocessing._asdict(),
        "labels": weights.labels,
        "origin": dict(weights.origin),
    }
    tensors = {
        name: np.ascontiguousarray(array, np.float16 if half and array.ndim > 1 else np.float32)
        for name, array in weights.tensors.items()
    }
    data = to_bytes(tensors, metadata={METADATA_KEY: json.dumps(about)})
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)


def open_safetensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors of any safetensors file, as float32, and its metadata.

    Raises:
        FileError: It is damaged, or has numbers that NumPy does not know.
        MissingDependencyError: safetensors is not installed.
    """
    with needs("safetensors", extra="export"):
        from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileError(
            f"{path} is no safetensors file that can be read: {error}",
            fix="save or download it again, as float32 or float16",
        ) from error
    return {name: array.astype(np.float32) for name, array in tensors.items()}, metadata


def load(tensors: Mapping[str, Array], metadata: str, *, source: str) -> Weights:
    """Make `Weights` from an opened safetensors file that carries our metadata.

    Raises:
        FileError: The metadata are damaged, or the tensors do not fit them.
    """
    try:
        about = json.loads(metadata)
        style = Style(
            activation=Activation(about["activation"]),
            padding=Padding(about["padding"]),
            stem_padding=Padding(stem) if (stem := about.get("stem_padding")) else None,
            eps=float(about["eps"]),
        )
        network = networks.network(
            Family(about["family"]),
            alpha=float(about["alpha"]),
            classes=int(about["classes"]),
            style=style,
        )
        rule = about["preprocessing"]
        weights = Weights(
            network=network,
            tensors=tensors,
            base_resolution=int(about["base_resolution"]),
            preprocessing=rule
            and Preprocessing(**{**rule, "mean": tuple(rule["mean"]), "std": tuple(rule["std"])}),
            labels=about["labels"] and tuple(str(label) for label in about["labels"]),
            origin=dict(about["origin"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(
            f"{source}: its edgedeploy metadata are damaged: {error}",
            fix="train or export it again, or remove the metadata and pass --alpha and --preset",
        ) from error
    check(network, weights.tensors, source=source)
    return weights
