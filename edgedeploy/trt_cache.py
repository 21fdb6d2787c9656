"""TensorRT's text cache of INT8 ranges: one scale per tensor, as TensorRT 8 to 10 have it.

A header line ``TRT-<digits>-<algorithm>``, then ``<tensor>: <hex>``: the bits of a float32, most
significant first, that is the tensor's largest magnitude over 127.

Source:
    NVIDIA TensorRT 10, NvInfer.h, ``IInt8Calibrator::writeCalibrationCache``; decoded the same way
    by NVIDIA Model Optimizer, modelopt/onnx/quantization/calib_utils.py.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.errors import FileError, UnknownNameError, UsageError
from edgedeploy.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.calibration_values import TensorRange

ALGORITHMS = ("EntropyCalibration", "EntropyCalibration2", "LegacyCalibration", "MinMaxCalibration")
DEFAULT_VERSION, DEFAULT_ALGORITHM = "8201", "EntropyCalibration2"

_HEADER = re.compile(r"TRT-([0-9]+)-([A-Za-z0-9_]+)")
_HEX = re.compile(r"[0-9A-Fa-f]{1,8}")
_VERSION = re.compile(r"([0-9]+)\.([0-9]+)(?:\.([0-9]+))?(?![0-9])")
_SHOWN = 60
_LEVELS = 127
_SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
_EXAMPLE = f"TRT-{DEFAULT_VERSION}-{DEFAULT_ALGORITHM}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrtCache:
    """What a cache says.

    Attributes:
        version: Digits of TensorRT's version: ``"8201"`` is 8.2.1, ``"100300"`` 10.3.0.
        algorithm: Of the calibrator, e.g. ``"EntropyCalibration2"``; TensorRT uses a cache only
            with a calibrator of that algorithm.
        scales: By tensor, in the order of the file; float32 above 0.
    """

    version: str
    algorithm: str
    scales: Mapping[str, float]

    @property
    def header(self) -> str:
        """The first line."""
        return f"TRT-{self.version}-{self.algorithm}"


def read(path: Path) -> TrtCache:
    """Read a cache.

    Raises:
        FileError: It is missing, or what `parse` refuses.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}",
            fix="pass the cache that TensorRT's calibrator wrote",
        ) from error
    return parse(data, source=str(path))


def write(cache: TrtCache, path: Path) -> None:
    """Write a cache; the same one always gives the same bytes.

    Raises:
        FileError: The folder cannot be written to, or the cache cannot be rendered.
    """
    write_atomically(path, render(cache))


def of_ranges(
    ranges: Mapping[str, TensorRange], *, version: str, algorithm: str = DEFAULT_ALGORITHM
) -> TrtCache:
    """Return the cache with a scale for every range.

    Args:
        ranges: By tensor.
        version: Digits, see `digits`.
        algorithm: One of `ALGORITHMS`.

    Raises:
        UnknownNameError: TensorRT has no such algorithm.
        UsageError: The version is not made of digits.
    """
    if algorithm not in ALGORITHMS:
        raise UnknownNameError("calibration algorithm", algorithm, ALGORITHMS)
    if not (version.isascii() and version.isdigit()):
        raise UsageError(
            f"the version of TensorRT is {version!r}, a cache holds digits",
            fix="pass 8201 for 8.2.1, 8502 for 8.5.2, 100300 for 10.3.0",
        )
    scales = {name: scale_of(found) for name, found in ranges.items()}
    return TrtCache(version=version, algorithm=algorithm, scales=scales)


def scale_of(found: TensorRange) -> float:
    """Return TensorRT's scale of a range, a float32 above 0: the largest magnitude over 127.

    It is what `edgedeploy.graph.encoding.encode_range` uses in the style s8, but for the smallest
    numbers: a cache may hold subnormal ones, a Q/DQ graph uses the smallest normal one instead.
    """
    scale = np.float32(max(-found.low, found.high, 0.0) / _LEVELS)
    return max(float(scale), _SMALLEST)


def digits(version: str) -> str:
    """Return a version as the header of a cache holds it.

    It is 1000 · major + 100 · minor + patch, and from TensorRT 10 on 10000 · major.

    Args:
        version: As TensorRT or a board table writes it; what follows the patch does not count.

    Raises:
        UsageError: It does not begin with two numbers.

    Source:
        NVIDIA TensorRT, NvInferVersion.h, ``NV_TENSORRT_VERSION``, of 8.2 and of 10.0.

    Example:
        >>> digits("8.2.1"), digits("8.5.2.2-1+cuda11.4"), digits("10.3.0")
        ('8201', '8502', '100300')
    """
    match = _VERSION.match(version)
    if match is None:
        raise UsageError(
            f"{version!r} is no version of TensorRT",
            fix="pass it like 8.2.1 or 10.3.0",
        )
    major, minor, patch = (int(part or 0) for part in match.groups())
    return str((1000 if major < 10 else 10000) * major + 100 * minor + patch)


def parse(data: bytes, *, source: str = "the cache") -> TrtCache:
    r"""Read the text of a cache.

    Names are kept as they are, also with spaces and colons in them. Leading zeros of a number may
    be absent, lines may end as on Windows, and empty lines are passed over.

    Args:
        data: The file's bytes.
        source: What to call it in messages.

    Raises:
        FileError: It is empty or no text, its header is another, or a line is damaged, names a
            tensor for the second time, or holds a scale that is none.

    Example:
        >>> dict(parse(b"TRT-8201-EntropyCalibration2\nimage: 3c010204\n").scales)
        {'image': 0.007874015718698502}
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise FileError(
            f"{source} is no text: byte {error.start} of {len(data)} is {data[error.start]:#04x}",
            fix=f"pass the text cache whose first line is like {_EXAMPLE}, not an engine",
        ) from error
    header, *lines = (line.rstrip(" \t\r") for line in text.split("\n"))
    found = parse_header(header)
    if found is None:
        said = f"begins with {header[:_SHOWN]!r}" if data else "is empty"
        raise FileError(
            f"{source} {said}, a cache of TensorRT begins with a line like {_EXAMPLE!r}",
            fix="pass the cache that TensorRT's calibrator wrote; ONNX Runtime's is another format",
        )
    scales: dict[str, float] = {}
    for number, line in enumerate(lines, start=2):
        if line:
            name, scale = _parse_line(line, f"{source}, line {number}")
            if name in scales:
                raise FileError(
                    f"{source}, line {number}: {name!r} has the scale {scale:g}, "
                    f"an earlier line gave it {scales[name]:g}",
                    fix="remove one of the two lines, or let TensorRT calibrate again",
                )
            scales[name] = scale
    return TrtCache(version=found[0], algorithm=found[1], scales=scales)


def parse_header(line: str) -> tuple[str, str] | None:
    """Return version and algorithm of a first line, or None if it is none.

    Example:
        >>> parse_header("TRT-8201-EntropyCalibration2")
        ('8201', 'EntropyCalibration2')
    """
    match = _HEADER.fullmatch(line)
    return None if match is None else (match[1], match[2])


def render(cache: TrtCache) -> bytes:
    """Return the file's bytes.

    Raises:
        FileError: The header or a tensor has a name that a line cannot hold, or a scale is no
            float32 above 0.
    """
    if parse_header(cache.header) != (cache.version, cache.algorithm):
        raise FileError(
            f"{cache.header!r} is no header of a TensorRT cache, {_EXAMPLE!r} is one",
            fix="pass the version as digits, e.g. 8201, and the calibrator's algorithm as one word",
        )
    lines = [cache.header]
    for name, scale in cache.scales.items():
        line = f"{name}: {_bits(name, scale)}"
        if not name or "\n" in name or not _is_text(name):
            raise FileError(
                f"a cache cannot name the tensor {name!r}: its lines hold one name each, in UTF-8",
                fix="export the model again with plain tensor names, and calibrate again",
            )
        lines.append(line)
    return ("\n".join(lines) + "\n").encode()


def _parse_line(line: str, place: str) -> tuple[str, float]:
    name, colon, digits = line.rpartition(": ")
    if not name or not colon or _HEX.fullmatch(digits) is None:
        raise FileError(
            f"{place} is {_cut(line)!r}, it must be 'TENSOR: ' and up to 8 hexadecimal digits",
            fix="copy the cache again, or let TensorRT calibrate again",
        )
    (scale,) = struct.unpack(">f", bytes.fromhex(digits.zfill(8)))
    if not 0 < scale < math.inf:
        raise FileError(
            f"{place}: {name!r} has {digits}, the scale {scale:g}; it must be finite and above 0",
            fix="let TensorRT calibrate again, with images on which this tensor is not always 0",
        )
    return name, scale


def _bits(name: str, scale: float) -> str:
    try:
        packed = struct.pack(">f", scale)
    except OverflowError:
        packed = b""
    if not packed or struct.unpack(">f", packed) != (scale,) or not 0 < scale < math.inf:
        raise FileError(
            f"{name!r} has the scale {scale!r}, a cache holds float32 above 0",
            fix="calibrate again with images on which this tensor is not always 0",
        )
    return packed.hex()


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _cut(line: str) -> str:
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
