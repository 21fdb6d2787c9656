from __future__ import annotations

import numpy as np

from edgedeploy import labelling


def test_half_of_imagenet_is_known_by_its_1001_classes() -> None:
    labels = labelling.Labels(np.array([0, 995]), None, classes=2, numbered=True)
    assert labelling.offset_of(labels, 1001)[0] == 1
    assert labelling.offset_of(labels, 1000)[0] == 0
