"""What the tensors of published weights do not say: preprocessing, and the style of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.errors import UnknownNameError, UsageError
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.types import PUBLISHED, Family
from edgedeploy.zoo.rows import Activation, Padding, Style

if TYPE_CHECKING:
    from collections.abc import Mapping

_IMAGENET = Preprocessing(
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255), std=(0.229 * 255, 0.224 * 255, 0.225 * 255)
)
_INCEPTION = Preprocessing(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one publisher trains its MobileNets.

    Attributes:
        name: What ``--preset`` takes.
        families: The families that it knows.
        activation: None where the publisher has no such network, so that nobody can know.
        padding: Of every convolution but the stem.
        stem_padding: Of the stem; None means ``padding``.
        eps: Batch norm's epsilon.
        preprocessing: Mean and std in 0-255 units, and the crop.
    """

    name: str
    families: frozenset[Family]
    activation: Mapping[Family, Activation]
    padding: Mapping[Family, Padding]
    stem_padding: Padding | None = None
    eps: float
    preprocessing: Preprocessing

    def style(self, family: Family, activation: Activation | None) -> Style:
        """Return the rows' style for ``family``; a given ``activation`` goes before the preset's.

        Raises:
            UsageError: The preset is another family's, or nobody says which activation it is.
        """
        if family not in self.families:
            raise UsageError(
                f"preset {self.name} is for {_names(self.families)}, the network is {family.value}",
                fix=f"use one of: {', '.join(p.name for p in PRESETS if family in p.families)}",
            )
        chosen = activation or self.activation.get(family)
        if chosen is None:
            raise UsageError(
                f"neither the weights nor preset {self.name} say what {family.value} has behind "
                "its convolutions: relu and relu6 have the same tensors",
                fix="pass --activation relu or --activation relu6, as the network was trained",
            )
        return Style(
            activation=chosen,
            padding=self.padding[family],
            stem_padding=self.stem_padding,
            eps=self.eps,
        )


_BOTH = frozenset(PUBLISHED)
_SYMMETRIC = dict.fromkeys(Family, Padding.SYMMETRIC)
_RELU6 = dict.fromkeys(Family, Activation.RELU6)

# Sources:
#   torchvision/models/mobilenetv2.py (ReLU6, padding k // 2, BatchNorm2d's own eps 1e-5; no V1),
#   torchvision/transforms/_presets.py, ImageClassification (resize 256, crop 224; the second set of
#   weights, IMAGENET1K_V2, was evaluated with resize 232, crop fraction 0.966).
#   timm/models/efficientnet.py, _gen_mobilenet_v1 and _gen_mobilenet_v2 (relu6, pad_type '',
#   eps of BatchNorm2d) and default_cfgs (mobilenetv1_*: Inception mean and std; mobilenetv2_*:
#   ImageNet mean and std; crop 0.875 but for mobilenetv1_125's 0.9; bicubic, which we do with an
#   antialiased bilinear filter).
#   keras/src/applications/mobilenet.py (stem "same", stride 2: ZeroPadding2D(((0, 1), (0, 1)))),
#   mobilenet_v2.py (correct_pad: SAME by parity), imagenet_utils.py (mode "tf": x / 127.5 - 1).
PRESETS = (
    Preset(
        name="torchvision",
        families=_BOTH,
        activation={Family.MOBILENET_V2: Activation.RELU6},
        padding=_SYMMETRIC,
        eps=1e-5,
        preprocessing=_IMAGENET,
    ),
    Preset(
        name="timm-v1",
        families=frozenset({Family.MOBILENET_V1}),
        activation=_RELU6,
        padding=_SYMMETRIC,
        eps=1e-5,
        preprocessing=_INCEPTION,
    ),
    Preset(
        name="timm-v2",
        families=frozenset({Family.MOBILENET_V2}),
        activation=_RELU6,
        padding=_SYMMETRIC,
        eps=1e-5,
        preprocessing=_IMAGENET,
    ),
    Preset(
        name="keras",
        families=_BOTH,
        activation=_RELU6,
        padding={
            Family.MOBILENET_V1: Padding.BOTTOM_RIGHT,
            Family.MOBILENET_V2: Padding.SAME,
        },
        stem_padding=Padding.SAME,
        eps=1e-3,
        preprocessing=_INCEPTION,
    ),
    Preset(  # what `edgedeploy train` makes; its weight files say so themselves
        name="edgedeploy",
        families=frozenset(Family),
        activation=_RELU6,
        padding=_SYMMETRIC,
        eps=1e-5,
        preprocessing=Preprocessing(mean=_INCEPTION.mean, std=_INCEPTION.std, crop_fraction=1.0),
    ),
)


def get(name: str) -> Preset:
    """Return the preset called ``name``.

    Raises:
        UnknownNameError: There is none.
    """
    for preset in PRESETS:
        if preset.name == name:
            return preset
    raise UnknownNameError("preset", name, [preset.name for preset in PRESETS])


def _names(families: frozenset[Family]) -> str:
    return " and ".join(sorted(family.value for family in families))
