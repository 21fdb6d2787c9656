"""TensorBoard's event files: the log's numbers as curves."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgedeploy.optional import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgedeploy.training.spec import EpochRecord


@contextmanager
def curves(folder: Path, *, next_epoch: int) -> Iterator[Callable[[EpochRecord], None]]:
    """Yield what adds an epoch to an event file in ``folder``, on disk at once.

    The file is made with the first epoch: a phase that ends before it leaves none.

    Args:
        folder: Of the phase; TensorBoard shows each such folder as a run.
        next_epoch: The first epoch that will be added. An event of it or of a later one that a
            run left which was killed before its checkpoint is no longer shown.

    Raises:
        MissingDependencyError: tensorboard is not installed.
    """
    with needs("tensorboard", extra="train"):
        from torch.utils.tensorboard import SummaryWriter

    writers: list[SummaryWriter] = []

    def add(record: EpochRecord) -> None:
        if not writers:
            writers.append(SummaryWriter(str(folder), purge_step=next_epoch))
        (writer,) = writers
        numbers = {
            "loss/train": record.loss,
            "learning_rate": record.learning_rate,
            "images_per_s": record.images_per_s,
            **{f"held_out_top1/{side}": top1 for side, top1 in record.held_out_top1.items()},
        }
        for name, value in numbers.items():
            if value is not None:
                writer.add_scalar(name, value, record.epoch)
        writer.flush()

    try:
        yield add
    finally:
        for writer in writers:
            writer.close()
