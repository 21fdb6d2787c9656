"""What turns a picture into a model's input: one rule, one resize, used everywhere."""

import functools
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from .errors import TensorMismatchError, UnknownNameError

Triple = Tuple[float, float, float]

RESIZES = ("crop", "stretch")
COLORS = ("rgb", "bgr")

# Lines of the result per matrix product, and the largest product in multiply-adds. OpenBLAS wakes
# its threads above 2**18, and where another process holds a core they wait for it: 230 ms instead
# of 6 ms for a picture, seen on 2 cores.
_BLOCK = 4
_PRODUCT = 1 << 18


class Preprocessing(NamedTuple):
    """How a picture becomes the model's input: ``(x - mean) / std``, channel by channel.

    Attributes:
        mean: Per channel, in 0-255 units, in the order of `color`.
        std: Per channel, in 0-255 units, in the order of `color`.
        color: Order of the channels that the model takes: ``"rgb"`` or ``"bgr"``.
        resize: ``"crop"``: the shorter side is scaled to ``round(side / crop_fraction)`` and the
            centre is cut out; ``"stretch"``: both sides are scaled, the aspect ratio is lost.
        crop_fraction: Side of the cut over the scaled shorter side, in (0, 1].
    """

    mean: Triple
    std: Triple
    color: str = "rgb"
    resize: str = "crop"
    crop_fraction: float = 0.875


def prepare(
    frame: np.ndarray, side: Tuple[int, int], rule: Preprocessing, color: str = "rgb"
) -> np.ndarray:
    """Turn one picture into the model's input: `arrange`, then `normalise`.

    Returns:
        ``(1, 3, height, width)`` float32, contiguous, owned by the caller.

    Raises:
        TensorMismatchError: The frame is no picture.
        UnknownNameError: There is no such order of channels.
    """
    return normalise(arrange(frame, side, rule, color), rule)


def arrange(
    frame: np.ndarray, side: Tuple[int, int], rule: Preprocessing, color: str = "rgb"
) -> np.ndarray:
    """`fit` one picture, and put its channels in the model's order.

    Args:
        frame: As for `fit`.
        side: Height and width of the model's input.
        rule: What the model expects.
        color: Order of the frame's channels, ``"rgb"`` or ``"bgr"``; with alpha RGBA or BGRA.

    Returns:
        ``(1, height, width, 3)`` uint8.

    Raises:
        TensorMismatchError: The frame is no picture.
        UnknownNameError: There is no such order of channels.
    """
    if color not in COLORS:
        raise UnknownNameError("order of channels", color, COLORS)
    pixels = fit(frame, side, rule)
    return (pixels if color == rule.color else pixels[..., ::-1])[np.newaxis]


def fit(frame: np.ndarray, side: Tuple[int, int], rule: Preprocessing) -> np.ndarray:
    """Scale and cut a picture to the model's size: bilinear, with antialias when it shrinks.

    Args:
        frame: uint8 of any size: ``(H, W, 3)``, ``(H, W, 4)``, whose alpha is dropped, or grey,
            ``(H, W)`` or ``(H, W, 1)``.
        side: Height and width of the result.
        rule: Which rule to follow; its color, mean and std play no part.

    Returns:
        ``(height, width, 3)`` uint8 in the frame's own order of channels, owned by the caller.

    Raises:
        TensorMismatchError: The frame is none of these.

    Source:
        The filter is Pillow's BILINEAR (src/libImaging/Resample.c): a triangle whose support
        grows with the scale; sizes and offsets are those of torchvision's Resize and CenterCrop.
    """
    picture = _channels(frame)
    scaled = _scaled_size(picture.shape[0], picture.shape[1], side, rule)
    rows = _plan(picture.shape[0], scaled[0], side[0])
    columns = _plan(picture.shape[1], scaled[1], side[1])
    needed = picture[:, columns.first : columns.last]
    planes = _resample_columns(_resample_rows(needed, rows), columns)
    fitted = np.clip(np.rint(planes), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(fitted, (*side, 3)))


def normalise(pixels: np.ndarray, rule: Preprocessing) -> np.ndarray:
    """Turn fitted pixels into the model's input.

    Args:
        pixels: ``(N, H, W, 3)`` uint8 in the order of ``rule.color``.
        rule: Mean and std.

    Returns:
        ``(N, 3, H, W)`` float32, contiguous, owned by the caller.
    """
    count, height, width, _ = pixels.shape
    batch = np.empty((count, 3, height, width), dtype=np.float32)
    for channel in range(3):
        plane = batch[:, channel]
        np.subtract(pixels[..., channel], np.float32(rule.mean[channel]), out=plane)
        plane *= np.float32(1.0 / rule.std[channel])
    return batch


def _channels(frame: Any) -> np.ndarray:
    """Return a view of the picture as ``(H, W, 1)`` or ``(H, W, 3)``."""
    if isinstance(frame, np.ndarray):
        picture: np.ndarray = frame[..., np.newaxis] if frame.ndim == 2 else frame
        known = picture.ndim == 3 and picture.shape[2] in (1, 3, 4)
        if known and picture.dtype == np.uint8 and picture.size > 0:
            return picture[..., :3]
        what = f"{frame.dtype} {frame.shape}"
    else:
        what = f"a {type(frame).__name__}"
    raise TensorMismatchError(
        f"the frame is {what}, it must be uint8 (H, W, 3)",
        fix="pass a decoded picture as a NumPy array with values 0 to 255; grey (H, W) and "
        "alpha (H, W, 4) are fine too",
    )


def _scaled_size(
    height: int, width: int, side: Tuple[int, int], rule: Preprocessing
) -> Tuple[int, int]:
    """Return the height and width that a picture is scaled to before its centre is cut out."""
    if rule.resize == "stretch":
        return side
    shorter = max(round(min(side) / rule.crop_fraction), 1)
    if height <= width:
        scaled = (shorter, int(shorter * width / height))
    else:
        scaled = (int(shorter * height / width), shorter)
    # a frame of another aspect ratio than the model's must still cover it
    return max(scaled[0], side[0]), max(scaled[1], side[1])


class _Plan(NamedTuple):
    """How to resample one axis: blocks of `_BLOCK` lines, each a small matrix product.

    Attributes:
        first: First source line that plays a part.
        last: One past the last.
        kept: Lines of the result.
        starts: Per block, its first source line, from `first`.
        weights: ``(blocks, _BLOCK, width)`` float32; a row sums to 1. None: copy as it is.
    """

    first: int
    last: int
    kept: int
    starts: Tuple[int, ...]
    weights: Optional[np.ndarray]


@functools.lru_cache(maxsize=64)
def _plan(length: int, scaled: int, kept: int) -> _Plan:
    """Plan to scale ``length`` lines to ``scaled`` and to keep the middle ``kept`` of them."""
    offset = round((scaled - kept) / 2.0)
    if scaled == length:
        return _Plan(offset, offset + kept, kept, (), None)
    scale = length / scaled
    support = max(scale, 1.0)
    count = -(-kept // _BLOCK)
    # the last block may be longer than what is kept: its lines stay inside the picture
    centres = (np.arange(count * _BLOCK) + offset + 0.5) * scale
    centres = np.minimum(centres, length - 0.5).reshape(count, _BLOCK, 1)
    width = min(int((_BLOCK - 1) * scale + 2 * support) + 2, length)
    starts = np.floor(centres[:, 0, 0] - support).astype(int).clip(0, length - width)
    positions = starts[:, np.newaxis, np.newaxis] + np.arange(width) + 0.5
    weights = np.maximum(1.0 - np.abs(positions - centres) / support, 0.0)
    weights /= weights.sum(axis=2, keepdims=True)
    first = int(starts[0])
    return _Plan(
        first,
        int(starts[-1]) + width,
        kept,
        tuple(int(start) - first for start in starts),
        weights.astype(np.float32),
    )


def _resample_rows(picture: np.ndarray, plan: _Plan) -> np.ndarray:
    """Resample ``(lines, n, channels)`` uint8 to ``(channels, kept, n)`` float32."""
    lines = picture[plan.first : plan.last]
    if plan.weights is None:
        return np.ascontiguousarray(lines.transpose(2, 0, 1), dtype=np.float32)
    width = plan.weights.shape[2]
    count, channels = picture.shape[1:]
    step = max(_PRODUCT // (_BLOCK * width * channels), 1)
    result = np.empty((channels, len(plan.starts) * _BLOCK, count), dtype=np.float32)
    for block, (start, weights) in enumerate(zip(plan.starts, plan.weights)):
        for left in range(0, count, step):
            source = lines[start : start + width, left : left + step].astype(np.float32)
            rows = np.matmul(weights, source.reshape(width, -1)).reshape(_BLOCK, -1, channels)
            result[:, block * _BLOCK :][:, :_BLOCK, left : left + step] = rows.transpose(2, 0, 1)
    return result[:, : plan.kept]


def _resample_columns(planes: np.ndarray, plan: _Plan) -> np.ndarray:
    """Resample ``(channels, height, columns)`` float32 to ``(channels, height, kept)``."""
    if plan.weights is None:
        return planes
    channels, height, count = planes.shape
    lines = planes.reshape(-1, count)
    width = plan.weights.shape[2]
    step = max(_PRODUCT // (_BLOCK * width), 1)
    result = np.empty((len(lines), len(plan.starts) * _BLOCK), dtype=np.float32)
    for block, (start, weights) in enumerate(zip(plan.starts, plan.weights)):
        columns = result[:, block * _BLOCK :][:, :_BLOCK]
        for top in range(0, len(lines), step):
            source = lines[top : top + step, start : start + width]
            columns[top : top + step] = np.matmul(source, weights.T)
    return result[:, : plan.kept].reshape(channels, height, plan.kept)
