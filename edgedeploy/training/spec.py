"""What to train, as a value; the phases that make it up; and one line of their log."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import UsageError
from edgedeploy.files import require_word, sha256
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.training.recipes import BEST
from edgedeploy.types import Variant
from edgedeploy.zoo.rows import Activation, Padding, Style

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.training.recipes import Recipe
    from edgedeploy.types import Family

STYLE = Style(activation=Activation.RELU6, padding=Padding.SYMMETRIC, eps=1e-5)
RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3, crop_fraction=1.0)
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """A trained model whose answers are learned beside the labels.

    Attributes:
        teacher: An ONNX model, or a weight file of ``edgedeploy train``.
        temperature: What both networks' logits are divided by; higher ones show more of what the
            teacher thinks of the wrong classes.
        soft_weight: Share of the loss that is the teacher's, 0 to 1; 1 uses no labels at all, as
            section 4.5 of the MobileNet paper does.

    Raises:
        UsageError: The temperature is not above 0, or the share lies outside 0 to 1.

    Source:
        Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network", section 2.
    """

    teacher: Path
    temperature: float = 4.0
    soft_weight: float = 0.9

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise UsageError(
                f"the temperature is {self.temperature}, it must be above 0",
                fix="pass a temperature such as 4",
            )
        if not 0 <= self.soft_weight <= 1:
            raise UsageError(
                f"the teacher's share is {self.soft_weight}, it must lie between 0 and 1",
                fix="pass a share such as 0.9",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """What to train.

    Attributes:
        family: Which line of networks.
        alpha: Width multiplier.
        recipe: How.
        resolutions: Input sides to train for, one drawn per batch; the largest is the base.
        fine_tune: Epochs at each resolution alone, behind the others; 0 for none.
        distillation: The teacher, or None.
        half: Whether the weight files hold their kernels as float16.
        held_out: Share of the images that chooses the best epoch and is never trained on.
        seed: Of weights, order, augmentation, resolutions and split; 0 to 2³² − 1.
        tag: Last part of the files' names.

    Raises:
        UsageError: There is no resolution, a number is out of range, or the tag is no word.
    """

    family: Family
    alpha: float
    recipe: Recipe = BEST
    resolutions: tuple[int, ...] = (112, 96, 80, 64)
    fine_tune: int = 0
    distillation: Distillation | None = None
    half: bool = False
    held_out: float = 0.05
    seed: int = 1
    tag: str = "trained"

    def __post_init__(self) -> None:
        if not self.resolutions or len(set(self.resolutions)) < len(self.resolutions):
            raise UsageError(
                f"the resolutions are {self.resolutions}",
                fix="pass at least one, and each of them once",
            )
        if self.fine_tune < 0:
            raise UsageError(
                f"cannot fine-tune for {self.fine_tune} epochs", fix="pass 0 or more epochs"
            )
        if not 0 < self.held_out < 1:
            raise UsageError(
                f"the held-out share is {self.held_out}, it must lie between 0 and 1",
                fix="pass a share such as 0.05",
            )
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise UsageError(
                f"the seed is {self.seed}, it must lie between 0 and {_LARGEST_SEED}",
                fix="pass a seed such as 1",
            )
        require_word(self.tag)
        for resolution in self.resolutions:
            Variant(self.family, self.alpha, resolution)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of training with one schedule, resumed on its own.

    Attributes:
        name: What its log and its folder are called; ``"main"`` is the first.
        recipe: With this phase's epochs and rates.
        resolutions: One of them is drawn per batch.
        key: What its random draws are told from those of the other phases by.
    """

    name: str
    recipe: Recipe
    resolutions: tuple[int, ...]
    key: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One line of the training log.

    Attributes:
        phase: Name of the phase.
        epoch: From 1; 0 is what a fine-tuning started from.
        epochs: How many the phase has.
        loss: Mean training loss; None for epoch 0, in which nothing was trained.
        learning_rate: Of the epoch's last step; None for epoch 0.
        images_per_s: Trained on, the held-out ones not counted; None for epoch 0.
        held_out_top1: Share of held-out images that are right, by resolution.
    """

    phase: str
    epoch: int
    epochs: int
    loss: float | None
    learning_rate: float | None
    images_per_s: float | None
    held_out_top1: dict[int, float]

    @property
    def score(self) -> float:
        """What the best epoch is chosen by: the mean over the resolutions."""
        return sum(self.held_out_top1.values()) / len(self.held_out_top1)


def main_phase(spec: TrainSpec) -> Phase:
    """Return the phase that trains one network for all resolutions."""
    return Phase(name="main", recipe=spec.recipe, resolutions=spec.resolutions)


def fine_tuning_name(resolution: int) -> str:
    """Return the name of a fine-tuning, and of its folder in that of the run."""
    return f"fine-tune-{resolution}"


def fine_tuning(spec: TrainSpec, resolution: int) -> Phase:
    """Return the phase that goes on from the best epoch at one resolution, at a lower rate."""
    recipe = replace(
        spec.recipe,
        epochs=spec.fine_tune,
        learning_rate=spec.recipe.learning_rate * spec.recipe.fine_tune_share,
        warmup_epochs=0.0,
    )
    return Phase(
        name=fine_tuning_name(resolution),
        recipe=recipe,
        resolutions=(resolution,),
        key=1000 * resolution,
    )


def identity(spec: TrainSpec, phase: Phase) -> dict[str, Any]:
    """Return, as flat JSON values, what a phase can only be resumed with.

    Raises:
        FileError: The teacher cannot be read.
    """
    recipe = asdict(phase.recipe)
    teacher = spec.distillation
    return {
        "family": spec.family.value,
        "alpha": spec.alpha,
        "seed": spec.seed,
        "held_out": spec.held_out,
        "resolutions": list(phase.resolutions),
        "recipe": recipe.pop("name"),
        "optimiser": recipe.pop("optimiser").value,
        "schedule": recipe.pop("schedule").value,
        **recipe,
        "teacher_sha256": None if teacher is None else sha256(teacher.teacher),
        "temperature": None if teacher is None else teacher.temperature,
        "soft_weight": None if teacher is None else teacher.soft_weight,
    }
