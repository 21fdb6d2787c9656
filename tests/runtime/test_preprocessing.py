from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgedeploy.errors import TensorMismatchError, UnknownNameError
from edgedeploy.runtime.preprocessing import Preprocessing, fit, normalise, prepare

if TYPE_CHECKING:
    from edgedeploy.types import Array

RULE = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1))


def noise(height: int, width: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def with_pillow(frame: Array, side: tuple[int, int], rule: Preprocessing) -> Array:
    """torchvision's Resize and CenterCrop on a Pillow image, for a square side; or a stretch."""
    height, width = frame.shape[:2]
    if rule.resize == "stretch":
        return np.asarray(Image.fromarray(frame).resize(side[::-1], Image.Resampling.BILINEAR))
    shorter = round(side[0] / rule.crop_fraction)
    if height <= width:
        scaled = (shorter, int(shorter * width / height))
    else:
        scaled = (int(shorter * height / width), shorter)
    resized = Image.fromarray(frame).resize(scaled[::-1], Image.Resampling.BILINEAR)
    top, left = (round((whole - part) / 2) for whole, part in zip(scaled, side, strict=True))
    return np.asarray(resized)[top : top + side[0], left : left + side[1]]


def levels_apart(one: Array, other: Array) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("side", [224, 97, 8])
@pytest.mark.parametrize(
    "size",
    [(480, 640), (641, 479), (224, 224), (256, 256), (255, 301), (30, 31), (1, 1), (1, 9), (90, 2)],
)
def test_fit_agrees_with_pillow_within_one_level(size: tuple[int, int], side: int) -> None:
    frame = noise(*size)
    fitted = fit(frame, (side, side), RULE)
    assert levels_apart(fitted, with_pillow(frame, (side, side), RULE)) <= 1


def test_a_very_large_picture_agrees_with_pillow_within_one_level() -> None:
    frame = np.tile(noise(600, 800), (10, 10, 1))  # 6000 × 8000
    assert levels_apart(fit(frame, (96, 96), RULE), with_pillow(frame, (96, 96), RULE)) <= 1


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    side=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    fraction=st.floats(0.3, 1),
    resize=st.sampled_from(["crop", "stretch"]),
)
def test_fit_agrees_with_pillow_for_any_size(
    size: tuple[int, int], side: tuple[int, int], fraction: float, resize: str
) -> None:
    if resize == "crop":
        side = (side[0], side[0])
    rule = RULE._replace(resize=resize, crop_fraction=fraction)
    frame = noise(*size)
    assert levels_apart(fit(frame, side, rule), with_pillow(frame, side, rule)) <= 1


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    side=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    color=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_a_plain_picture_stays_plain(
    size: tuple[int, int], side: tuple[int, int], color: tuple[int, int, int]
) -> None:
    """Weights sum to 1, and a crop never leaves the picture, whatever the aspect ratios."""
    fitted = fit(np.full((*size, 3), color, np.uint8), side, RULE)
    assert fitted.shape == (*side, 3)
    assert (fitted == color).all()


def test_a_picture_of_the_right_size_is_copied_where_nothing_is_cut() -> None:
    frame = noise(32, 32)
    fitted = fit(frame, (32, 32), RULE._replace(crop_fraction=1.0))
    np.testing.assert_array_equal(fitted, frame)
    fitted[:] = 0
    assert frame.any()


def test_the_middle_is_cut_out_and_the_rest_plays_no_part() -> None:
    frame = noise(100, 300)
    changed = frame.copy()
    changed[:, :90] = 0
    np.testing.assert_array_equal(fit(frame, (50, 50), RULE), fit(changed, (50, 50), RULE))


def test_views_and_read_only_frames_are_taken() -> None:
    frame = noise(64, 64)
    mirrored = frame[:, ::-1]
    np.testing.assert_array_equal(
        fit(mirrored, (32, 32), RULE), fit(np.ascontiguousarray(mirrored), (32, 32), RULE)
    )
    frame.flags.writeable = False
    fit(frame, (32, 32), RULE)


def test_grey_and_alpha_fit_as_their_colours_do() -> None:
    grey = noise(40, 30)[..., 0]
    wanted = fit(np.repeat(grey[..., None], 3, axis=2), (24, 24), RULE)
    np.testing.assert_array_equal(fit(grey, (24, 24), RULE), wanted)
    np.testing.assert_array_equal(fit(grey[..., None], (24, 24), RULE), wanted)
    colour = noise(40, 30)
    alpha = np.dstack([colour, grey])
    np.testing.assert_array_equal(fit(alpha, (24, 24), RULE), fit(colour, (24, 24), RULE))


def test_a_frame_that_is_no_picture_is_refused_with_what_it_is() -> None:
    with pytest.raises(
        TensorMismatchError, match=r"int16 \(4, 4, 3\), it must be uint8 \(H, W, 3\)"
    ):
        fit(np.zeros((4, 4, 3), np.int16), (8, 8), RULE)


def test_normalise_follows_the_formula_channel_by_channel() -> None:
    rule = Preprocessing(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    pixels = noise(5, 7)[None]
    batch = normalise(pixels, rule)
    assert batch.dtype == np.float32
    assert batch.shape == (1, 3, 5, 7)
    assert batch.flags.c_contiguous
    wanted = ((pixels - np.array(rule.mean)) / np.array(rule.std)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(batch, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("given_color", ["rgb", "bgr"])
@pytest.mark.parametrize("model_color", ["rgb", "bgr"])
def test_prepare_puts_channels_in_the_models_order(given_color: str, model_color: str) -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[..., 0 if given_color == "rgb" else 2] = 200  # red
    batch = prepare(frame, (4, 4), RULE._replace(color=model_color), given_color)
    assert [int(c) for c in np.flatnonzero(batch.max(axis=(0, 2, 3)))] == [
        0 if model_color == "rgb" else 2
    ]


def test_an_order_of_channels_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no order of channels is called 'RGB'"):
        prepare(noise(4, 4), (4, 4), RULE, "RGB")
