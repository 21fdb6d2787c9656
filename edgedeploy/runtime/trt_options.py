"""What can be asked of a TensorRT build beyond the precision."""

from typing import Any, Dict, NamedTuple, Optional, Tuple

from .errors import UnknownNameError, UsageError

INT8_MODES = ("auto", "implicit", "qdq", "typed")
HARDWARE = ("ampere-plus", "same-compute-capability")
# A MobileNet's largest layer needs less than 64 MiB; a Nano has 4 GB for everything.
WORKSPACE_MB = 256
_LARGEST_BATCH = 4096


class TrtOptions(NamedTuple):
    """Options of a TensorRT build; they are part of what an artifact is, its manifest holds them.

    Attributes:
        batch: Smallest, best and largest number of images a call takes.
        int8_mode: ``implicit``: ranges from a calibration cache; ``qdq``: Q/DQ nodes and builder
            flags; ``typed``: Q/DQ nodes in a strongly typed network; ``auto``: what
            `trt_dialects.int8_mode` takes for the library that builds.
        tune: Build INT8 in every mode that the library has, and keep the fastest engine.
        workspace_mb: Scratch memory that a layer may use, in MiB.
        optimization_level: 0 to 5, more is slower to build; None is TensorRT's own default.
        version_compatible: Let later TensorRT of the same major version load the engine.
        hardware_compatible: Let other GPUs load it: ``ampere-plus``, or
            ``same-compute-capability``; None binds it to the GPU that built it.
        dla_core: Deep-learning accelerator to run on, from 0; what it cannot run falls back to
            the GPU. None is the GPU.
    """

    batch: Tuple[int, int, int] = (1, 1, 8)
    int8_mode: str = "auto"
    tune: bool = False
    workspace_mb: int = WORKSPACE_MB
    optimization_level: Optional[int] = None
    version_compatible: bool = False
    hardware_compatible: Optional[str] = None
    dla_core: Optional[int] = None


def check(options: TrtOptions) -> TrtOptions:
    """Return ``options``.

    Raises:
        UsageError: A number is out of its range.
        UnknownNameError: A word is none of those above.
    """
    low, best, high = options.batch
    if not 1 <= low <= best <= high <= _LARGEST_BATCH:
        said = str(low) if low == best == high else f"{low},{best},{high}"
        raise UsageError(
            f"the batch is {said}: smallest, best and largest must rise, from 1 to "
            f"{_LARGEST_BATCH}",
            fix="pass one number, or three such as --batch 1,4,8",
        )
    if options.int8_mode not in INT8_MODES:
        raise UnknownNameError("INT8 mode", options.int8_mode, INT8_MODES)
    if options.hardware_compatible not in (None, *HARDWARE):
        raise UnknownNameError("hardware compatibility", options.hardware_compatible, HARDWARE)
    _check_range("the workspace", options.workspace_mb, 1, 1 << 20, "MiB, e.g. 256")
    _check_range("the optimisation level", options.optimization_level, 0, 5, "0 to 5")
    _check_range("the DLA core", options.dla_core, 0, 15, "0 or 1")
    return options


def _check_range(what: str, value: Optional[int], low: int, high: int, example: str) -> None:
    if value is not None and not low <= value <= high:
        raise UsageError(f"{what} is {value}, it must be {low} to {high}", fix=f"pass {example}")


def to_json(options: TrtOptions) -> Dict[str, Any]:
    """Return options as a manifest holds them."""
    return dict(options._asdict(), batch=list(options.batch))


def from_json(document: Dict[str, Any]) -> TrtOptions:
    """Return the options of a manifest; those that it does not name are the defaults.

    Raises:
        UsageError: They are damaged.
    """
    known = {key: document[key] for key in TrtOptions._fields if key in document}
    try:
        if "batch" in known:
            low, best, high = known["batch"]
            known["batch"] = (int(low), int(best), int(high))
        return check(TrtOptions(**known))
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the TensorRT options {document!r} are damaged: {error}",
            fix="build the artifact again",
        ) from error
