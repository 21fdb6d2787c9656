"""What calibration hands on: ranges, equalisation, corrections, and what a budget took."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.runtime.preprocessing import Preprocessing
    from edgedeploy.types import Array


class QdqStyle(enum.Enum):
    """How a backend wants its quantised graph."""

    U8 = "u8"
    """uint8 activations with a zero point, int8 weights, int32 bias: ONNX Runtime and OpenVINO."""
    S8 = "s8"
    """int8 everywhere, zero point 0, float bias: TensorRT."""


def correction_style(style: QdqStyle, x86: str) -> str:
    """Return what corrections for a style are stored under: they depend on the weights' scales.

    Example:
        >>> correction_style(QdqStyle.U8, "any"), correction_style(QdqStyle.U8, "vnni")
        ('u8', 'u8-vnni')
    """
    full = style is QdqStyle.U8 and x86 == "vnni"
    return f"{style.value}-vnni" if full else style.value


@dataclass(frozen=True, slots=True)
class TensorRange:
    """What calibration saw of one activation, and what it chose.

    Attributes:
        min: Smallest value seen.
        max: Largest value seen.
        low: Lower end of the chosen range, ``min <= low`` is not required but usual.
        high: Upper end of the chosen range, ``low < high``.
        method: What chose it, e.g. ``"mse"``; ``""`` where nobody wrote that down.
    """

    min: float
    max: float
    low: float
    high: float
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What one convolution or matrix product is changed by before it is quantised.

    Attributes:
        bias: ``(out channels,)`` float32, added to the bias of the equalised float layer.
        rounding: int8, the weights' shape: added to the nearest integers; None leaves those.
    """

    bias: Array
    rounding: Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What it took to keep INT8 within a budget, in one Q/DQ style.

    Points of top-1 lost are expected ones: the float network's probability of its own answer less
    that of the INT8 answer, so that no labels are needed.

    Attributes:
        images: How many it was measured on.
        before: Points lost with every layer in INT8.
        after: Points lost with ``left_float`` in float.
        changed_before: Answers that INT8 changes, in percent: no loss of top-1 is larger.
        changed_after: The same with ``left_float`` in float.
        left_float: Outputs of the layers left in float, the most harmful first.
        harms: By the output of every layer, the mean KL divergence from the float network's
            answers with that layer alone in INT8, in nats; empty where nobody asked.
    """

    images: int
    before: float
    after: float
    changed_before: float
    changed_after: float
    left_float: tuple[str, ...] = ()
    harms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Ranges of a model's activations, measured on images, with where they come from.

    Attributes:
        model_sha256: The model that they belong to.
        data_digest: SHA-256 over the images asked for; ``""`` where nobody knows them any more.
        data_count: How many images were asked for; 0 where nobody knows.
        method: How ranges were chosen; see `edgedeploy.calibration.measuring.METHODS`.
        side: Height and width that were fed, in pixels.
        preprocessing: What was fed.
        ranges: By ONNX tensor name; of the equalised network.
        versions: Of the libraries that measured.
        equalisation: By ONNX tensor name, ``(channels,)`` float32 above 0: what the channels are
            multiplied by. Tensors that are not named are left as they are.
        corrections: By `correction_style`, then by the layer's output in ONNX.
        steps: What was done beyond ranges; see `edgedeploy.calibration.recipe.STEPS`.
        unreadable: By name in the set, why an image asked for was left out.
        max_drop: How many points of top-1 INT8 may lose; None where no budget was given.
        spending: What keeping to the budget took, by `correction_style`; empty without a budget.
        sha256: Of the file, ``""`` before it is written.
    """

    model_sha256: str
    data_digest: str
    data_count: int
    method: str
    side: tuple[int, int]
    preprocessing: Preprocessing
    ranges: Mapping[str, TensorRange]
    versions: Mapping[str, str]
    equalisation: Mapping[str, Array] = field(default_factory=dict)
    corrections: Mapping[str, Mapping[str, Correction]] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    max_drop: float | None = None
    spending: Mapping[str, Spending] = field(default_factory=dict)
    sha256: str = ""

    @property
    def left_float(self) -> dict[str, tuple[str, ...]]:
        """Outputs of the layers that are not quantised, by `correction_style`, where there are."""
        return {style: s.left_float for style, s in self.spending.items() if s.left_float}
