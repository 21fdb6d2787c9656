"""What `Runtime` asks of its arguments before an engine sees them."""

from typing import Any, Optional, Tuple

import numpy as np

from .errors import TensorMismatchError
from .manifest import TensorInfo


def checked(batch: Any, wanted: TensorInfo) -> np.ndarray:
    """Return a batch as sessions take it: contiguous, the rest as it is.

    Args:
        batch: What the caller passed.
        wanted: The model's input.

    Raises:
        TensorMismatchError: Another type or shape, an empty batch, NaN or infinity.
    """
    if not isinstance(batch, np.ndarray) or batch.dtype != np.float32:
        kind = batch.dtype if isinstance(batch, np.ndarray) else type(batch).__name__
        raise TensorMismatchError(
            f"input {wanted.name!r} is {kind}, the model takes a NumPy array of float32",
            fix="convert it: numpy.asarray(batch, dtype=numpy.float32)",
        )
    if not _fits(batch.shape, wanted.shape):
        raise TensorMismatchError(
            f"input {wanted.name!r} has shape {batch.shape}, the model takes "
            + _shape(wanted.shape),
            fix=_shape_fix(batch.shape, wanted.shape),
        )
    if not np.isfinite(batch).all():
        bad = int(batch.size - np.count_nonzero(np.isfinite(batch)))
        raise TensorMismatchError(
            f"input {wanted.name!r} has {bad} values of {batch.size} that are NaN or infinite",
            fix="look at what fills the batch: all values must be finite",
        )
    return np.ascontiguousarray(batch)


def _fits(shape: Tuple[int, ...], wanted: Tuple[Optional[int], ...]) -> bool:
    return (
        len(shape) == len(wanted)
        and min(shape) > 0
        and all(want is None or got == want for got, want in zip(shape, wanted))
    )


def _shape(shape: Tuple[Optional[int], ...]) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"


def _shape_fix(shape: Tuple[int, ...], wanted: Tuple[Optional[int], ...]) -> str:
    if len(shape) == 4 and _fits((shape[0], shape[3], shape[1], shape[2]), wanted):
        return "transpose it, models take NCHW: batch.transpose(0, 3, 1, 2)"
    if len(shape) == 3 and _fits((1, *shape), wanted):
        return "add the batch axis: batch[numpy.newaxis]"
    if 0 in shape:
        return "pass at least one picture"
    if shape and wanted[0] is not None and _fits((wanted[0], *shape[1:]), wanted):
        return f"pass batches of {wanted[0]}, or export the model with an open batch"
    return (
        "resize the picture: rt.preprocess(frame) makes such a batch, rt.classify(frame) does all"
    )


def is_count(value: object) -> bool:
    """Return whether ``value`` is a whole number, Python's or NumPy's, from 1 on."""
    return isinstance(value, (int, np.integer)) and int(value) >= 1
