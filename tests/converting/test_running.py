from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgedeploy.converting import feeding, means, running
from edgedeploy.errors import FileError
from edgedeploy.graph import dac
from edgedeploy.runtime.preprocessing import Preprocessing
from tests.converting.networks import LAYERS, vgg
from tests.graph.networks import Sketch, pictures, producers, run

ONE_BY_ONE = tuple(np.split(pictures(), 4))


def outputs(model: ir.Model, name: str) -> np.ndarray:
    """A tensor inside, of all pictures."""
    seen = model.clone()
    seen.graph.outputs[:] = [producers(seen)[name].outputs[0]]
    result: np.ndarray = run(seen, pictures())
    return result


@pytest.mark.parametrize("opset", [13, 18])
def test_channel_means_are_those_of_the_tensors(opset: int) -> None:
    model = vgg(opset=opset)
    found = running.channel_means(model, {"a/conv": 4, "c/conv": 4}, ONE_BY_ONE, 1)
    for name, mean in found.items():
        wanted = outputs(model, name).mean(axis=(0, 2, 3))
        np.testing.assert_allclose(mean, wanted, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 18])
def test_activity_is_the_mean_and_the_share_that_is_not_0(opset: int) -> None:
    model = vgg(opset=opset)
    for name in ("b/act", "b/conv"):  # the second with values below 0
        mean, share = running.activity(model, name, 4, ONE_BY_ONE, 1)
        wanted = outputs(model, name)
        np.testing.assert_allclose(mean, wanted.mean(axis=(0, 2, 3)), atol=1e-5)
        np.testing.assert_allclose(share, (wanted != 0).mean(axis=(0, 2, 3)), atol=1e-6)


def test_corrected_biases_give_means_behind_activations_back() -> None:
    model = vgg()
    changed = model.clone()
    dac.decompose(changed, dict.fromkeys(LAYERS, 1))
    plain = changed.clone()
    done: list[tuple[int, int]] = []
    means.correct_biases(
        model, changed, LAYERS, ONE_BY_ONE, threads=1, progress=lambda *step: done.append(step)
    )
    for name in ("a/act", "b/act", "c/act"):
        wanted, before, after = (
            outputs(one, name).mean(axis=(0, 2, 3)) for one in (model, plain, changed)
        )
        assert np.abs(after - wanted).mean() < np.abs(before - wanted).mean() / 2
    assert done == [(1, 3), (2, 3), (3, 3)]
    names = list(changed.graph.initializers)
    assert "a/b" not in names
    assert [name for name in names if "bias" in name] == [
        f"{name}/dac_pointwise/bias" for name in LAYERS
    ]


def test_without_an_activation_the_means_are_exact() -> None:
    model = vgg()
    model.graph.outputs[:] = [producers(model)["c/conv"].outputs[0]]
    changed = model.clone()
    dac.decompose(changed, {"c/conv": 1})
    means.correct_biases(model, changed, ["c/conv"], ONE_BY_ONE, threads=1)
    wanted = run(model, pictures()).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(run(changed, pictures()).mean(axis=(0, 2, 3)), wanted, atol=1e-5)


def test_a_layer_without_a_bias_gets_one() -> None:
    model = vgg()
    producers(model)["b/conv"].resize_inputs(2)
    changed = model.clone()
    dac.decompose(changed, {"b/conv": 1})
    assert len(producers(changed)["b/conv"].inputs) == 2
    means.correct_biases(model, changed, ["b/conv"], ONE_BY_ONE, threads=1)
    assert len(producers(changed)["b/conv"].inputs) == 3


def test_answers_that_are_not_finite_are_refused() -> None:
    model = vgg()
    weight = model.graph.initializers["classifier/w"]
    weight.const_value = ir.tensor(np.full((4, 16, 1, 1), np.inf, np.float32), name=weight.name)
    with pytest.raises(FileError, match="logits has values that are not finite"):
        running.answers(model, ONE_BY_ONE, 1)


def test_noise_is_the_same_every_time_and_as_bright_as_pictures() -> None:
    rule = Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3)
    first, again = (np.concatenate(feeding.noise((20, 13), rule)) for _ in range(2))
    assert first.shape == (8, 3, 20, 13)
    np.testing.assert_array_equal(first, again)
    assert 0 <= first.min() < 20
    assert 235 < first.max() <= 255
    assert first.mean() == pytest.approx(127.5, abs=3)


def test_noise_for_an_unknown_rule_has_mean_0_and_deviation_1() -> None:
    found = np.concatenate(feeding.noise((16, 16), None))
    assert found.mean() == pytest.approx(0.0, abs=1e-6)
    assert found.std() == pytest.approx(1.0, abs=1e-6)


def test_noise_has_coarse_parts_too() -> None:
    found = np.concatenate(feeding.noise((32, 32), None)).astype(np.float64)
    blocks = found.reshape(8, 3, 4, 8, 4, 8).mean(axis=(3, 5))
    assert blocks.std() > 0.4  # of white noise it would be 1/8


def test_inputs_that_the_network_does_not_take_are_an_error_with_their_size() -> None:
    graph = Sketch()
    value = graph.convolve("image", "a", (4, 3, 3, 3), act="", pads=[0] * 4)
    model = graph.model(value, sides=("h", "w"))
    tiny = np.zeros((1, 3, 2, 2), np.float32)
    with pytest.raises(FileError, match=r"run the model on image \(1, 3, 2, 2\): .*Conv") as said:
        running.answers(model, [tiny], 1)
    assert "--resolution R" in said.value.fix
    assert "[ONNXRuntimeError]" not in said.value.problem
