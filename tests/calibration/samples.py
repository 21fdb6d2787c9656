"""Calibrations for tests, and a comparison that looks into their arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from edgedeploy.calibration import arrays
from edgedeploy.calibration_values import Calibration, Correction, Spending, TensorRange
from edgedeploy.runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edgedeploy.types import Array

NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1, max_size=12
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
SCALES = st.floats(
    min_value=float(np.float32(1e-45)), max_value=float(np.finfo(np.float32).max), width=32
)


def calibration(**changes: Any) -> Calibration:
    """A small one, without arrays."""
    made = Calibration(
        model_sha256="a" * 64,
        data_digest="b" * 64,
        data_count=200,
        method="entropy",
        side=(224, 192),
        preprocessing=Preprocessing(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
        ranges={"block/é": TensorRange(min=-0.1, max=7.25, low=0.0, high=6.0)},
        versions={"onnxruntime": "1.2.3"},
    )
    return replace(made, **changes)


def correction(channels: int = 4, *, rounded: bool = True, seed: int = 0) -> Correction:
    """Biases of a 3x3 convolution and, mostly 0, deltas of its weights."""
    draw = np.random.default_rng(seed)
    deltas = draw.integers(-1, 2, (channels, 3, 3, 3)) * (draw.random((channels, 3, 3, 3)) < 0.1)
    return Correction(
        bias=draw.normal(size=channels).astype(np.float32),
        rounding=deltas.astype(np.int8) if rounded else None,
    )


def with_arrays(**changes: Any) -> Calibration:
    """One with every kind of array."""
    return calibration(
        **{
            "equalisation": {"block/é": np.array([0.5, 2.0], np.float32)},
            "corrections": {
                "s8": {"conv/a": correction(), "conv/b": correction(2, rounded=False)},
                "u8": {"conv/a": correction(seed=1)},
                "u8-vnni": {},
            },
            "max_drop": 0.5,
            "spending": {"s8": left_float("conv/b")},
            **changes,
        }
    )


def left_float(*layers: str) -> Spending:
    """A budget that was kept by leaving these layers in float."""
    return Spending(
        images=200,
        before=2.5,
        after=0.5,
        changed_before=12.0,
        changed_after=3.0,
        left_float=layers,
        harms={**dict.fromkeys(layers, 0.25), "conv/c": -0.001},
    )


@st.composite
def ranges(draw: st.DrawFn) -> TensorRange:
    """Any range that a file can hold."""
    low, high = sorted(draw(st.lists(FLOATS, min_size=2, max_size=2, unique=True)))
    least, most = sorted((draw(FLOATS), draw(FLOATS)))
    return TensorRange(
        min=least, max=most, low=low, high=high, method=draw(st.sampled_from(["", "mse"]))
    )


@st.composite
def equalisations(draw: st.DrawFn) -> dict[str, Array]:
    """Scales of a few tensors."""
    names = draw(st.lists(NAMES, max_size=3, unique=True))
    return {
        name: np.array(draw(st.lists(SCALES, min_size=1, max_size=4)), np.float32) for name in names
    }


@st.composite
def corrections(draw: st.DrawFn) -> dict[str, dict[str, Correction]]:
    """Corrections of a few layers in some of the styles."""
    found: dict[str, dict[str, Correction]] = {}
    for style in draw(st.lists(st.sampled_from(arrays.STYLES), unique=True)):
        found[style] = {
            name: correction(
                draw(st.integers(1, 3)),
                rounded=draw(st.booleans()),
                seed=draw(st.integers(0, 9)),
            )
            for name in draw(st.lists(NAMES, max_size=3, unique=True))
        }
    return found


_POINTS = st.floats(0, 100)


@st.composite
def spending(draw: st.DrawFn) -> dict[str, Spending]:
    """What a budget took in some of the styles."""
    found = {}
    for style in draw(st.lists(st.sampled_from(arrays.STYLES), unique=True)):
        harms = draw(st.dictionaries(NAMES, st.floats(-10, 10), max_size=4))
        found[style] = Spending(
            images=draw(st.integers(1, 200)),
            before=draw(_POINTS),
            after=draw(_POINTS),
            changed_before=draw(_POINTS),
            changed_after=draw(_POINTS),
            left_float=tuple(draw(st.lists(st.sampled_from(list(harms) or ["a"]), unique=True))),
            harms=harms,
        )
    return found


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    """Any calibration that a file can hold."""
    return calibration(
        ranges=draw(st.dictionaries(st.text(min_size=1), ranges(), max_size=5)),
        data_count=draw(st.integers(1, 10**6)),
        method=draw(st.sampled_from(["minmax", "entropy"])),
        unreadable=draw(st.dictionaries(st.text(), st.text(), max_size=2)),
        equalisation=draw(equalisations()),
        corrections=draw(corrections()),
        max_drop=draw(st.none() | st.floats(0, 100, exclude_min=True)),
        spending=draw(spending()),
    )


def is_same(one: Calibration, two: Calibration) -> bool:
    """Whether two calibrations are equal in everything but the file's digest."""
    bare: dict[str, Any] = {"equalisation": {}, "corrections": {}, "sha256": ""}
    first, second = arrays.named(one), arrays.named(two)
    return (
        replace(one, **bare) == replace(two, **bare)
        and arrays.index(one) == arrays.index(two)
        and all(np.array_equal(first[what], second[what]) for what in first)
        and all(first[what].dtype == second[what].dtype for what in first)
    )
