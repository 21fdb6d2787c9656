from __future__ import annotations

import pytest

from edgedeploy.errors import UnknownNameError, UsageError
from edgedeploy.training.spec import RULE, STYLE
from edgedeploy.types import Family
from edgedeploy.zoo import presets
from edgedeploy.zoo.rows import Activation, Padding
from tests.zoo.peers import V1, V2


def test_torchvision_images_are_normalised_by_imagenet_statistics_in_pixel_units() -> None:
    rule = presets.get("torchvision").preprocessing
    assert rule.mean == pytest.approx((123.675, 116.28, 103.53))
    assert rule.std == pytest.approx((58.395, 57.12, 57.375))
    assert rule.crop_fraction == 0.875


@pytest.mark.parametrize("name", ["timm-v1", "keras"])
def test_inception_statistics_map_pixels_to_minus_one_to_one(name: str) -> None:
    rule = presets.get(name).preprocessing
    assert (0 - rule.mean[0]) / rule.std[0] == -1
    assert (255 - rule.mean[0]) / rule.std[0] == 1


def test_keras_pads_its_two_families_differently() -> None:
    keras = presets.get("keras")
    v1, v2 = (keras.style(family, None) for family in (V1, V2))
    assert (v1.padding_of("stem"), v1.padding) == (Padding.SAME, Padding.BOTTOM_RIGHT)
    assert (v2.padding_of("stem"), v2.padding) == (Padding.SAME, Padding.SAME)
    assert v1.eps == v2.eps == 1e-3


def test_torchvision_does_not_know_the_activation_of_v1() -> None:
    torchvision = presets.get("torchvision")
    assert torchvision.style(V2, None).activation is Activation.RELU6
    assert torchvision.style(V1, Activation.RELU).activation is Activation.RELU
    with pytest.raises(UsageError, match="same tensors\n  fix: pass --activation relu or"):
        torchvision.style(V1, None)


def test_preset_of_the_other_family_is_refused() -> None:
    with pytest.raises(
        UsageError, match="timm-v1 is for mobilenet_v1, the network is mobilenet_v2"
    ):
        presets.get("timm-v1").style(V2, None)


def test_our_own_preset_is_how_train_trains_every_family() -> None:
    ours = presets.get("edgedeploy")
    assert {ours.style(family, None) for family in Family} == {STYLE}
    assert ours.preprocessing == RULE


def test_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'torchvision'"):
        presets.get("torch-vision")
