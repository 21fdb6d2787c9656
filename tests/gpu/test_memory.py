"""Device memory comes back when an engine is closed, or does not load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import ArtifactError
from edgedeploy.types import Precision
from tests.gpu.making import SIDE, Made
from tests.prepared_sources import images

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedeploy.runtime.cuda_memory import Cuda
    from tests.gpu.making import Record


def slack_bytes(cuda: Cuda) -> int:
    """Return what may be missing afterwards.

    The driver allocates in blocks of 2 MiB and keeps some; on a Jetson the memory is that of all
    other processes too.
    """
    return (32 if cuda.shares_memory else 4) << 20


EACH = pytest.mark.parametrize(
    "precision", [Precision.FP32, Precision.FP16, Precision.INT8], ids=lambda p: p.value
)


def use(made: Made) -> None:
    session = made.load()
    session.run(images(8, SIDE))
    session.bind(images(20, SIDE))()
    session.close()


@EACH
def test_closing_gives_device_memory_back(
    cuda: Cuda, made: Callable[[Precision], Made], precision: Precision, record_property: Record
) -> None:
    use(made(precision))  # the libraries allocate what they keep
    before = cuda.free_memory()
    for _ in range(5):
        use(made(precision))
    lost = before - cuda.free_memory()
    record_property("lost bytes", str(lost))
    assert lost < slack_bytes(cuda)


def test_an_engine_that_does_not_load_keeps_no_memory(
    cuda: Cuda, made: Callable[[Precision], Made]
) -> None:
    first = made(Precision.FP32)
    use(first)
    engine = first.folder / first.manifest.engine
    whole = engine.read_bytes()
    before = cuda.free_memory()
    engine.write_bytes(whole[: len(whole) // 2])
    try:
        for _ in range(5):
            with pytest.raises(ArtifactError):
                first.load()
    finally:
        engine.write_bytes(whole)
    assert before - cuda.free_memory() < slack_bytes(cuda)
    use(first)
