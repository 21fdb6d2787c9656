"""What turns a picture into a model's input: one rule, one resize, used everywhere."""

from typing import NamedTuple, Tuple

import numpy as np

from .errors import TensorMismatchError

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


def fit(frame: np.ndarray, side: Tuple[int, int], rule: Preprocessing) -> np.ndarray:
    """Scale and cut a picture to the model's size: bilinear, with antialias when it shrinks.

    Args:
        frame: ``(H, W, 3)`` uint8 of any size.
        side: Height and width of the result.
        rule: Which rule to follow; its mean and std play no part.

    Returns:
        ``(height, width, 3)`` uint8, owned by the caller.

    Raises:
        TensorMismatchError: The frame is no ``(H, W, 3)`` uint8 array.

    Source:
        The filter is Pillow's BILINEAR (src/libImaging/Resample.c): a triangle whose support
        grows with the scale; sizes and offsets are those of torchvision's Resize and CenterCrop.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise TensorMismatchError(
            f"the frame is {frame.dtype} {frame.shape}, it must be uint8 (H, W, 3)",
            fix="pass a decoded picture with 3 channels and values 0 to 255",
        )
    height, width = frame.shape[:2]
    if rule.resize == "stretch":
        scaled = side
    else:
        shorter = max(int(round(min(side) / rule.crop_fraction)), 1)
        if height <= width:
            scaled = (shorter, max(int(shorter * width / height), 1))
        else:
            scaled = (max(int(shorter * height / width), 1), shorter)
        # a frame of another aspect ratio than the model's must still cover it
        scaled = (max(scaled[0], side[0]), max(scaled[1], side[1]))
    rows = _resample(frame.reshape(height, width * 3), scaled[0], side[0])
    columns = rows.reshape(side[0], width, 3).transpose(1, 0, 2).reshape(width, side[0] * 3)
    pixels = _resample(columns, scaled[1], side[1]).reshape(side[1], side[0], 3).transpose(1, 0, 2)
    return np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


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


def _resample(lines: np.ndarray, scaled: int, kept: int) -> np.ndarray:
    """Scale axis 0 to ``scaled`` lines and return the middle ``kept`` of them, as float32."""
    length = lines.shape[0]
    offset = int(round((scaled - kept) / 2.0))
    if scaled == length:
        return lines[offset : offset + kept].astype(np.float32)
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
    return result
