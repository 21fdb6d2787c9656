"""Which way each weight is rounded, so that a layer's output errs least on what it really reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgedeploy.types import Array

DAMPING = 0.01
_BLOCK = 64
_MOST = 127
_PAIR = 128  # two weights of one sign: 255 · 128 < 2^15


def round_weights(
    weight: Array, scale: Array, moments: Array, *, neighbours: Array | None = None
) -> Array:
    """Round column by column, and let the columns to come make up for what each has lost.

    The error of a layer's output is eᵀ·H·e with e the error of one output channel's weights and H
    the second moments of its inputs, about their mean: the mean is what the bias corrects. Columns
    with the largest moments come first. The largest weight of each channel stays what it is, so
    that quantising the result again gives the same integers; only a neighbour may take from it.

    Args:
        weight: ``(groups, rows, columns)`` float32: output channels by inputs and taps.
        scale: ``(groups, rows)`` float32, above 0.
        moments: ``(groups, columns, columns)`` H, float64.
        neighbours: ``(columns, n)``: per column those that one kernel adds in 16 bits; with one
            of the same sign it must not exceed 128. None bounds nothing.

    Returns:
        int8 of the weight's shape.

    Source:
        Frantar et al. 2023, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
        Transformers", section 3.3, without its grouping; damping 1 % of the mean diagonal.
    """
    order = np.argsort(-moments.diagonal(axis1=1, axis2=2).sum(axis=0), kind="stable")
    factor = _inverse_factor(moments[:, order][:, :, order])
    steps = (weight.astype(np.float64) / scale[:, :, None])[:, :, order]
    keep = np.abs(steps) >= np.abs(steps).max(axis=2, keepdims=True)
    nearest = np.rint(steps)
    whole = np.zeros(steps.shape)
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    for start in range(0, steps.shape[2], _BLOCK):
        stop = min(start + _BLOCK, steps.shape[2])
        lost = np.empty((*steps.shape[:2], stop - start))
        for column in range(start, stop):
            value = steps[:, :, column]
            found = np.where(keep[:, :, column], nearest[:, :, column], np.rint(value))
            beside = None if neighbours is None else place[neighbours[order[column]]]
            whole[:, :, column] = _bound(found, whole, beside)
            error = (value - whole[:, :, column]) / factor[:, None, column, column]
            lost[:, :, column - start] = error
            rest = slice(column + 1, stop)
            steps[:, :, rest] -= error[:, :, None] * factor[:, None, column, rest]
        steps[:, :, stop:] -= lost @ factor[:, start:stop, stop:]
    result: Array = whole[:, :, place].astype(np.int8)
    return result


def _bound(found: Array, whole: Array, beside: Array | None) -> Array:
    """Keep integers within 8 bits, and within what their neighbours, 0 if unknown, leave."""
    if beside is None or beside.size == 0:
        return np.clip(found, -_MOST, _MOST)
    taken = whole[:, :, beside]
    high = np.minimum(_MOST, _PAIR - np.maximum(taken.max(axis=2), 0.0))
    low = np.maximum(-_MOST, -_PAIR - np.minimum(taken.min(axis=2), 0.0))
    bounded: Array = np.clip(found, low, high)
    return bounded


def _inverse_factor(moments: Array) -> Array:
    """Return the upper Cholesky factor of the damped moments' inverse, ``(groups, n, n)``."""
    damped = moments.copy()
    diagonal = np.einsum("gii->gi", damped)  # a view
    mean = diagonal.mean(axis=1, keepdims=True)
    diagonal += np.where(mean > 0, DAMPING * mean, 1.0)
    # the inverse's upper factor U, with inverse = Uᵀ·U, from the lower one of the reversed matrix
    flipped = np.linalg.cholesky(damped[:, ::-1, ::-1])[:, ::-1, ::-1]
    identity = np.broadcast_to(np.eye(moments.shape[1]), moments.shape)
    result: Array = np.linalg.solve(flipped, identity)
    return result
