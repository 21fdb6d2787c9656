from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgedeploy.errors import FileError, UsageError
from edgedeploy.images import open_images
from edgedeploy.training import recipes
from edgedeploy.training.locking import alone
from edgedeploy.training.running import train
from edgedeploy.training.spec import Distillation, EpochRecord
from edgedeploy.types import Family
from edgedeploy.zoo import native_weights
from tests.training.tiny import RECIPE, SPEC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.images import ImageSet


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
    assert [(record.phase, record.epoch) for record in records] == [("main", 1), ("main", 2)]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
    first, second = (_weights(path) for path in paths)
    assert first.labels == ("dark", "light")
    assert first.base_resolution == 32
    np.testing.assert_array_equal(first.tensors["stem/weight"], second.tensors["stem/weight"])
    assert (first.tensors["stem/mean"] != second.tensors["stem/mean"]).any()


@pytest.mark.parametrize("recipe", [recipes.PAPER, recipes.SEED, recipes.BEST])
def test_broken_run_goes_on_as_if_it_had_not_been(
    images: ImageSet, tmp_path: Path, recipe: recipes.Recipe
) -> None:
    spec = replace(SPEC, recipe=replace(recipe, epochs=2, batch=8), fine_tune=2)
    whole = train(images, spec, tmp_path / "whole")
    for phase in ("main", "fine-tune-16"):
        with pytest.raises(KeyboardInterrupt):
            train(images, spec, tmp_path / "broken", epoch_done=_stop_after(phase, 1))
    resumed = train(images, spec, tmp_path / "broken")
    for left, right in zip(whole, resumed, strict=True):
        assert left.read_bytes() == right.read_bytes()


def test_training_killed_in_an_epoch_loses_that_epoch_only(
    images: ImageSet, tmp_path: Path
) -> None:
    spec = replace(SPEC, resolutions=(16,))
    whole = train(images, spec, tmp_path / "whole")
    code = f"""
import os, pathlib, signal, torch
from edgedeploy.images import open_images
from edgedeploy.training.running import train
from tests.training.tiny import SPEC, replace
torch.set_num_threads(1)
kill = lambda done, total: done == 5 and os.kill(os.getpid(), signal.SIGTERM)
train(open_images(pathlib.Path({str(images.source)!r})), replace(SPEC, resolutions=(16,)),
      pathlib.Path({str(tmp_path / "killed")!r}), step=kill)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert done.returncode == -signal.SIGTERM
    records: list[EpochRecord] = []
    resumed = train(images, spec, tmp_path / "killed", epoch_done=records.append)
    assert [record.epoch for record in records] == [2]
    assert resumed[0].read_bytes() == whole[0].read_bytes()


def test_fine_tuning_goes_on_from_the_best_epoch_and_is_never_worse(
    images: ImageSet, tmp_path: Path
) -> None:
    train(images, SPEC, tmp_path)
    records: list[EpochRecord] = []
    steps: list[tuple[int, int]] = []
    paths = train(
        images,
        replace(SPEC, fine_tune=1),
        tmp_path,
        step=lambda done, total: steps.append((done, total)),
        epoch_done=records.append,
    )
    assert [(record.phase, record.epoch) for record in records] == [
        ("fine-tune-32", 0), ("fine-tune-32", 1), ("fine-tune-16", 0), ("fine-tune-16", 1),
    ]  # fmt: skip
    assert [done for done, _ in steps] == [7, 8, 9, 10, 11, 12]
    assert {total for _, total in steps} == {12}
    assert (records[0].loss, records[0].images_per_s) == (None, None)
    assert records[1].learning_rate is not None
    assert records[1].learning_rate < 0.1 * RECIPE.learning_rate
    for path, pair in zip(paths, (records[:2], records[2:]), strict=True):
        best = max(pair, key=lambda record: record.score)
        assert _weights(path).origin["epoch"] == str(best.epoch)


def test_fine_tuned_weights_differ_between_resolutions(images: ImageSet, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=1, learning_rate=0.01, fine_tune_share=1.0)
    folders = [tmp_path / "fine-tune-32", tmp_path / "fine-tune-16"]
    train(images, replace(SPEC, recipe=recipe, fine_tune=1), tmp_path)
    left, right = (
        native_weights.open_safetensors(folder / "last.safetensors")[0] for folder in folders
    )
    assert (left["module/classifier.weight"] != right["module/classifier.weight"]).any()


@pytest.mark.parametrize("family", list(Family))
def test_same_seed_gives_the_same_weights_and_another_one_others(
    images: ImageSet, tmp_path: Path, family: Family
) -> None:
    spec = replace(SPEC, family=family, resolutions=(32,), recipe=replace(RECIPE, epochs=1))
    first, again, other = (
        train(images, replace(spec, seed=seed), tmp_path / name)[0].read_bytes()
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first == again
    assert first != other


def test_speed_is_of_the_training_alone(images: ImageSet, tmp_path: Path) -> None:
    ticks = iter(range(0, 100, 3))  # two readings an epoch, 3 s apart
    records: list[EpochRecord] = []
    train(
        images,
        replace(SPEC, resolutions=(16,)),
        tmp_path,
        epoch_done=records.append,
        clock_ns=lambda: next(ticks) * 1_000_000_000,
    )
    assert [record.images_per_s for record in records] == [6.0, 6.0]


def test_a_distilled_network_differs_and_resumes_with_its_teacher_only(
    images: ImageSet, tmp_path: Path
) -> None:
    spec = replace(SPEC, resolutions=(16,))
    (teacher,) = train(images, spec, tmp_path / "teacher")
    student = replace(spec, distillation=Distillation(teacher=teacher))
    (weights,) = train(images, student, tmp_path / "student")
    assert weights.read_bytes() != teacher.read_bytes()
    hotter = replace(spec, distillation=Distillation(teacher=teacher, temperature=8))
    with pytest.raises(FileError, match=r"a run with temperature = 4\.0, this one has 8"):
        train(images, hotter, tmp_path / "student")


def test_folder_of_another_run_is_refused_with_both_values(
    images: ImageSet, tmp_path: Path
) -> None:
    train(images, SPEC, tmp_path)
    with pytest.raises(FileError, match="holds a run with seed = 1, this one has 7"):
        train(images, replace(SPEC, seed=7), tmp_path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"alpha": 0.1}, r"alpha = 0\.05, this one has 0\.1"),
        ({"family": Family.MOBILENET_V2}, "family = mobilenet_v1, this one has mobilenet_v2"),
    ],
)
def test_folder_of_another_network_is_refused_as_such(
    images: ImageSet, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    train(images, replace(SPEC, resolutions=(16,)), tmp_path)
    with pytest.raises(FileError, match=f"holds a run with {said}") as caught:
        train(images, replace(SPEC, resolutions=(16,), **changed), tmp_path)
    assert "remove" not in caught.value.fix


def test_folder_of_a_run_on_other_classes_is_refused_as_such(
    images: ImageSet, tmp_path: Path
) -> None:
    spec = replace(SPEC, resolutions=(16,))
    train(images, spec, tmp_path)
    more = replace(images, classes={**images.classes, 2: "grey"})
    with pytest.raises(FileError, match=r"classes = \['dark', 'light'\], this one has .*'grey'"):
        train(more, spec, tmp_path)


@pytest.mark.parametrize("key", ["classes", "images_sha256"])
def test_a_checkpoint_that_does_not_say_all_of_its_run_is_another_run(
    images: ImageSet, tmp_path: Path, key: str
) -> None:
    spec = replace(SPEC, resolutions=(16,))
    train(images, spec, tmp_path)

    def forget(about: dict[str, Any]) -> None:
        del about["identity"][key]

    _edited(tmp_path / "last.safetensors", forget)
    with pytest.raises(FileError, match=f"holds a run with {key} = something that it does not say"):
        train(images, spec, tmp_path)


def test_the_best_epoch_is_not_taken_for_the_last(images: ImageSet, tmp_path: Path) -> None:
    spec = replace(SPEC, resolutions=(16,))
    train(images, spec, tmp_path)
    shutil.copy(tmp_path / "best.safetensors", tmp_path / "last.safetensors")
    with pytest.raises(FileError, match=r"last\.safetensors is no checkpoint .*: it has no best"):
        train(images, spec, tmp_path)


def test_a_fine_tuning_of_another_main_phase_is_not_taken(images: ImageSet, tmp_path: Path) -> None:
    spec = replace(SPEC, resolutions=(16,), fine_tune=1)
    train(images, spec, tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        path.unlink()
    train(images, spec, tmp_path)  # the same again goes on from the same weights
    for path in tmp_path.glob("*.safetensors"):
        path.unlink()
    colder = replace(spec, recipe=replace(RECIPE, warmup_epochs=0.0))
    with pytest.raises(FileError, match="fine-tune-16 holds a run with start_sha256 = "):
        train(images, colder, tmp_path)


def test_a_fine_tuning_is_known_by_what_it_started_from(images: ImageSet, tmp_path: Path) -> None:
    spec = replace(SPEC, resolutions=(16,), fine_tune=1)
    train(images, spec, tmp_path)

    def elsewhere(about: dict[str, Any]) -> None:
        about["identity"]["start_sha256"] = "ab"

    _edited(tmp_path / "fine-tune-16" / "last.safetensors", elsewhere)
    with pytest.raises(FileError, match="fine-tune-16 holds a run with start_sha256 = ab, this"):
        train(images, spec, tmp_path)


def test_weights_keep_the_day_of_their_last_epoch(images: ImageSet, tmp_path: Path) -> None:
    spec = replace(SPEC, resolutions=(16,))
    (path,) = train(images, spec, tmp_path, today=lambda: "2026-01-02")
    assert _weights(path).origin["date"] == "2026-01-02"
    written = path.stat().st_mtime_ns
    train(images, spec, tmp_path, today=lambda: "2026-03-04")
    assert _weights(path).origin["date"] == "2026-01-02"
    assert path.stat().st_mtime_ns == written


def test_a_run_that_does_not_know_its_day_gives_none(images: ImageSet, tmp_path: Path) -> None:
    spec = replace(SPEC, resolutions=(16,))
    train(images, spec, tmp_path)

    def forget(about: dict[str, Any]) -> None:
        del about["date"]

    _edited(tmp_path / "last.safetensors", forget)
    (path,) = train(images, spec, tmp_path)
    assert "date" not in _weights(path).origin


def test_folder_of_a_run_on_other_images_is_refused(images: ImageSet, tmp_path: Path) -> None:
    train(images, SPEC, tmp_path)
    with pytest.raises(FileError, match="holds a run with images = 24, this one has 12"):
        train(images.every("i%2==0"), SPEC, tmp_path)


def test_folder_of_a_run_on_as_many_other_images_is_refused(
    images: ImageSet, tmp_path: Path
) -> None:
    train(images.every("i%2==0"), SPEC, tmp_path)
    with pytest.raises(FileError, match="holds a run with images_sha256 = "):
        train(images.every("i%2==1"), SPEC, tmp_path)


def test_two_trainings_in_one_folder_are_not_let_in(images: ImageSet, tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(FileError, match="another training writes to") as caught:
        train(images, SPEC, tmp_path)
    assert "-o" in caught.value.fix
    assert not (tmp_path / "log.jsonl").exists()
    assert len(train(images, SPEC, tmp_path)) == 2


def test_fine_tuned_weights_are_not_written_over_by_others(
    images: ImageSet, tmp_path: Path
) -> None:
    (path,) = train(images, replace(SPEC, fine_tune=1, resolutions=(16,)), tmp_path)
    before = path.read_bytes()
    with pytest.raises(FileError, match="was fine-tuned at 16 pixels"):
        train(images, replace(SPEC, resolutions=(16,)), tmp_path)
    assert path.read_bytes() == before


def test_a_training_that_is_done_adds_no_curves(images: ImageSet, tmp_path: Path) -> None:
    train(images, SPEC, tmp_path)
    there = sorted(path.name for path in tmp_path.iterdir())
    train(images, SPEC, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == there


def test_damaged_checkpoint_is_refused(images: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(FileError, match=r"last\.safetensors is no checkpoint that can be read"):
        train(images, SPEC, tmp_path)


def test_diverged_training_is_told(images: ImageSet, tmp_path: Path) -> None:
    wild = replace(SPEC, recipe=replace(RECIPE, learning_rate=1e30))
    with pytest.raises(UsageError, match="the training diverged in epoch 1") as caught:
        train(images, wild, tmp_path / "runs" / "wild")
    assert "another folder with -o" in caught.value.fix
    assert not (tmp_path / "runs").exists()


def test_images_that_cannot_be_read_leave_no_folder_behind(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(2):
            (tmp_path / "images" / label / f"{i}.png").write_bytes(b"no picture")
    with pytest.raises(FileError, match="is not a picture that can be read"):
        train(open_images(tmp_path / "images"), SPEC, tmp_path / "runs" / "new")
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_in_use_is_told_before_a_picture_is_read(tmp_path: Path) -> None:
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "a" / "0.png").write_bytes(b"no picture")
    with alone(tmp_path / "run"), pytest.raises(FileError, match="another training writes to"):
        train(open_images(tmp_path / "images"), SPEC, tmp_path / "run")


def test_a_failure_leaves_what_was_there(images: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").touch()
    with pytest.raises(UsageError):
        train(images.evenly(2), SPEC, tmp_path / "run")
    assert (tmp_path / "run" / "notes.txt").exists()


def test_unlabelled_images_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(FileError, match="has no class folders"):
        train(open_images(tmp_path), SPEC, tmp_path / "run")


@pytest.mark.parametrize(
    "bad",
    [
        {"held_out": 1.0}, {"resolutions": ()}, {"resolutions": (16, 16)}, {"alpha": -1.0},
        {"fine_tune": -1}, {"tag": "../x"}, {"tag": ""}, {"seed": -1}, {"seed": 10**17},
    ],
)  # fmt: skip
def test_impossible_training_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(SPEC, **bad)


def test_training_needs_no_more_than_two_pictures_of_each(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(2):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / label / f"{i}.png")
    (path,) = train(open_images(tmp_path), replace(SPEC, resolutions=(8,)), tmp_path / "run")
    assert torch.isfinite(torch.from_numpy(_weights(path).tensors["stem/weight"])).all()


def _stop_after(phase: str, epoch: int) -> Any:
    def stop(record: EpochRecord) -> None:
        if (record.phase, record.epoch) == (phase, epoch):
            raise KeyboardInterrupt

    return stop


def _edited(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a checkpoint says of itself."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["edgedeploy"])
    tensors = load_file(path)
    change(about)
    save_file(tensors, path, metadata={"edgedeploy": json.dumps(about)})


def _weights(path: Path) -> Any:
    tensors, metadata = native_weights.open_safetensors(path)
    about = metadata[native_weights.METADATA_KEY]
    assert json.loads(about)["origin"]["held_out_top1"]
    return native_weights.load(tensors, about, source=str(path))
