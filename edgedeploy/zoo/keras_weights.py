"""Weights from Keras: ``.h5`` of Keras 2 and 3, Keras 3's ``.weights.h5`` and ``.keras``."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EdgeDeployError, FileError
from edgedeploy.optional import needs
from edgedeploy.zoo import keras_model, keras_rows
from edgedeploy.zoo.keras_config import Layer
from edgedeploy.zoo.weights import other_family

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.types import Array, Family
    from edgedeploy.zoo.keras_rows import Plan
    from edgedeploy.zoo.rows import Style

_LARGEST_ENTRY = 1 << 30  # bytes that a .keras archive may unpack to, per entry
_LARGEST_TENSOR = 1 << 26  # numbers; a MobileNetV2 of α 4 has 5 M in its classifier
_SNAKE = {
    "Conv2D": "conv2d",
    "DepthwiseConv2D": "depthwise_conv2d",
    "BatchNormalization": "batch_normalization",
    "Dense": "dense",
}
_ARRAYS = {"moving_mean": "mean", "moving_variance": "variance", "depthwise_kernel": "kernel"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasWeights:
    """What a Keras file holds.

    Attributes:
        tensors: Under the zoo's names.
        style: From the file's configuration, or as Keras applications has it.
        published: Whether it is a Keras applications model by its names.
    """

    tensors: dict[str, Array]
    style: Style
    published: bool


def read(path: Path, family: Family, *, assume_applications: bool) -> KerasWeights:
    """Read a Keras file.

    Args:
        path: ``.h5`` (weights or the whole model), ``.weights.h5`` or ``.keras``.
        family: Whose rows to fill.
        assume_applications: Take a file that has neither configuration nor names for Keras
            applications' model.

    Raises:
        FileError: It is damaged, hostile, no Keras file, or of another architecture.
        MissingDependencyError: h5py is not installed.
    """
    with needs("h5py", extra="export"):
        import h5py

    source = str(path)
    try:
        file, config = _opened(path)
        with h5py.File(file, "r") as root:
            return _File(root, source).read(config, family, assume_applications=assume_applications)
    except EdgeDeployError:
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        zipfile.BadZipFile,
        EOFError,
    ) as error:
        raise FileError(
            f"{source} is no Keras file that can be read: {_first_line(error)}",
            fix="save or download it again: model.save('model.keras') or model.save('model.h5')",
        ) from error


def _opened(path: Path) -> tuple[Path | io.BytesIO, str | bytes | None]:
    """Return the HDF5 file, and the configuration that lies beside it in a ``.keras`` archive."""
    if not zipfile.is_zipfile(path):
        return path, None
    with zipfile.ZipFile(path) as archive:
        for name in ("config.json", "model.weights.h5"):
            size = archive.getinfo(name).file_size
            if size > _LARGEST_ENTRY:
                raise FileError(
                    f"{path}: {name} unpacks to {size} bytes, a MobileNet has at most "
                    f"{_LARGEST_ENTRY}",
                    fix="do not use this file; save the model again",
                )
        return io.BytesIO(archive.read("model.weights.h5")), archive.read("config.json")


class _File:
    """An open HDF5 file; links and data that lie outside of it are refused."""

    def __init__(self, root: Any, source: str) -> None:  # h5py has no types
        self.root = root
        self.source = source

    def read(
        self, config: str | bytes | None, family: Family, *, assume_applications: bool
    ) -> KerasWeights:
        config = config or self.root.attrs.get("model_config")
        numbered = "layers" in self.root
        if config is not None:
            model = keras_model.read(config, source=self.source)
            plan = keras_rows.from_config(model, family, source=self.source)
        elif numbered:
            plan = self._plan_by_number(family, assume_applications)
        else:
            plan = self._plan_by_name(family, assume_applications)
        arrays = self._by_number(plan) if numbered else self._by_name
        return KerasWeights(
            tensors=_tensors(plan, arrays), style=plan.style, published=plan.published
        )

    def _plan_by_name(self, family: Family, assume: bool) -> Plan:  # noqa: FBT001 -- private
        """Sort the layers of a weights-only ``.h5`` by what they hold, as Keras loads them."""
        convolutions, norms, last_ndim = [], [], 0
        for name in (_text(name) for name in self.root.attrs["layer_names"]):
            arrays = self._by_name(Layer(name, ""))
            if "kernel" in arrays:
                convolutions.append(name)
                last_ndim = arrays["kernel"].ndim
            elif arrays:
                norms.append(name)
        self._check_first(convolutions[0] if convolutions else "", family, assume)
        return keras_rows.from_names(
            family,
            convolutions=convolutions,
            norms=norms,
            dense=last_ndim == 2,
            source=self.source,
        )

    def _plan_by_number(self, family: Family, assume: bool) -> Plan:  # noqa: FBT001 -- private
        """Count the layers of a ``.weights.h5``, which numbers them class by class."""
        groups = self._group("layers")
        numbers = Counter(re.sub(r"_\d+$", "", name) for name in groups)
        first = _text(self._group("layers", "conv2d", "vars").attrs.get("name", ""))
        self._check_first(first, family, assume)
        dense = numbers["dense"] > 0
        kernels = numbers["conv2d"] + numbers["depthwise_conv2d"] + numbers["dense"]
        return keras_rows.from_names(
            family,
            convolutions=[first, *[""] * (kernels - 1)],
            norms=[""] * numbers["batch_normalization"],
            dense=dense,
            source=self.source,
        )

    def _check_first(self, name: str, family: Family, assume: bool) -> None:  # noqa: FBT001 -- private
        found = keras_rows.family_of_first_layer(name)
        if found is not None and found is not family:
            raise other_family(family, found, source=self.source)
        if found is None and not assume:
            raise FileError(
                f"{self.source} has weights only, and its first convolution is called {name!r}: "
                "it does not say which activation, padding and epsilon it was trained with",
                fix="save the whole model with model.save('model.keras'), or pass --preset keras "
                "if it is a Keras applications model",
            )

    def _by_name(self, layer: Layer) -> dict[str, Array]:
        """Return a layer's arrays from the layout of Keras 2: ``<layer>/<layer>/kernel:0``."""
        top = ("model_weights",) if "model_weights" in self.root else ()
        found: dict[str, Any] = {}
        self._group(*top, layer.name).visititems(
            lambda path, item: found.update({path: item}) if hasattr(item, "shape") else None
        )
        arrays = {}
        for path, dataset in found.items():
            name = path.rsplit("/", 1)[-1].split(":")[0]
            arrays[_ARRAYS.get(name, name)] = self._array(dataset)
        return arrays

    def _by_number(self, plan: Plan) -> Callable[[Layer], dict[str, Array]]:
        """Return a reader of Keras 3's layout, ``layers/<class>_<number>/vars/<number>``."""
        keys: dict[int, str] = {}
        used: Counter[str] = Counter()
        for layer in plan.layers:
            kind = _SNAKE.get(layer.kind)
            if kind is not None:
                keys[id(layer)] = f"{kind}_{used[kind]}" if used[kind] else kind
                used[kind] += 1

        def arrays(layer: Layer) -> dict[str, Array]:
            group = self._group("layers", keys[id(layer)], "vars")
            names = ["kernel", "bias"]
            if layer.kind == "BatchNormalization":
                kept = {"gamma": "scale", "beta": "center"}
                names = [n for n, key in kept.items() if layer.config.get(key, True)]
                names += ["mean", "variance"]
            items = [self._array(group[str(i)]) for i in range(len(group))]
            return dict(zip(names, items, strict=False))

        return arrays

    def _group(self, *path: str) -> Any:
        """Return a group, refusing links that lead out of the file."""
        import h5py

        group = self.root
        for name in path:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise self._outside(name)
            group = group[name]
        return group

    def _array(self, dataset: Any) -> Array:
        if dataset.external or dataset.is_virtual:
            raise self._outside(dataset.name)
        if dataset.dtype.kind != "f" or dataset.size > _LARGEST_TENSOR:
            raise FileError(
                f"{self.source}: {dataset.name} is {dataset.dtype} {dataset.shape}, "
                "wanted floating-point weights of a MobileNet",
                fix="save the float model, before any quantisation",
            )
        return np.asarray(dataset[()], dtype=np.float32)

    def _outside(self, name: str) -> FileError:
        return FileError(
            f"{self.source}: {name} is a link or lies outside the file",
            fix="do not use this file; save the model again",
        )


def _tensors(plan: Plan, arrays: Callable[[Layer], dict[str, Array]]) -> dict[str, Array]:
    """Turn Keras's layouts into the zoo's: HWIO → OIHW, depthwise HWC1 → C1HW."""
    tensors: dict[str, Array] = {}
    for row in plan.rows:
        found = arrays(row.convolution)
        order = (2, 3, 0, 1) if row.convolution.kind == "DepthwiseConv2D" else (3, 2, 0, 1)
        tensors[f"{row.row}/weight"] = found.pop("kernel").transpose(order)
        tensors.update({f"{row.row}/{name}": array for name, array in found.items()})
        if row.norm is not None:
            norm = arrays(row.norm)
            size = len(norm["variance"])
            norm.setdefault("gamma", np.ones(size, np.float32))
            norm.setdefault("beta", np.zeros(size, np.float32))
            tensors.update({f"{row.row}/{name}": array for name, array in norm.items()})
    found = arrays(plan.classifier)
    kernel = found.pop("kernel")
    tensors["classifier/weight"] = kernel.reshape(-1, kernel.shape[-1]).T
    classes = np.zeros(kernel.shape[-1], np.float32)
    tensors["classifier/bias"] = found.pop("bias", classes)
    tensors.update({f"classifier/{name}": array for name, array in found.items()})
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
