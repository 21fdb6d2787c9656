from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgedeploy.errors import FileError, UsageError
from edgedeploy.images import open_images
from edgedeploy.training.recipe import EpochRecord, TrainSpec
from edgedeploy.training.running import train
from edgedeploy.types import Family
from edgedeploy.zoo import native_weights

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.images import ImageSet

SPEC = TrainSpec(
    family=Family.MOBILENET_V1,
    alpha=0.05,
    resolutions=(32, 16),
    epochs=2,
    batch=8,
    held_out=0.25,
    warmup_epochs=0.5,
    tag="tiny",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Several threads on maps this small only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Dark and bright noise in two classes; one picture of another size."""
    folder = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(0)
    for label, (low, high) in {"dark": (0, 100), "light": (156, 256)}.items():
        (folder / label).mkdir()
        for i in range(12):
            side = (20, 24) if i == 5 else (16, 16)
            pixels = draw.integers(low, high, (*side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i:02}.png")
    return open_images(folder)


def test_training_writes_one_weight_file_per_resolution(images: ImageSet, tmp_path: Path) -> None:
    records: list[EpochRecord] = []
    steps: list[tuple[int, int]] = []
    paths = train(
        images,
        SPEC,
        tmp_path,
        step=lambda done, total: steps.append((done, total)),
        epoch_done=records.append,
    )
    assert [path.name for path in paths] == [
        "mobilenet_v1_0.05_32_tiny.safetensors",
        "mobilenet_v1_0.05_16_tiny.safetensors",
    ]
    assert steps == [(n, 6) for n in range(1, 7)]
    assert [record.epoch for record in records] == [1, 2]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
    first, second = (_weights(path) for path in paths)
    assert first.labels == ("dark", "light")
    assert first.base_resolution == 32
    np.testing.assert_array_equal(first.tensors["stem/weight"], second.tensors["stem/weight"])
    assert (first.tensors["stem/mean"] != second.tensors["stem/mean"]).any()


def test_broken_run_goes_on_as_if_it_had_not_been(images: ImageSet, tmp_path: Path) -> None:
    def stop(record: EpochRecord) -> None:
        if record.epoch == 1:
            raise KeyboardInterrupt

    whole = train(images, SPEC, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(images, SPEC, tmp_path / "broken", epoch_done=stop)
    resumed = train(images, SPEC, tmp_path / "broken")
    for left, right in zip(whole, resumed, strict=True):
        assert left.read_bytes() == right.read_bytes()


def test_folder_of_another_run_is_refused_with_both_values(
    images: ImageSet, tmp_path: Path
) -> None:
    train(images, SPEC, tmp_path)
    other = TrainSpec(**{**_fields(SPEC), "seed": 7})
    with pytest.raises(FileError, match="holds a run with seed = 1, this one has 7"):
        train(images, other, tmp_path)


def test_damaged_checkpoint_is_refused(images: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(FileError, match=r"last\.pt is no checkpoint that can be read"):
        train(images, SPEC, tmp_path)


def test_diverged_training_is_told(images: ImageSet, tmp_path: Path) -> None:
    wild = TrainSpec(**{**_fields(SPEC), "learning_rate": 1e30})
    with pytest.raises(UsageError, match="the training diverged in epoch 1"):
        train(images, wild, tmp_path)


def test_unlabelled_images_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(FileError, match="has no class folders"):
        train(open_images(tmp_path), SPEC, tmp_path / "run")


@pytest.mark.parametrize(
    "bad", [{"epochs": 0}, {"batch": 1}, {"held_out": 1.0}, {"resolutions": ()}, {"alpha": -1.0}]
)
def test_impossible_recipe_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TrainSpec(**{**_fields(SPEC), **bad})


def _fields(spec: TrainSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in TrainSpec.__dataclass_fields__}


def _weights(path: Path) -> Any:
    tensors, metadata = native_weights.open_safetensors(path)
    about = metadata[native_weights.METADATA_KEY]
    assert json.loads(about)["origin"]["held_out_top1"]
    return native_weights.load(tensors, about, source=str(path))
