"""The nouns: small frozen values that the stages hand to each other. Read this file first."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgedeploy.errors import UnknownNameError, UsageError
from edgedeploy.runtime.trt_options import TrtOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.runtime.preprocessing import Preprocessing

Array = npt.NDArray[Any]
# Called with what is being done, the steps done and their number; 0 where that is not known.
Steps = Callable[[str, int, int], None]


def no_steps(what: str, done: int, total: int) -> None:
    """Report nothing: what a `Steps` is by default."""


_VARIANT_NAME = re.compile(
    r"^(mobilenet_v1(?:_shallow|_full)?|mobilenet_v2)_(\d+\.\d\d+)_(\d+)(?:_(.+))?$"
)


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
    MOBILENET_V1_SHALLOW = "mobilenet_v1_shallow"
    """V1 without five of its blocks; the V1 paper compares it with a thinner V1 (table 5)."""
    MOBILENET_V1_FULL = "mobilenet_v1_full"
    """V1 with a full 3x3 convolution for each depthwise separable one (table 4)."""

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


PUBLISHED = (Family.MOBILENET_V1, Family.MOBILENET_V2)
"""The families that others have trained, too, so that there are weights to import."""


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
        return f"{self.width_name}_{self.resolution}"

    @property
    def width_name(self) -> str:
        """What all resolutions of one width share in their names; α has two decimals or more.

        Example:
            >>> Variant(Family.MOBILENET_V2, 0.125, 96).width_name
            'mobilenet_v2_0.125'
        """
        return f"{self.family.value}_{np.format_float_positional(self.alpha, min_digits=2)}"

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


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and dtype of a model's input or output.

    Attributes:
        name: The name in the ONNX graph.
        shape: Length of each axis; None means any length.
        dtype: NumPy's name of the element type, e.g. ``"float32"``.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        return "(" + ", ".join("any" if n is None else str(n) for n in self.shape) + ")"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxModel:
    """An ONNX file of a single-image network, read and checked by `edgedeploy.model_file`.

    Attributes:
        path: The file.
        sha256: Of the file, with its external data if it has any.
        input: ``(N, 3, H, W)`` float32; H and W are None while the size is not known.
        output: ``(N, classes)``, or whatever the graph returns.
        softmax: Whether the graph ends in Softmax.
        preprocessing: What the network expects, or None where nobody said.
        labels: Class names by index, or None.
        variant: Family, α and resolution, or None for a foreign model.
        base_resolution: Input side for which ρ is 1.
    """

    path: Path
    sha256: str
    input: TensorSpec
    output: TensorSpec
    softmax: bool
    preprocessing: Preprocessing | None
    labels: tuple[str, ...] | None
    variant: Variant | None
    base_resolution: int

    @property
    def name(self) -> str:
        """What artifacts, calibrations and tables call this model: the file's stem."""
        return self.path.stem

    @property
    def side(self) -> tuple[int, int] | None:
        """Height and width of the input in pixels; None while they are not known."""
        height, width = self.input.shape[2:]
        return None if height is None or width is None else (height, width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A board that is not this machine, for which a source is prepared.

    Attributes:
        device: A name of the board table, e.g. ``"jetson-nano"``.
        jetpack: The release of NVIDIA's software on it.
        tensorrt: The version of TensorRT in that release.
        compute_capability: Of its GPU, e.g. ``"5.3"``.
    """

    device: str
    jetpack: str
    tensorrt: str
    compute_capability: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """What to ask of a backend. The CLI makes this, nothing else.

    Attributes:
        backend: ``"ort"``, ``"openvino"`` or ``"trt"``.
        precision: What to ask for.
        ov_device: OpenVINO's device; ignored by the other backends.
        x86: For INT8 in the style u8, ``"any"``: weights that do not saturate on x86 CPUs without
            VNNI, or ``"vnni"``: full 8-bit weights, for CPUs that have it.
        trt: What else to ask of TensorRT; ignored by the other backends.
        target: For the backend trt, the board that the engine is to be built on; None is this
            machine.
    """

    backend: str
    precision: Precision = Precision.FP32
    ov_device: str = "CPU"
    x86: str = "any"
    trt: TrtOptions = field(default_factory=TrtOptions)
    target: Target | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a backend's `build` leaves in the folder it was given.

    Attributes:
        engine: Name of the file that the runtime opens.
        files: Names of all files that belong to the artifact, the engine first.
        runs: What the engine reports it runs: number of convolutions and matrix products by type,
            e.g. ``{"int8": 28}``; empty where the vendor does not tell.
        floats: Names of those that run in a float type, where the vendor tells.
        runs_on: ``{"portable": True}``, or the GPU, compute capability and library it is bound to.
        int8_mode: How INT8 was said to TensorRT; None of everything else.
        gpu_fallback: Layers that a DLA does not run, by name; empty where there is no DLA.
        latency_ms: Median time of one call of the best batch, where `Backend.candidates` asked for
            a comparison; None where it was not timed.
    """

    engine: str
    files: tuple[str, ...]
    runs: Mapping[str, int]
    runs_on: Mapping[str, object]
    floats: tuple[str, ...] = ()
    int8_mode: str | None = None
    gpu_fallback: tuple[str, ...] = ()
    latency_ms: float | None = None
