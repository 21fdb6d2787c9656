"""The recipe as a value: what is drawn, how long, how fast; and one line of the log."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import UsageError
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.types import Variant
from edgedeploy.zoo.rows import Activation, Padding, Style

if TYPE_CHECKING:
    from edgedeploy.types import Family

STYLE = Style(activation=Activation.RELU6, padding=Padding.SYMMETRIC, eps=1e-5)
RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3, crop_fraction=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """The recipe: SGD with Nesterov momentum, linear warm-up, cosine decay, label smoothing.

    Attributes:
        family: Which line of networks.
        alpha: Width multiplier.
        resolutions: Input sides to train for, one drawn per batch; the largest is the base.
        epochs: Passes over the training images.
        batch: Images per step.
        learning_rate: Peak, reached after ``warmup_epochs``.
        warmup_epochs: Epochs of linear warm-up.
        momentum: Nesterov momentum.
        weight_decay: On the kernels of dense convolutions and the classifier; none on depthwise
            kernels (MobileNet paper, section 3.3) and batch norm.
        label_smoothing: Weight of the uniform distribution in the target.
        held_out: Share of the images that chooses the best epoch and is never trained on.
        seed: Of weights, order, augmentation, resolutions and split.
        tag: Last part of the files' names.
    """

    family: Family
    alpha: float
    resolutions: tuple[int, ...] = (112, 96, 80, 64)
    epochs: int = 30
    batch: int = 128
    learning_rate: float = 0.1
    warmup_epochs: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    held_out: float = 0.05
    seed: int = 1
    tag: str = "trained"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or not self.resolutions:
            raise UsageError(
                f"cannot train {self.epochs} epochs of batch {self.batch} at {self.resolutions}",
                fix="pass at least 1 epoch, a batch of at least 2 and one resolution",
            )
        if not 0 < self.held_out < 1:
            raise UsageError(
                f"the held-out share is {self.held_out}, it must lie between 0 and 1",
                fix="pass a share such as 0.05",
            )
        for resolution in self.resolutions:
            Variant(self.family, self.alpha, resolution)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One line of the training log.

    Attributes:
        epoch: From 1.
        loss: Mean training loss.
        held_out_top1: Share of held-out images that are right, by resolution.
    """

    epoch: int
    loss: float
    held_out_top1: dict[int, float]

    @property
    def score(self) -> float:
        """What the best epoch is chosen by: the mean over the resolutions."""
        return sum(self.held_out_top1.values()) / len(self.held_out_top1)


def learning_rate(spec: TrainSpec, step: int, steps_per_epoch: int) -> float:
    """Return the rate of one step, counted from 0 over the whole run."""
    warmup = max(1, round(spec.warmup_epochs * steps_per_epoch))
    if step < warmup:
        return spec.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, spec.epochs * steps_per_epoch - warmup)
    return spec.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def to_json(spec: TrainSpec) -> dict[str, Any]:
    """Return the recipe as JSON values: what a run is resumed by, and weights say of themselves."""
    return {**asdict(spec), "family": spec.family.value, "resolutions": list(spec.resolutions)}
