"""One phase of training: epoch by epoch, each kept, so that a killed run loses at most one."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from edgedeploy.errors import FileError, UsageError
from edgedeploy.files import sha256, write_atomically
from edgedeploy.training import checkpoints, optimisers
from edgedeploy.training.data import augmented, scaled_input
from edgedeploy.training.spec import EpochRecord, identity
from edgedeploy.training.teaching import distilled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.training.data import Data
    from edgedeploy.training.spec import Phase, TrainSpec
    from edgedeploy.training.teaching import Teacher
    from edgedeploy.zoo.torch_module import NetworkModule

_NORM_IMAGES = 10_000
LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What all phases of a run share.

    Attributes:
        spec: What to train.
        module: The network, changed in place.
        data: Pictures and labels, on the module's device.
        teacher: What it learns from beside the labels, or None.
        clock_ns: Monotonic clock in nanoseconds.
        today: Returns the day, UTC, as ``"2026-11-22"``.
    """

    spec: TrainSpec
    module: NetworkModule
    data: Data
    teacher: Teacher | None
    clock_ns: Callable[[], int]
    today: Callable[[], str]

    @property
    def batches(self) -> int:
        """Steps per epoch; a last batch of one picture is left out: batch norm needs two."""
        whole, rest = divmod(len(self.data.train), self.spec.recipe.batch)
        return whole + (rest > 1)


class Run:
    """The state that an epoch changes: weights, momentum, the best score so far.

    Args:
        setup: What all phases share.
        phase: This one.
        folder: Of this phase.
        start: The checkpoint that it goes on from; None: from nothing.

    Attributes:
        epoch: Epochs done.
        date: Day of the last of them, UTC; None where its checkpoint does not say.
    """

    def __init__(self, setup: Setup, phase: Phase, folder: Path, start: Path | None = None) -> None:
        self.epoch = 0
        self.date: str | None = None
        self._setup, self._phase, self._folder = setup, phase, folder
        self._best, self._log = -1.0, ""
        self._identity = identity(setup.spec, phase) | {
            "classes": list(setup.data.classes),
            "images": len(setup.data.labels),
            "images_sha256": setup.data.digest,
        }
        if start is not None:
            self._identity["start_sha256"] = sha256(start)
        self._optimiser = optimisers.make(setup.module, phase.recipe)
        self._loss = torch.nn.CrossEntropyLoss(label_smoothing=phase.recipe.label_smoothing)

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch so far."""
        return self._folder / BEST

    def resume(self) -> bool:
        """Load the last whole epoch, and return whether there is one.

        Raises:
            FileError: The folder holds another run, or is damaged.
        """
        last = self._folder / LAST
        if not last.exists():
            return False
        about = checkpoints.about(last)
        missing = {"identity", "epoch", "best", "log"} - about.keys()
        if missing:
            raise checkpoints.unreadable(last, f"it has no {min(missing)}")
        self._require_same(dict(about["identity"]))
        checkpoints.load(last, self._setup.module, self._optimiser)
        self.epoch, self._best, self._log = about["epoch"], about["best"], about["log"]
        self.date = about.get("date")
        return True

    def _require_same(self, theirs: dict[str, Any]) -> None:
        for key, ours in self._identity.items():
            their = theirs.get(key, "something that it does not say")
            if their != ours:
                raise FileError(
                    f"{self._folder} holds a run with {key} = {_short(their)}, "
                    f"this one has {_short(ours)}",
                    fix="choose another folder with -o, or go on with the same options",
                )

    def begin(self, start: Path) -> EpochRecord:
        """Take over another phase's best epoch, which is epoch 0 here and may stay the best."""
        checkpoints.load(start, self._setup.module)
        (resolution,) = self._phase.resolutions
        measure_norms(self._setup, resolution)
        return self._record(0, None)

    def train_epoch(self, step: Callable[[], None]) -> EpochRecord:
        """Train one more epoch; ``step`` is called after every batch.

        Raises:
            UsageError: The loss is no number any more.
        """
        recipe, data = self._phase.recipe, self._setup.data
        # one generator an epoch, so that a resumed run draws what an unbroken one would have
        seed = self._setup.spec.seed * 100_003 + self._phase.key + self.epoch
        draw = torch.Generator().manual_seed(seed)
        order = data.train[torch.randperm(len(data.train), generator=draw)]
        batches = torch.split(order, recipe.batch)[: self._setup.batches]
        losses = torch.zeros((), dtype=torch.float64, device=data.images.device)
        self._setup.module.train()
        start, rate = self._setup.clock_ns(), 0.0
        for number, positions in enumerate(batches):
            rate = recipe.rate(self.epoch * len(batches) + number, len(batches))
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            losses += self._step(positions, draw)
            step()
        loss = float(losses) / len(batches)
        seconds = (self._setup.clock_ns() - start) / 1e9
        if not math.isfinite(loss):
            raise UsageError(
                f"the training diverged in epoch {self.epoch + 1}: the loss is {loss}",
                fix="pass a lower --learning-rate, and another folder with -o",
            )
        trained = {
            "loss": loss,
            "learning_rate": rate,
            "images_per_s": sum(map(len, batches)) / seconds if seconds > 0 else None,
        }
        return self._record(self.epoch + 1, trained)

    def save(self, record: EpochRecord) -> None:
        """Keep an epoch; the file that a run is resumed from is written last."""
        self.epoch, self.date = record.epoch, self._setup.today()
        self._log += json.dumps(asdict(record)) + "\n"
        module = self._setup.module
        if record.score > self._best:
            self._best = record.score
            checkpoints.save(self.best, module, about={"epoch": record.epoch})
        write_atomically(self._folder / LOG, self._log.encode())
        about = {
            "identity": self._identity,
            "epoch": self.epoch,
            "date": self.date,
            "best": self._best,
            "log": self._log,
        }
        checkpoints.save(self._folder / LAST, module, optimiser=self._optimiser, about=about)

    def _step(self, positions: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
        """Train on one batch and return its loss, a scalar on the device."""
        data, resolutions = self._setup.data, self._phase.resolutions
        choice = int(torch.randint(len(resolutions), (), generator=draw))
        positions = positions.to(data.images.device)
        pictures = augmented(data.images[positions], draw, self._phase.recipe.shift)
        logits = self._setup.module(scaled_input(pictures, resolutions[choice]))
        loss: torch.Tensor = self._loss(logits, data.labels[positions])
        distillation = self._setup.spec.distillation
        if distillation is not None and self._setup.teacher is not None:
            loss = distilled(
                loss,
                logits,
                self._setup.teacher(pictures),
                temperature=distillation.temperature,
                soft_weight=distillation.soft_weight,
            )
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._optimiser.step()
        return loss.detach()

    def _record(self, epoch: int, trained: dict[str, Any] | None) -> EpochRecord:
        top1 = {side: held_out_top1(self._setup, side) for side in self._phase.resolutions}
        nothing = {"loss": None, "learning_rate": None, "images_per_s": None}
        return EpochRecord(
            phase=self._phase.name,
            epoch=epoch,
            epochs=self._phase.recipe.epochs,
            held_out_top1=top1,
            **(trained or nothing),
        )


def _short(value: object) -> str:
    """Return a value of an identity as words; of many class names the first ones."""
    if isinstance(value, list) and len(value) > 5:
        return f"{', '.join(map(str, value[:4]))}, … ({len(value)})"
    return str(value)


def held_out_top1(setup: Setup, resolution: int) -> float:
    """Return the share of held-out images that the module gets right at one resolution."""
    data = setup.data
    setup.module.eval()
    right = torch.zeros((), dtype=torch.int64, device=data.images.device)
    with torch.inference_mode():
        for positions in torch.split(data.held_out.to(data.images.device), 256):
            logits = setup.module(scaled_input(data.images[positions], resolution))
            right += (logits.argmax(1) == data.labels[positions]).sum()
    return int(right) / len(data.held_out)


def measure_norms(setup: Setup, resolution: int) -> None:
    """Replace batch norm's running statistics, mixed over all resolutions, by those of one.

    The images are augmented as in training: the zeros that shifting brings in are part of what
    the network has seen, and statistics without them cost points.

    Source:
        Yu and Huang 2019, "Universally Slimmable Networks", section 3.2 (post-statistics).
    """
    spec, data = setup.spec, setup.data
    norms = [m for m in setup.module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momentum = norms[0].momentum
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    draw = torch.Generator().manual_seed(spec.seed)
    chosen = data.train[torch.randperm(len(data.train), generator=draw)]
    setup.module.train()
    with torch.inference_mode():
        for positions in torch.split(chosen[:_NORM_IMAGES], spec.recipe.batch):
            if len(positions) > 1:
                pictures = data.images[positions.to(data.images.device)]
                batch = augmented(pictures, draw, spec.recipe.shift)
                setup.module(scaled_input(batch, resolution))
    for norm in norms:
        norm.momentum = momentum
