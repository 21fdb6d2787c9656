from __future__ import annotations

import json
import os
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from edgedeploy.errors import FileError, UsageError
from edgedeploy.zoo.rows import Activation, Padding
from edgedeploy.zoo.weight_files import WeightRequest, read
from tests.zoo import peers
from tests.zoo.peers import V1, V2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras
]
FORMATS = (".h5", ".keras", ".weights.h5")
REQUEST = WeightRequest(family=V1, alpha=0.25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both families in every format: ``v1.h5``, ``v1.keras``, ``v1.weights.h5``, ``v2.h5``, …"""
    made = tmp_path_factory.mktemp("keras")
    for name, family, alpha in (("v1", V1, 0.25), ("v2", V2, 0.35)):
        model = peers.keras_model(family, alpha=alpha, side=32, classifier_activation="softmax")
        model.save(made / f"{name}.h5")
        model.save(made / f"{name}.keras")
        model.save_weights(made / f"{name}.weights.h5")
    return made


@pytest.fixture
def v1(folder: Path, tmp_path: Path) -> Path:
    """A V1 ``.h5`` of its own, to be damaged."""
    return _copied(folder / "v1.h5", tmp_path / "v1.h5")


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_every_format_holds_the_same_weights(folder: Path, name: str) -> None:
    request = REQUEST if name == "v1" else WeightRequest(family=V2, alpha=0.35)
    first, *others = (read(folder / f"{name}{suffix}", request) for suffix in FORMATS)
    assert first.network.classes == 7
    for other in others:
        assert other.network.style.padding == first.network.style.padding
        assert other.network.style.eps == first.network.style.eps == pytest.approx(1e-3)
        assert other.tensors.keys() == first.tensors.keys()
        for tensor, array in first.tensors.items():
            assert np.array_equal(array, other.tensors[tensor])


def test_old_weights_only_file_is_read_in_its_order(v1: Path, tmp_path: Path) -> None:
    wanted = read(v1, REQUEST)
    path = tmp_path / "weights_only.h5"
    _write_old_weights(v1, path, rename=lambda name: name)
    found = read(path, REQUEST)
    assert found.network.style == wanted.network.style
    assert all(np.array_equal(found.tensors[n], wanted.tensors[n]) for n in wanted.tensors)


def test_weights_of_unknown_names_need_a_preset(v1: Path, tmp_path: Path) -> None:
    path = tmp_path / "renamed.h5"
    _write_old_weights(v1, path, rename=lambda name: f"my_{name}")
    with pytest.raises(FileError, match="first convolution is called 'my_conv1'"):
        read(path, REQUEST)
    weights = read(path, WeightRequest(family=V1, alpha=0.25, preset="keras"))
    assert weights.network.style.padding is Padding.BOTTOM_RIGHT


def test_depthwise_kernels_are_turned(folder: Path) -> None:
    weights = read(folder / "v1.h5", REQUEST)
    with h5py.File(folder / "v1.h5") as file:
        kernel = file["model_weights/conv_dw_3/conv_dw_3/kernel"][()]
    assert weights.tensors["block_03/depthwise/weight"].shape == (32, 1, 3, 3)
    assert weights.tensors["block_03/depthwise/weight"][5, 0, 1, 2] == kernel[1, 2, 5, 0]


def test_configuration_decides_activation_and_epsilon(v1: Path) -> None:
    def change(layer: dict[str, Any]) -> None:
        if layer["class_name"] == "ReLU":
            layer["config"]["max_value"] = None
        if layer["class_name"] == "BatchNormalization":
            layer["config"]["epsilon"] = 2e-5

    _edit(v1, change)
    style = read(v1, REQUEST).network.style
    assert style.activation is Activation.RELU
    assert style.eps == 2e-5


def test_activation_that_contradicts_the_file_is_refused(v1: Path) -> None:
    with pytest.raises(UsageError, match="has relu6, --activation says relu"):
        read(v1, WeightRequest(family=V1, alpha=0.25, activation=Activation.RELU))


@pytest.mark.parametrize(
    ("layer", "key", "value", "message"),
    [
        ("conv_pw_3", "kernel_size", [5, 5], "'conv_pw_3'.*5×5 convolution.*1×1 convolution"),
        ("conv_dw_3", "depth_multiplier", 2, "'conv_dw_3'.*depth multiplier 2"),
        ("conv_dw_3", "dilation_rate", [2, 2], "'conv_dw_3'.*dilation"),
        ("conv_dw_3", "data_format", "channels_first", "'conv_dw_3'.*is channels_first"),
        ("conv_dw_3", "strides", [2, 2], "'conv_dw_3'.*stride 2.*stride 1"),
        ("conv_dw_3", "padding", "valid", "'conv_dw_3'.*is padded 0 and 'valid'"),
        ("conv_pw_3", "groups", 2, "'conv_pw_3'.*has 2 groups"),
        ("conv_pw_3", "activation", "gelu", "'conv_pw_3'.*activation 'gelu'"),
        ("conv_pw_3_relu", "negative_slope", 0.1, "'conv_pw_3_relu'.*neither ReLU nor ReLU6"),
        ("conv_pw_3_relu", "max_value", 4.0, "'conv_pw_3_relu'.*neither ReLU nor ReLU6"),
        ("conv_pw_3_relu", "max_value", None, "mixes activations"),
        ("conv_pw_3_bn", "epsilon", 0.5, r"mixes epsilons: 0\.001, 0\.5"),
        ("conv_pw_3_bn", "axis", 1, "'conv_pw_3_bn'.*normalises axis 1"),
        ("conv_pad_4", "padding", [[2, 0], [2, 0]], r"'conv_dw_4'.*is padded \(2, 0\)"),
        ("conv_pad_4", "padding", [[1, 1], [1, 1]], "not padded by one rule"),
        ("predictions", "activation", "sigmoid", "'predictions'.*ends in 'sigmoid'"),
    ],
)
def test_what_rows_cannot_express_is_refused_with_the_layer(
    v1: Path, layer: str, key: str, value: object, message: str
) -> None:
    def change(entry: dict[str, Any]) -> None:
        if entry["config"]["name"] == layer:
            entry["config"][key] = value

    _edit(v1, change)
    with pytest.raises(FileError, match=message):
        read(v1, REQUEST)


def test_layer_of_another_kind_is_refused(v1: Path) -> None:
    def change(entry: dict[str, Any]) -> None:
        if entry["config"]["name"] == "dropout":
            entry["class_name"] = "Attention"

    _edit(v1, change)
    with pytest.raises(FileError, match=r"'dropout' \(Attention\) is of a kind"):
        read(v1, REQUEST)


def test_network_without_its_top_is_refused(tmp_path: Path) -> None:
    model = peers.keras_model(V1, alpha=0.25, side=32, include_top=False, pooling="avg")
    for suffix in FORMATS:
        path = tmp_path / f"no_top{suffix}"
        (model.save_weights if suffix == ".weights.h5" else model.save)(path)
        with pytest.raises(FileError, match="include_top"):
            read(path, REQUEST)


def test_another_architecture_is_refused_by_its_first_foreign_layer(tmp_path: Path) -> None:
    layers = peers.keras().layers
    model = peers.keras().Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    for suffix in (".h5", ".keras"):
        model.save(tmp_path / f"vgg{suffix}")
        with pytest.raises(FileError, match=r"\(MaxPooling2D\) is of a kind"):
            read(tmp_path / f"vgg{suffix}", REQUEST)
    model.save_weights(tmp_path / "vgg.weights.h5")
    with pytest.raises(FileError, match="2 layers with kernels and 0 batch norms"):
        read(tmp_path / "vgg.weights.h5", WeightRequest(family=V1, alpha=0.25, preset="keras"))


def test_model_inside_the_model_is_refused_with_the_way_out(tmp_path: Path) -> None:
    layers = peers.keras().layers
    base = peers.keras_model(V2, alpha=0.35, side=32, include_top=False)
    model = peers.keras().Sequential([base, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    model.save(tmp_path / "nested.keras")
    with pytest.raises(FileError, match="is a model inside the model\n  fix: build on its output"):
        read(tmp_path / "nested.keras", WeightRequest(family=V2, alpha=0.35))


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("name", "request_", "message"),
    [
        (
            "v1",
            WeightRequest(family=V2, alpha=0.35),
            "weights of mobilenet_v1, mobilenet_v2 was asked for",
        ),
        ("v2", REQUEST, "weights of mobilenet_v2, mobilenet_v1 was asked for"),
        ("v1", WeightRequest(family=V1, alpha=0.5), "these weights are α = 0.25"),
    ],
)
def test_other_family_and_other_alpha_are_named(
    folder: Path, suffix: str, name: str, request_: WeightRequest, message: str
) -> None:
    with pytest.raises(FileError, match=message):
        read(folder / f"{name}{suffix}", request_)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_truncated_file_is_one_error(
    folder: Path, tmp_path: Path, suffix: str, share: float
) -> None:
    content = (folder / f"v1{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileError, match="fix: "):
        read(path, REQUEST)


@pytest.mark.parametrize(
    "config", ["{", "[]", "3", '{"config": {"layers": [{}]}}', "[" * 100_000, '{"config": null}']
)
def test_damaged_configuration_is_one_error(v1: Path, config: str) -> None:
    with h5py.File(v1, "r+") as file:
        del file.attrs["model_config"]
        file.attrs["model_config"] = np.bytes_(config[:60_000])
    with pytest.raises(FileError, match="its model configuration cannot be read"):
        read(v1, REQUEST)


def test_archive_without_weights_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "empty.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(FileError, match=r"no Keras file that can be read.*weights"):
        read(path, REQUEST)


@pytest.mark.parametrize("how", ["soft", "external", "raw"])
def test_data_outside_the_file_is_refused(v1: Path, folder: Path, how: str) -> None:
    with h5py.File(v1, "r+") as file:
        group = file["model_weights/conv1/conv1"]
        shape = group["kernel"].shape
        if how == "raw":
            del group["kernel"]
            secret = v1.with_name("secret")
            secret.write_bytes(b"x" * 4 * int(np.prod(shape)))
            external = [(os.fspath(secret), 0, 4 * int(np.prod(shape)))]
            group.create_dataset("kernel", shape, "f4", external=external)
        else:
            del file["model_weights/conv1"]
            target = h5py.SoftLink("/model_weights/conv_pw_1")
            if how == "external":
                target = h5py.ExternalLink(os.fspath(folder / "v1.h5"), "/model_weights/conv1")
            file["model_weights/conv1"] = target
    with pytest.raises(FileError, match="is a link or lies outside the file"):
        read(v1, REQUEST)


def test_quantised_weights_are_refused(v1: Path) -> None:
    with h5py.File(v1, "r+") as file:
        group = file["model_weights/conv1/conv1"]
        kernel = group["kernel"][()]
        del group["kernel"]
        group["kernel"] = kernel.astype(np.int8)
    with pytest.raises(FileError, match=r"is int8.*wanted floating-point"):
        read(v1, REQUEST)


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every layer of the model configuration in an ``.h5``."""
    with h5py.File(path, "r+") as file:
        document = json.loads(file.attrs["model_config"])
        for layer in document["config"]["layers"]:
            change(layer)
        del file.attrs["model_config"]
        file.attrs["model_config"] = json.dumps(document)


def _write_old_weights(source: Path, path: Path, *, rename: Callable[[str], str]) -> None:
    """Write what ``save_weights`` of Keras 2 wrote: names with ``:0``, no configuration."""
    with h5py.File(source) as whole, h5py.File(path, "w") as file:
        names = [str(name) for name in whole["model_weights"].attrs["layer_names"]]
        file.attrs["layer_names"] = [rename(name).encode() for name in names]
        for name in names:
            group = file.create_group(rename(name))
            inner = whole[f"model_weights/{name}"].get(name, {})
            for part in inner:
                old = "depthwise_kernel" if "_dw_" in name and part == "kernel" else part
                group[f"{rename(name)}/{old}:0"] = inner[part][()]


def _copied(source: Path, target: Path) -> Path:
    shutil.copyfile(source, target)
    return target
