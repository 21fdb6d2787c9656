from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from edgedeploy.exporting.network import emit
from edgedeploy.images import open_images
from edgedeploy.runtime.preprocessing import fit, normalise
from edgedeploy.zoo import networks, presets
from edgedeploy.zoo.random_weights import random
from edgedeploy.zoo.rows import Activation, Padding
from edgedeploy.zoo.weight_files import WeightRequest, read
from tests.zoo import peers
from tests.zoo.peers import STYLE, V1, V2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedeploy.types import Array, Family

TOLERANCE = 1e-4
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras
]


@pytest.mark.parametrize("family", [V1, V2])
@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("resolution", [33, 97])
def test_onnx_computes_what_the_torch_module_computes(
    family: Family, padding: Padding, resolution: int
) -> None:
    activation = Activation.RELU if resolution == 33 else Activation.RELU6
    style = replace(STYLE, padding=padding, activation=activation)
    weights = random(networks.network(family, alpha=0.35, classes=9, style=style), seed=1)
    batch = peers.images(2, resolution)
    found = peers.run_onnx(emit(weights, resolution), batch)
    assert peers.relative_error(found, peers.run_torch(weights, batch)) <= TOLERANCE


def test_paddings_differ_on_odd_maps_only_where_they_should() -> None:
    same = replace(STYLE, padding=Padding.SAME)
    corner = replace(STYLE, padding=Padding.BOTTOM_RIGHT)
    network = networks.network(V1, alpha=0.25, classes=5, style=same)
    weights = random(network, seed=2)
    other = replace(weights, network=networks.network(V1, alpha=0.25, classes=5, style=corner))
    for resolution, equal in ((64, True), (97, False)):
        batch = peers.images(1, resolution)
        first, second = (peers.run_onnx(emit(w, resolution), batch) for w in (weights, other))
        assert np.allclose(first, second, atol=1e-5) is equal


@dataclass(frozen=True)
class KerasCase:
    """One set of weights as Keras models of several sides, and saved in every format."""

    family: Family
    alpha: float
    models: dict[int, Any]
    files: tuple[Path, ...]


@pytest.fixture(scope="module")
def keras_cases(tmp_path_factory: pytest.TempPathFactory) -> list[KerasCase]:
    folder = tmp_path_factory.mktemp("keras")
    cases = []
    for family, alpha, sides in ((V1, 0.25, (64, 97)), (V1, 0.5, (97,)), (V2, 0.35, (64, 97))):
        models = {side: peers.keras_model(family, alpha=alpha, side=side) for side in sides}
        files = []
        for side, model in models.items():
            for suffix in (".h5", ".keras", ".weights.h5"):
                path = folder / f"{family.value}_{alpha}_{side}{suffix}"
                (model.save_weights if suffix == ".weights.h5" else model.save)(path)
                files.append(path)
        cases.append(KerasCase(family, alpha, models, tuple(files)))
    return cases


@pytest.mark.parametrize("case", range(3))
def test_onnx_computes_what_keras_computes_from_every_file_at_every_side(
    keras_cases: list[KerasCase], case: int
) -> None:
    family, alpha = keras_cases[case].family, keras_cases[case].alpha
    wanted = {
        side: peers.run_keras(model, peers.images(2, side))
        for side, model in keras_cases[case].models.items()
    }
    for path in keras_cases[case].files:
        weights = read(path, WeightRequest(family=family, alpha=alpha))
        assert weights.preprocessing == presets.get("keras").preprocessing
        for side, logits in wanted.items():
            found = peers.run_onnx(emit(weights, side), peers.images(2, side))
            assert peers.relative_error(found, logits) <= TOLERANCE, f"{path.name} at {side}"


@pytest.fixture(scope="module")
def pictures(shared: Path) -> list[Array]:
    """A hundred of the labelled pictures, every fifth."""
    kept = open_images(shared / "imagenet-500.zip").every("i%5==0")
    return [frame for _, frame in kept.pictures()]


@pytest.fixture(scope="module")
def all_pictures(shared: Path) -> list[Array]:
    return [frame for _, frame in open_images(shared / "imagenet-500.zip").pictures()]


def test_rows_compute_what_the_published_network_computes(
    shared: Path, pictures: list[Array]
) -> None:
    _compare_with_published(shared, "mobilenet_v1_0.25_224_imagenet", V1, 0.25, pictures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "family", "alpha"),
    [
        ("mobilenet_v1_0.25_224_imagenet", V1, 0.25),
        ("mobilenet_v1_0.50_160_imagenet", V1, 0.5),
        ("mobilenet_v1_0.75_192_imagenet", V1, 0.75),
        ("mobilenet_v1_1.00_224_imagenet", V1, 1.0),
        ("mobilenet_v2_1.00_224_imagenet", V2, 1.0),
    ],
)
def test_rows_compute_what_every_published_network_computes(
    shared: Path, all_pictures: list[Array], name: str, family: Family, alpha: float
) -> None:
    _compare_with_published(shared, name, family, alpha, all_pictures)


def _compare_with_published(
    shared: Path, name: str, family: Family, alpha: float, pictures: list[Array]
) -> None:
    path = shared / "weights" / "onnx" / f"{name}.onnx"
    resolution = int(name.split("_")[3])
    ours = emit(peers.from_published_onnx(path, family, alpha), resolution)
    theirs = peers.published_logits(path)
    run_ours, run_theirs = peers.session(ours), peers.session(theirs)
    for batch in _batches(pictures, resolution):
        found, wanted = run_ours(batch), run_theirs(batch)
        assert peers.relative_error(found, wanted) <= TOLERANCE
        assert (found.argmax(1) == wanted.argmax(1)).all()


def _batches(pictures: list[Array], resolution: int) -> Iterator[Array]:
    rule = presets.get("keras").preprocessing
    for start in range(0, len(pictures), 25):
        pixels = [fit(frame, (resolution, resolution), rule) for frame in pictures[start:][:25]]
        yield normalise(np.stack(pixels), rule)


def test_real_keras_checkpoint_predicts_the_labelled_images(
    shared: Path, pictures: list[Array]
) -> None:
    path = shared / "weights" / "keras" / "mobilenet_v1_0.25_224_imagenet.h5"
    weights = read(path, WeightRequest(family=V1, alpha=0.25))
    kept = open_images(shared / "imagenet-500.zip").every("i%5==0")
    run = peers.session(emit(weights, 224))
    answers = np.concatenate([run(batch).argmax(1) for batch in _batches(pictures, 224)])
    assert (answers == np.array(kept.labels)).mean() >= 0.5


@pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning")  # Keras
def test_visual_wake_words_checkpoint_is_computed_as_keras_computes_it(shared: Path) -> None:
    path = shared / "weights" / "keras" / "mobilenet_v1_0.25_96_vww.h5"
    weights = read(path, WeightRequest(family=V1, alpha=0.25, base_resolution=96))
    assert weights.network.style.activation is Activation.RELU
    assert weights.network.style.padding is Padding.SAME
    assert weights.network.classes == 2
    assert weights.preprocessing is None  # the file does not say, and it is no Keras application
    batch = peers.images(4, 96)
    logits = peers.run_onnx(emit(weights, 96), batch)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    model = peers.load_keras_2(path)
    assert peers.relative_error(chances, peers.run_keras(model, batch)) <= TOLERANCE


def test_exported_graph_is_valid_and_has_a_free_batch() -> None:
    weights = random(networks.network(V2, alpha=0.35, classes=3, style=STYLE), seed=0)
    model = emit(weights, 33)
    onnx.checker.check_model(model, full_check=True)
    for count in (1, 5):
        assert peers.run_onnx(model, peers.images(count, 33)).shape == (count, 3)
