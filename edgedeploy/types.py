"""The nouns: small frozen values that the stages hand to each other. Read this file first."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from edgedeploy.errors import UnknownNameError, UsageError

Array = npt.NDArray[Any]

_VARIANT_NAME = re.compile(r"^(mobilenet_v[12])_(\d+\.\d\d)_(\d+)(?:_(.+))?$")


class Precision(enum.Enum):
    """What was asked of a backend; the manifest also says what really runs."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"


class Family(enum.Enum):
    """A line of networks that differ in width and resolution only."""

    MOBILENET_V1 = "mobilenet_v1"
    MOBILENET_V2 = "mobilenet_v2"

    @classmethod
    def parse(cls, name: str) -> Family:
        """Return the family called ``name``.

        Raises:
            UnknownNameError: There is no such family.
        """
        try:
            return cls(name)
        except ValueError as error:
            raise UnknownNameError("family", name, [family.value for family in cls]) from error


@dataclass(frozen=True, slots=True)
class Variant:
    """One member of the grid: a family, a width multiplier and an input side.

    Attributes:
        family: Which line of networks.
        alpha: Width multiplier α > 0.
        resolution: Input side in pixels.

    Raises:
        UsageError: α or the resolution is not positive.
    """

    family: Family
    alpha: float
    resolution: int

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 16:
            raise UsageError(
                f"alpha is {self.alpha}, it must be above 0 and at most 16",
                fix="pass a width multiplier such as 0.25, 0.5, 0.75 or 1.0",
            )
        if not 1 <= self.resolution <= 4096:
            raise UsageError(
                f"resolution is {self.resolution}, it must be 1 to 4096 pixels",
                fix="pass an input side such as 224, 192, 160 or 128",
            )

    @property
    def name(self) -> str:
        """The file-name form.

        Example:
            >>> Variant(Family.MOBILENET_V1, 0.5, 160).name
            'mobilenet_v1_0.50_160'
        """
        return f"{self.family.value}_{self.alpha:.2f}_{self.resolution}"

    def rho(self, base_resolution: int) -> float:
        """Return ρ = resolution / base (MobileNet paper, section 3.4)."""
        return self.resolution / base_resolution

    @classmethod
    def from_name(cls, stem: str) -> Variant | None:
        """Read a file stem of our form, with or without a tag; None if it is of another form.

        Example:
            >>> Variant.from_name("mobilenet_v1_0.50_160_imagenet").resolution
            160
        """
        match = _VARIANT_NAME.match(stem)
        if match is None:
            return None
        return cls(Family(match[1]), float(match[2]), int(match[3]))
