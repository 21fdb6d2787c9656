"""Implicit INT8: a calibration cache offered as if a calibrator had just measured it."""

import re
from typing import Any, List, Set, Tuple

from .errors import BuildError, FileError

# Of the calibrator below; DLAs take no other, and the cache's header must name it.
ALGORITHM = "EntropyCalibration2"
_HEADER = re.compile(rb"TRT-[0-9]+-[A-Za-z0-9_]+[ \t\r]*")


def read(path: str) -> bytes:
    """Return the bytes of a calibration cache.

    Raises:
        FileError: It cannot be read, or its first line is not that of a cache.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}",
            fix="build the artifact again from its model and calibration",
        ) from error
    first = data.split(b"\n", 1)[0]
    if _HEADER.fullmatch(first) is None:
        raise FileError(
            f"{path} begins with {first[:60]!r}, a calibration cache begins with a line like "
            f"'TRT-8201-{ALGORITHM}'",
            fix="build the artifact again from its model and calibration",
        )
    return data


def for_library(table: bytes, version: str) -> bytes:
    r"""Return a cache under the header that TensorRT ``version`` would write itself.

    A cache holds ranges, which do not depend on the version; under a foreign header TensorRT would
    ask for images instead.

    Source:
        ``NV_TENSORRT_VERSION`` in NvInferVersion.h (NvInfer.h before 8): thousands, hundreds and
        ones up to 9; ten thousands, hundreds and ones from 10 on.

    Example:
        >>> for_library(b"TRT-8601-MinMaxCalibration\nimage: 3c010204\n", "10.3.0.26")
        b'TRT-100300-EntropyCalibration2\nimage: 3c010204\n'
    """
    numbers = [int(part) for part in re.findall("[0-9]+", version)] + [0, 0, 0]
    major, minor, patch = numbers[:3]
    digits = major * (1000 if major < 10 else 10000) + minor * 100 + patch
    _, newline, rest = table.partition(b"\n")
    return f"TRT-{digits}-{ALGORITHM}".encode() + newline + rest


def tensors(table: bytes) -> Set[str]:
    """Return the names of the tensors that a cache has ranges of."""
    lines = table.decode("utf-8", "replace").split("\n")[1:]
    return {line.rpartition(": ")[0] for line in lines if ": " in line}


def lacking(trt: Any, network: Any, table: bytes) -> Tuple[str, ...]:
    """List the convolutions of a network whose input has no range, so that they run in float.

    Raises:
        BuildError: That is every one of them: the cache belongs to another model.
    """
    known = tensors(table)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    convolutions = [layer for layer in layers if layer.type == trt.LayerType.CONVOLUTION]
    found: List[str] = [c.name for c in convolutions if c.get_input(0).name not in known]
    if convolutions and len(found) == len(convolutions):
        name = convolutions[0].get_input(0).name
        raise BuildError(
            f"the calibration cache has ranges of {len(known)} tensors, and none of them is an "
            f"input of the model's {len(found)} convolutions, such as {name!r}",
            fix="build it from the model and the calibration of that model",
        )
    return tuple(found)


def attach(trt: Any, config: Any, table: bytes, profile: Any = None) -> Any:
    """Give a build a calibrator that offers ``table`` and has no images.

    Args:
        trt: TensorRT's package.
        config: The build's config.
        table: A calibration cache, as `for_library` returns it.
        profile: The shape to calibrate for, where the batch is dynamic.

    Returns:
        The calibrator, which must live until the build is over; `check_taken` asks it then.
    """
    calibrator = _make(trt, table)
    config.int8_calibrator = calibrator
    if profile is not None:
        config.set_calibration_profile(profile)
    return calibrator


def check_taken(calibrator: Any, reason: str) -> None:
    """Refuse a build for which TensorRT did not take the cache.

    Raises:
        BuildError: It asked for images instead.
    """
    if calibrator.refused:
        raise BuildError(
            f"TensorRT did not take the calibration cache, it asked for images: {reason}",
            fix="pass --int8-mode qdq, which needs no cache, or calibrate the model again",
        )


def _make(trt: Any, table: bytes) -> Any:

    class CachedRanges(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]  # the vendor has no types
        """A calibrator that has measured already."""

        def __init__(self) -> None:
            trt.IInt8EntropyCalibrator2.__init__(self)
            self.refused = False

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: Any) -> None:  # noqa: ARG002  # TensorRT's signature
            """There is no other batch."""
            self.refused = True

        def read_calibration_cache(self) -> bytes:
            return table  # TensorRT reads it in place, the closure keeps it alive

        def write_calibration_cache(self, cache: Any) -> None:
            """Keep the file as it is: TensorRT offers what it has just read."""

    return CachedRanges()
