from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

from edgedeploy.calibration.feeding import Feed
from edgedeploy.calibration.recipe import CORRECT_BIAS, EQUALISE, ROUND, STEPS, check_steps, follow
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import UnknownNameError
from edgedeploy.graph.equalise import links
from edgedeploy.graph.qdq import quantise
from edgedeploy.images import open_images
from edgedeploy.runtime.preprocessing import Preprocessing
from tests.calibration.networks import layers, means_of, prepared, tensors
from tests.graph.networks import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.calibration import recipe
    from edgedeploy.calibration_values import Correction

RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)
STYLES = {"u8", "u8-vnni", "s8"}


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    draw = np.random.default_rng(0)
    for number in range(8):
        light = draw.uniform(0.3, 1.0)
        frame = (draw.integers(0, 256, size=(16, 16, 3)) * light).astype(np.uint8)
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    images = open_images(tmp_path)
    return Feed(images=images, side=(16, 16), preprocessing=RULE, keep=True)


def _follow(feed: Feed, form: str = "residual", *steps: str) -> recipe.Result:
    return follow(prepared(form), feed, feed, feed, method="minmax", steps=steps, threads=1)


@pytest.mark.parametrize("rounding", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("equalising", [False, True])
def test_every_step_can_be_left_out(
    feed: Feed, *, equalising: bool, bias: bool, rounding: bool
) -> None:
    chosen = zip(STEPS, (equalising, rounding, bias), strict=True)
    found = _follow(feed, "residual", *(step for step, wanted in chosen if wanted))
    assert bool(found.equalisation) is equalising
    assert set(found.corrections) == (STYLES if bias or rounding else set())
    for corrections in found.corrections.values():
        assert set(corrections) == set(layers(prepared("residual")))
        for one in corrections.values():
            assert (one.rounding is not None) is rounding
            assert bool(one.bias.any()) is bias


def test_ranges_are_of_the_equalised_network(feed: Feed) -> None:
    plain, scaled = _follow(feed), _follow(feed, "residual", EQUALISE)
    scale = scaled.equalisation["expand/act"]
    assert scale.max() > 1
    # every channel now reaches as far as the widest one did
    assert scaled.ranges["expand/act"].high == pytest.approx(plain.ranges["expand/act"].high)
    assert plain.ranges["stem/act"] == scaled.ranges["stem/act"]  # the residual reads it: no link


def test_the_float_network_is_left_equalised_and_answers_as_before(feed: Feed) -> None:
    model = prepared("mixed")
    batch = np.concatenate(list(feed.batches()))
    expected = run(model, batch)
    weight = links(model.graph)[0].producer.inputs[1]
    follow(model, feed, feed, feed, method="minmax", steps=(EQUALISE,), threads=1)
    assert links(model.graph)[0].producer.inputs[1] is not weight
    np.testing.assert_allclose(run(model, batch), expected, rtol=1e-3, atol=1e-4)


def test_biases_are_corrected_towards_the_means_of_the_equalised_network(feed: Feed) -> None:
    """Means before the channels were scaled would be far off."""
    model = prepared("residual")
    found = follow(
        model, feed, feed, feed, method="minmax", steps=(EQUALISE, CORRECT_BIAS), threads=1
    )
    batch = np.concatenate(list(feed.batches()))
    means = means_of(model, batch)  # of the model as it is left
    for name, one in found.corrections["s8"].items():
        assert np.abs(one.bias).max() < 0.05 * np.abs(means[name]).max()


def test_biases_are_corrected_by_what_the_same_pictures_give_in_float(
    feed: Feed, tmp_path: Path
) -> None:
    """How far a sample's mean is from that of all pictures is no error of INT8."""
    few = Feed(images=open_images(tmp_path).evenly(3), side=(16, 16), preprocessing=RULE)
    model = prepared("residual")
    steps = (EQUALISE, CORRECT_BIAS)
    found = follow(model, feed, few, few, method="minmax", steps=steps, threads=1)
    batch = np.concatenate(list(few.batches()))
    exact = tensors(model, ["logits"], batch)["logits"]
    quantise(model, found.ranges, QdqStyle.S8, corrections=found.corrections["s8"])
    mean = tensors(model, ["logits"], batch)["logits"].mean(axis=0)
    np.testing.assert_allclose(mean, exact.mean(axis=0), atol=1e-3 * np.abs(exact).max())


def _flat(found: Mapping[str, Mapping[str, Correction]]) -> dict[str, bytes]:
    return {
        f"{style} {name}": one.bias.tobytes() + np.asarray(one.rounding).tobytes()
        for style, corrections in found.items()
        for name, one in corrections.items()
    }


def test_the_same_pictures_give_the_same_bytes(feed: Feed) -> None:
    first, second = (_follow(feed, "mixed", *STEPS) for _ in range(2))
    assert first.ranges == second.ranges
    assert _flat(first.corrections) == _flat(second.corrections)
    scales = [{n: a.tobytes() for n, a in one.equalisation.items()} for one in (first, second)]
    assert scales[0] == scales[1]


def test_full_weights_are_corrected_for_themselves(feed: Feed) -> None:
    found = _flat(_follow(feed, "residual", ROUND, CORRECT_BIAS).corrections)
    assert found["u8 head/norm"] != found["u8-vnni head/norm"]


@pytest.mark.parametrize("steps", [(), (EQUALISE,), (ROUND,), STEPS])
def test_progress_never_goes_back_and_ends_at_the_total(feed: Feed, steps: tuple[str, ...]) -> None:
    seen: list[tuple[int, int]] = []
    follow(
        prepared("residual"),
        feed,
        feed,
        feed,
        method="minmax",
        steps=steps,
        threads=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    done = [now for now, _ in seen]
    assert done == sorted(done)
    assert len({total for _, total in seen}) == 1
    assert seen[-1][0] == seen[-1][1]


def test_progress_ends_at_the_total_where_a_picture_cannot_be_read(tmp_path: Path) -> None:
    for number in range(20):
        Image.new("RGB", (16, 16), (number * 9, 50, 0)).save(tmp_path / f"{number:02}.png")
    (tmp_path / "05.png").write_bytes(b"no picture")
    for keep in (False, True):
        feed = Feed(images=open_images(tmp_path), side=(16, 16), preprocessing=RULE, keep=keep)
        seen: list[int] = []
        follow(
            prepared("residual"),
            feed,
            feed,
            feed,
            method="minmax",
            steps=(EQUALISE,),
            threads=1,
            progress=lambda done, _total, seen=seen: seen.append(done),  # type: ignore[misc]
        )
        assert seen == sorted(seen)
        assert seen[-1] == 40
        assert list(feed.unreadable) == ["05.png"]


def test_steps_are_taken_in_the_recipes_order() -> None:
    assert check_steps((CORRECT_BIAS, EQUALISE)) == (EQUALISE, CORRECT_BIAS)
    assert check_steps(()) == ()
    with pytest.raises(UnknownNameError, match=r"no step of the recipe is called 'equalize'"):
        check_steps(("equalize",))


def test_the_graph_is_still_one_that_onnx_knows(feed: Feed) -> None:
    import onnx

    model = prepared("constants")
    follow(model, feed, feed, feed, method="auto", steps=STEPS, threads=1)
    onnx.checker.check_model(ir.serde.serialize_model(model), full_check=True)
