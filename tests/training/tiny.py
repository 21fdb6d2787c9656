"""A network that trains in a fraction of a second."""

from __future__ import annotations

from dataclasses import replace

from edgedeploy.training.recipes import BEST
from edgedeploy.training.spec import TrainSpec
from edgedeploy.types import Family

RECIPE = replace(BEST, epochs=2, batch=8, warmup_epochs=0.5)
SPEC = TrainSpec(
    family=Family.MOBILENET_V1,
    alpha=0.05,
    recipe=RECIPE,
    resolutions=(32, 16),
    held_out=0.25,
    tag="tiny",
)
