"""The recipes a network can be trained by: frozen values, each with its source."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace

from edgedeploy.errors import UnknownNameError, UsageError


class Optimiser(enum.Enum):
    """What turns gradients into steps."""

    SGD = "sgd"
    """Stochastic gradient descent with Nesterov momentum."""
    RMSPROP = "rmsprop"
    ADAM = "adam"


class Schedule(enum.Enum):
    """How the learning rate falls behind the warm-up."""

    COSINE = "cosine"
    STAIRCASE = "staircase"
    """By the same factor, `Recipe.decays` times, evenly spaced over the run."""
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train: everything that is not the network, the data or the seed.

    Attributes:
        name: What the command line calls it.
        optimiser: What turns gradients into steps.
        learning_rate: Peak, reached after ``warmup_epochs``.
        schedule: What follows the warm-up.
        epochs: Passes over the training images.
        batch: Images per step.
        warmup_epochs: Epochs of linear warm-up; 0 for none.
        decays: Steps of the staircase over the whole run.
        decay_rate: Factor of each of them.
        momentum: Of SGD and RMSprop.
        smoothing: Decay of RMSprop's mean of squared gradients.
        epsilon: What RMSprop and Adam add to the root of it.
        weight_decay: On the kernels of dense convolutions and the classifier; none on depthwise
            kernels (MobileNet paper, section 3.2), batch norm and biases.
        label_smoothing: Weight of the uniform distribution in the target.
        shift: By how much of its side a picture is shifted at most, in either direction; half of
            the pictures are mirrored as well.
        fine_tune_share: Peak of the fine-tuning at one resolution, over ``learning_rate``.

    Raises:
        UsageError: It trains nothing: no epoch, a batch below 2, a rate that is not above 0.
    """

    name: str
    optimiser: Optimiser
    learning_rate: float
    schedule: Schedule
    epochs: int
    batch: int
    warmup_epochs: float = 0.0
    decays: int = 0
    decay_rate: float = 1.0
    momentum: float = 0.0
    smoothing: float = 0.0
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    shift: float = 0.0
    fine_tune_share: float = 0.1

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2:
            raise UsageError(
                f"cannot train {self.epochs} epochs of batch {self.batch}",
                fix="pass at least 1 epoch and a batch of at least 2",
            )
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(
                f"the learning rate is {self.learning_rate}, it must be above 0",
                fix="pass a rate such as 0.1, or leave it to the recipe",
            )

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of one step, counted from 0 over the whole run."""
        warmup = round(self.warmup_epochs * steps_per_epoch)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        share = (step - warmup) / max(1, self.epochs * steps_per_epoch - warmup)
        if self.schedule is Schedule.COSINE:
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
        if self.schedule is Schedule.STAIRCASE:
            return self.learning_rate * self.decay_rate ** int(self.decays * share)
        return self.learning_rate


PAPER = Recipe(
    name="paper",
    optimiser=Optimiser.RMSPROP,
    learning_rate=0.045,
    schedule=Schedule.STAIRCASE,
    epochs=30,
    batch=96,
    decays=50,
    decay_rate=0.94,
    momentum=0.9,
    smoothing=0.9,
    epsilon=1.0,
    weight_decay=4e-5,
    shift=1 / 16,
)
"""What the MobileNet paper says, and where it is silent the numbers of its authors' code.

The paper: RMSprop "similar to Inception V3", no label smoothing, light augmentation, no weight
decay on depthwise kernels, one recipe for all sizes. Ours: a shift by a sixteenth for its larger
crops; gradients of one machine, not of many that do not wait; 30 epochs, over which Inception V3's
50 decays of 100 epochs are spread. torch adds ε behind the root and starts the mean square at 0,
TensorFlow before it and at 1; at ε = 1 both are close to SGD with momentum.

Source:
    Howard et al. 2017, arXiv 1704.04861, section 3.2. Rate, decay 0.9, ε 1.0 and 0.94 every two of
    100 epochs: Szegedy et al. 2015, arXiv 1512.00567, section 8. Momentum 0.9, the same decay and
    ε, weight decay 4e-5: TF-Slim, train_image_classifier.py; rate 0.045 with batch 96:
    TF-Slim, nets/mobilenet/README.md.
"""

SEED = Recipe(
    name="seed",
    optimiser=Optimiser.ADAM,
    learning_rate=1e-4,
    schedule=Schedule.CONSTANT,
    epochs=30,
    batch=256,
    shift=1 / 16,
)
"""Adam at a constant 1e-4 with batch 256, all else plain: the baseline that the others must beat.

Pictures are augmented as in `PAPER`, so that the two differ in their steps only. β and ε are
Adam's own.

Source:
    This project's first notes; Kingma and Ba 2014, arXiv 1412.6980, for β = (0.9, 0.999), ε 1e-8.
"""

BEST = Recipe(
    name="best",
    optimiser=Optimiser.SGD,
    learning_rate=0.1,
    schedule=Schedule.COSINE,
    epochs=30,
    batch=128,
    warmup_epochs=1.0,
    momentum=0.9,
    weight_decay=1e-4,
    label_smoothing=0.1,
    shift=1 / 8,
)
"""SGD with Nesterov momentum, a short warm-up and cosine decay: what the shipped models had.

Source:
    Loshchilov and Hutter 2016, arXiv 1608.03983 (cosine); Goyal et al. 2017, arXiv 1706.02677
    (warm-up); shifts by 4 of 32 pixels: He et al. 2015, arXiv 1512.03385, section 4.2.
"""

RECIPES = {recipe.name: recipe for recipe in (PAPER, SEED, BEST)}


def get(name: str) -> Recipe:
    """Return the recipe called ``name``.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, tuple(RECIPES))
    return RECIPES[name]


def adjusted(
    recipe: Recipe,
    *,
    epochs: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
) -> Recipe:
    """Return ``recipe`` with the numbers that are given; None keeps the recipe's own.

    Raises:
        UsageError: One of them is out of range.
    """
    return replace(
        recipe,
        epochs=recipe.epochs if epochs is None else epochs,
        batch=recipe.batch if batch is None else batch,
        learning_rate=recipe.learning_rate if learning_rate is None else learning_rate,
    )
