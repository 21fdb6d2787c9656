from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from edgedeploy.training.events import curves
from edgedeploy.training.running import train
from edgedeploy.training.spec import EpochRecord
from tests.training.tiny import SPEC

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.images import ImageSet

RECORD = EpochRecord(
    phase="main",
    epoch=1,
    epochs=3,
    loss=0.5,
    learning_rate=0.25,
    images_per_s=64.0,
    held_out_top1={32: 0.75, 16: 0.5},
)


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    with curves(tmp_path, next_epoch=1) as add:
        add(RECORD)
        add(replace(RECORD, epoch=2, loss=0.125))
    assert _read(tmp_path) == {
        "loss/train": [(1, 0.5), (2, 0.125)],
        "learning_rate": [(1, 0.25), (2, 0.25)],
        "images_per_s": [(1, 64.0), (2, 64.0)],
        "held_out_top1/32": [(1, 0.75), (2, 0.75)],
        "held_out_top1/16": [(1, 0.5), (2, 0.5)],
    }


def test_an_epoch_is_on_disk_before_the_run_ends(tmp_path: Path) -> None:
    with curves(tmp_path, next_epoch=1) as add:
        add(RECORD)
        assert _read(tmp_path)["loss/train"] == [(1, 0.5)]


def test_an_epoch_that_is_done_again_is_shown_once(tmp_path: Path) -> None:
    with curves(tmp_path, next_epoch=1) as add:
        add(RECORD)
        add(replace(RECORD, epoch=2))
    with curves(tmp_path, next_epoch=2) as add:
        add(replace(RECORD, epoch=2, loss=0.25))
    assert _read(tmp_path)["loss/train"] == [(1, 0.5), (2, 0.25)]


def test_numbers_that_an_epoch_does_not_have_are_left_out(tmp_path: Path) -> None:
    with curves(tmp_path, next_epoch=0) as add:
        add(replace(RECORD, epoch=0, loss=None, learning_rate=None, images_per_s=None))
    assert set(_read(tmp_path)) == {"held_out_top1/32", "held_out_top1/16"}


def test_a_run_writes_the_curves_of_every_phase(images: ImageSet, tmp_path: Path) -> None:
    train(images, replace(SPEC, resolutions=(16,), fine_tune=1), tmp_path)
    main, tuned = _read(tmp_path), _read(tmp_path / "fine-tune-16")
    assert [step for step, _ in main["loss/train"]] == [1, 2]
    assert [step for step, _ in tuned["held_out_top1/16"]] == [0, 1]
    assert main["learning_rate"][0][1] > main["learning_rate"][1][1] > 0


def _read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }
