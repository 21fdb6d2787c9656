"""What turns a picture into a model's input: one rule, one resize, used everywhere."""

from typing import Any, NamedTuple, Tuple

import numpy as np

from .errors import TensorMismatchError, UnknownNameError

Triple = Tuple[float, float, float]

RESIZES = ("crop", "stretch")
COLORS = ("rgb", "bgr")


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


def fit(
    frame: np.ndarray, side: Tuple[int, int], rule: Preprocessing, color: str = "rgb"
) -> np.ndarray:
    """Scale and cut a picture to the model's size: bilinear, with antialias when it shrinks.

    Args:
        frame: uint8 of any size: ``(H, W, 3)``, ``(H, W, 4)``, whose alpha is dropped, or grey,
            ``(H, W)`` or ``(H, W, 1)``.
        side: Height and width of the result.
        rule: Which rule to follow; its mean and std play no part.
        color: Order of the frame's channels, ``"rgb"`` or ``"bgr"``; with alpha RGBA or BGRA.

    Returns:
        ``(height, width, 3)`` uint8 in the order of ``rule.color``, owned by the caller.

    Raises:
        TensorMismatchError: The frame is none of these.
        UnknownNameError: There is no such order of channels.

    Source:
        The filter is Pillow's BILINEAR (src/libImaging/Resample.c): a triangle whose support
        grows with the scale; sizes and offsets are those of torchvision's Resize and CenterCrop.
    """
    if color not in COLORS:
        raise UnknownNameError("order of channels", color, COLORS)
    picture = _channels(frame)
    scaled = _scaled_size(picture.shape[0], picture.shape[1], side, rule)
    rows = _resample(picture, scaled[0], side[0])
    pixels = _resample(rows.transpose(1, 0, 2), scaled[1], side[1]).transpose(1, 0, 2)
    fitted = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if fitted.shape[2] == 1:
        return np.repeat(fitted, 3, axis=2)
    return np.ascontiguousarray(fitted if color == rule.color else fitted[..., ::-1])


def normalise(pixels: np.ndarray, rule: Preprocessing) -> np.ndarray:
    """Turn fitted pixels into the model's input.

    Args:
        pixels: ``(N, H, W, 3)`` uint8 in the order of ``rule.color``.
        rule: Mean and std.

    Returns:
        ``(N, 3, H, W)`` float32, contiguous, owned by the caller.
    """
    mean = np.asarray(rule.mean, dtype=np.float32)
    scale = (1.0 / np.asarray(rule.std, dtype=np.float64)).astype(np.float32)
    return np.ascontiguousarray(((pixels - mean) * scale).transpose(0, 3, 1, 2))


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


def _resample(picture: np.ndarray, scaled: int, kept: int) -> np.ndarray:
    """Scale axis 0 to ``scaled`` lines and return the middle ``kept`` of them, as float32."""
    length = picture.shape[0]
    lines = picture.reshape(length, -1)
    offset = round((scaled - kept) / 2.0)
    if scaled == length:
        return picture[offset : offset + kept].astype(np.float32)
    scale = length / scaled
    support = max(scale, 1.0)
    result = np.empty((kept, lines.shape[1]), dtype=np.float32)
    for line in range(kept):
        centre = (line + offset + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), length)
        distance = (np.arange(first, last) + 0.5 - centre) / support
        weights = np.maximum(1.0 - np.abs(distance), 0.0)
        weights /= weights.sum()
        np.dot(weights.astype(np.float32), lines[first:last].astype(np.float32), out=result[line])
    return result.reshape((kept, *picture.shape[1:]))
