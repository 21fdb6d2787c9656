"""The squared error that quantising to a range adds, expected from a histogram; its least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.calibration.histogram import BINS
from edgedeploy.calibration_values import QdqStyle

if TYPE_CHECKING:
    from edgedeploy.calibration.channels import Channels
    from edgedeploy.calibration.histogram import Histogram
    from edgedeploy.types import Array

_MERGED = 8  # bins of a Histogram that become one: still finer than a step of 8 bits
_CUTS_PER_OCTAVE = 16
_OCTAVES = 6


@dataclass(frozen=True, slots=True)
class Density:
    """How much lies where: a histogram whose bins are spread evenly within.

    Attributes:
        edges: ``(bins + 1,)`` float64, equally spaced.
        mass: ``(bins,)`` float64: values, or values times what an error in them costs.
    """

    edges: Array
    mass: Array


def density_of(histogram: Histogram) -> Density:
    """Return one tensor's density; every value costs the same, and a ReLU's zeros nothing."""
    mass = histogram.counts.astype(np.float64)
    if histogram.min >= 0.0:
        mass[BINS] = 0.0  # the zeros, and what is below a 4096th of the range
    return _spread(mass.reshape(-1, _MERGED).sum(axis=1), histogram.width * _MERGED)


def weighted_density_of(channels: Channels, weights: Array) -> Density:
    """Return one tensor's density where a squared error in channel c costs ``weights[c]``."""
    return _spread(channels.weighted(weights), channels.width)


def expected(density: Density, low: Array, high: Array, style: QdqStyle) -> Array:
    """Return the squared error of quantising to each range: what rounds, and what is clipped.

    Inside the range rounding errs evenly by up to half a step, step² / 12 on average; what lies
    outside errs by its distance from the range.

    Args:
        density: Of the tensor.
        low: ``(ranges,)`` at most 0.
        high: ``(ranges,)`` at least 0, and above ``low``.
        style: u8 divides the range into 255 steps; s8 the larger end into 127, on both sides.

    Returns:
        ``(ranges,)`` float64, summed over the mass.

    Source:
        Banner et al. 2019, "Post training 4-bit quantization of convolutional networks for
        rapid-deployment" (ACIQ), section 3.1: clipping plus quantisation noise; the densities here
        are measured, not assumed.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if style is QdqStyle.S8:
        high = np.maximum(-low, high)
        low, step = -high, high / 127
    else:
        step = (high - low) / 255
    width = density.edges[1] - density.edges[0]
    above = np.maximum(density.edges - high[:, None], 0.0)
    below = np.maximum(low[:, None] - density.edges, 0.0)
    # the mean over a bin of the squared distance: the difference of its integral, d³ / 3
    clipped = (np.diff(above**3, axis=1) - np.diff(below**3, axis=1)) / (3 * width)
    inside = 1.0 - (np.diff(above, axis=1) - np.diff(below, axis=1)) / width
    found: Array = clipped @ density.mass + step**2 / 12 * (inside @ density.mass)
    return found


def harm(density: Density, low: Array, high: Array) -> Array:
    """Return the error of each range relative to the first one's, summed over both styles.

    One range serves both styles, and each of them has its own step.
    """
    total = np.zeros(len(low))
    for style in QdqStyle:
        errors = expected(density, low, high, style)
        total += errors / errors[0] if errors[0] > 0.0 else errors
    return total


def threshold(histogram: Histogram) -> float:
    """Return the magnitude to cut at for the least squared error of the tensor's own values.

    Args:
        histogram: Of values that are not all 0.

    Source:
        Wu et al. 2020 (see `percentile`) cite the search; Banner et al. 2019 derive it for given
        distributions. Cuts lie a sixteenth of an octave apart: the error is flat at its least.
    """
    largest = max(-histogram.min, histogram.max)
    cuts = largest * 2.0 ** (-np.arange(_OCTAVES * _CUTS_PER_OCTAVE) / _CUTS_PER_OCTAVE)
    low = np.maximum(min(histogram.min, 0.0), -cuts)
    high = np.minimum(max(histogram.max, 0.0), cuts)
    return float(cuts[np.argmin(harm(density_of(histogram), low, high))])


def _spread(mass: Array, width: float) -> Density:
    half = len(mass) // 2
    return Density(np.arange(-half, half + 1) * width, mass)
