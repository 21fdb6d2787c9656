"""A whole profile of an engine, for what only a GPU tells of it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import board
from edgedeploy.profiling import measuring
from edgedeploy.profiling.measuring import ProfileSpec
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedeploy.runtime.cuda_memory import Cuda
    from tests.gpu.making import Made, Record


def test_a_profile_tells_the_memory_on_the_gpu(
    cuda: Cuda, made: Callable[[Precision], Made], record_property: Record
) -> None:
    if board.detect().name == board.LOCAL and (cuda.shares_memory or find_spec("pynvml") is None):
        pytest.skip("a discrete GPU tells its memory through nvidia-ml-py, which is not installed")
    found = measuring.profile(made(Precision.FP32).folder, ProfileSpec(duration_s=0.2)).document
    memory = found["memory_mb"]
    record_property("memory_mb", str(memory))
    record_property("reason", str(found["reasons"].get("memory_mb.device")))
    assert memory["device"] is not None, found["reasons"]["memory_mb.device"]
    assert memory["device"] > 0.5 * memory["engine"]
    assert memory["device_phases"]["start"] == 0
    assert memory["device_phases"]["steady"] == memory["device"]
