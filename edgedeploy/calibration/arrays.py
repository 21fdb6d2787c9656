"""The arrays of a calibration as one ``.npz``: the same arrays always give the same bytes.

The JSON beside it says which arrays there are and how long, so nothing that a header or a zip
directory claims is believed: a member is exactly the bytes that this module would write for that
shape, or it is refused before memory is set aside for it.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgedeploy.calibration_values import Correction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.calibration_values import Calibration
    from edgedeploy.types import Array

LARGEST_BYTES = 1 << 30
STYLES = ("s8", "u8", "u8-vnni")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip knows no earlier date
_AXES = 8
_BAD_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    NotImplementedError,  # an unknown compression
    OSError,
    OverflowError,
    RuntimeError,  # encrypted
)


class _Slot(NamedTuple):
    """One array: what it is, and the member of the archive that holds it.

    Attributes:
        what: For messages, e.g. ``"bias of 'stem/conv' (s8)"``.
        member: E.g. ``"s8.0.bias.npy"``; numbers count the sorted names.
        dtype: NumPy's, with its byte order.
        shape: Lengths above 0.
    """

    what: str
    member: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * int(self.dtype[2:])


def index(calibration: Calibration) -> dict[str, Any]:
    """Return the JSON that says which arrays there are: their shapes, by the names of the graph."""
    return {
        "equalisation": {
            name: list(np.shape(scales)) for name, scales in calibration.equalisation.items()
        },
        "corrections": {
            style: {
                layer: {
                    "bias": list(np.shape(found.bias)),
                    "rounding": None if found.rounding is None else list(np.shape(found.rounding)),
                }
                for layer, found in layers.items()
            }
            for style, layers in calibration.corrections.items()
        },
    }


def pack(calibration: Calibration) -> bytes | None:
    """Return the archive, or None where the calibration has no arrays.

    Raises:
        ValueError: An array is not finite, or of another shape than its kind.
    """
    arrays = _members(calibration)
    slots = _slots(index(calibration))
    if not slots:
        return None
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for slot in slots:
            array = np.ascontiguousarray(arrays[slot.member], slot.dtype)
            _check_values(slot, array)
            about = zipfile.ZipInfo(slot.member, _EPOCH)
            about.compress_type, about.create_system = zipfile.ZIP_DEFLATED, 3
            archive.writestr(about, _header(slot) + array.tobytes())
    return target.getvalue()


def named(calibration: Calibration) -> dict[str, Array]:
    """Return the arrays by what they are, e.g. ``"bias of 'stem/conv' (s8)"``."""
    arrays = _members(calibration)
    return {slot.what: arrays[slot.member] for slot in _slots(index(calibration))}


def is_empty(document: Mapping[str, Any]) -> bool:
    """Return whether `index` made ``document`` of a calibration without arrays.

    Raises:
        ValueError: ``document`` is no index; or TypeError, KeyError, AttributeError.
    """
    return not _slots(document)


def unpack(
    document: Mapping[str, Any], data: bytes
) -> tuple[dict[str, Array], dict[str, dict[str, Correction]]]:
    """Return equalisation and corrections.

    Args:
        document: What `index` gave.
        data: The archive, whose digest has been compared.

    Raises:
        ValueError: The index or the archive is damaged, or they do not belong together; or, for
            the index, TypeError, KeyError, AttributeError.
    """
    arrays = _read(_slots(document), data)
    equalisation = {
        name: arrays[_equalisation(number)]
        for number, name in enumerate(sorted(document["equalisation"]))
    }
    corrections = {
        style: {
            layer: Correction(
                bias=arrays[_correction(style, number, "bias")],
                rounding=arrays.get(_correction(style, number, "rounding")),
            )
            for number, layer in enumerate(sorted(layers))
        }
        for style, layers in document["corrections"].items()
    }
    return equalisation, corrections


def _members(calibration: Calibration) -> dict[str, Array]:
    found: dict[str, Array] = {
        _equalisation(number): calibration.equalisation[name]
        for number, name in enumerate(sorted(calibration.equalisation))
    }
    for style, layers in calibration.corrections.items():
        for number, layer in enumerate(sorted(layers)):
            found[_correction(style, number, "bias")] = layers[layer].bias
            rounding = layers[layer].rounding
            if rounding is not None:
                found[_correction(style, number, "rounding")] = rounding
    return found


def _read(slots: list[_Slot], data: bytes) -> dict[str, Array]:
    total = sum(slot.size_bytes for slot in slots)
    if total > LARGEST_BYTES:
        raise ValueError(f"its arrays take {total} bytes, at most {LARGEST_BYTES} are read")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            there = sorted(about.filename for about in archive.infolist())
            wanted = sorted(slot.member for slot in slots)
            if there != wanted:
                raise ValueError(
                    f"its archive holds {_shown(there)}, the index names {_shown(wanted)}"
                )
            return {slot.member: _array(archive, slot) for slot in slots}
    except _BAD_ZIP as error:
        raise ValueError(f"its arrays are damaged: {error}") from error


def _array(archive: zipfile.ZipFile, slot: _Slot) -> Array:
    about, header = archive.getinfo(slot.member), _header(slot)
    expected = len(header) + slot.size_bytes
    if about.file_size != expected:
        raise ValueError(
            f"{slot.what} takes {about.file_size} bytes, {slot.dtype} {slot.shape} takes {expected}"
        )
    with archive.open(about) as file:
        data = file.read(expected)  # inflates no more than that, whatever is there
    if not data.startswith(header):
        raise ValueError(
            f"{slot.what} begins with {data[:80]!r}, it must be {slot.dtype} {slot.shape}"
        )
    array = np.frombuffer(data, slot.dtype, offset=len(header)).reshape(slot.shape)
    _check_values(slot, array)
    return array.astype(array.dtype.newbyteorder("="))  # a copy: writable, of this machine's order


def _check_values(slot: _Slot, array: Array) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"{slot.what} holds {array[~np.isfinite(array)][0]}, no number")
    if slot.member.startswith("equalisation.") and array.min() <= 0:
        raise ValueError(f"{slot.what} holds {array.min()}, scales are above 0")


def _slots(document: Mapping[str, Any]) -> list[_Slot]:
    """Check an index and list its arrays, in the order of the archive."""
    equalisation = _object(document["equalisation"], "equalisation")
    found = [
        _Slot(
            f"equalisation of {name!r}",
            _equalisation(number),
            "<f4",
            _shape(equalisation[name], f"equalisation of {name!r}", axes=1),
        )
        for number, name in enumerate(sorted(equalisation))
    ]
    for style, listed in sorted(_object(document["corrections"], "corrections").items()):
        if style not in STYLES:
            raise ValueError(f"corrections are for {style!r}, known are {', '.join(STYLES)}")
        layers = _object(listed, f"corrections of {style}")
        for number, layer in enumerate(sorted(layers)):
            for part, dtype in (("bias", "<f4"), ("rounding", "|i1")):
                what, shape = f"{part} of {layer!r} ({style})", layers[layer][part]
                if shape is None and part == "rounding":
                    continue
                axes = _shape(shape, what, axes=1 if part == "bias" else None)
                found.append(_Slot(what, _correction(style, number, part), dtype, axes))
    return found


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{what} is {value!r}, no object")
    return value


def _shape(value: object, what: str, *, axes: int | None) -> tuple[int, ...]:
    lengths = value if isinstance(value, list) else []
    whole = all(type(n) is int and 0 < n <= LARGEST_BYTES for n in lengths)
    if not whole or not 0 < len(lengths) <= _AXES or axes not in (None, len(lengths)):
        raise ValueError(f"{what} has the shape {value!r}")
    return tuple(lengths)


def _equalisation(number: int) -> str:
    return f"equalisation.{number}.npy"


def _correction(style: str, number: int, part: str) -> str:
    return f"{style}.{number}.{part}.npy"


def _header(slot: _Slot) -> bytes:
    """Return the bytes before the numbers; NumPy's own differ from release to release.

    Source:
        NumPy, numpy/lib/format.py, "Format Version 1.0".
    """
    text = f"{{'descr': '{slot.dtype}', 'fortran_order': False, 'shape': {slot.shape!r}, }}"
    start = b"\x93NUMPY\x01\x00"
    text += " " * (-(len(start) + 2 + len(text) + 1) % 64) + "\n"
    return start + struct.pack("<H", len(text)) + text.encode("latin1")


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) or "nothing") + more
