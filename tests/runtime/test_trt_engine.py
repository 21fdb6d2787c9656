from __future__ import annotations

import pytest

from edgedeploy.errors import ArtifactError
from edgedeploy.runtime import trt_engine
from tests.runtime import fake_engine
from tests.runtime.fake_engine import FakeGpu, Type


@pytest.mark.parametrize("generation", fake_engine.GENERATIONS)
def test_every_generation_tells_its_sizes_of_batch(generation: str) -> None:
    engine, context, _ = fake_engine.engine(generation, FakeGpu(), batches=(2, 6))
    wrapped = trt_engine.wrap(engine, context)
    assert (wrapped.row, wrapped.smallest, wrapped.largest) == ((3, 4, 4), 2, 6)
    assert wrapped.set_shape((3, 3, 4, 4)) == (3, 3)


@pytest.mark.parametrize("generation", fake_engine.GENERATIONS)
def test_fixed_batch_is_the_smallest_and_the_largest(generation: str) -> None:
    engine, context, _ = fake_engine.engine(generation, FakeGpu(), batches=(4, 4))
    wrapped = trt_engine.wrap(engine, context)
    assert (wrapped.smallest, wrapped.largest) == (4, 4)


def test_api_is_chosen_by_what_the_engine_has() -> None:
    kinds = {
        generation: type(trt_engine.wrap(*fake_engine.engine(generation, FakeGpu())[:2])).__name__
        for generation in fake_engine.GENERATIONS
    }
    assert kinds == {
        "8.2.1": "BindingEngine",
        "8.4.1": "BindingEngine",
        "8.5.2": "IoTensorEngine",
        "8.6.1": "IoTensorEngine",
        "10.3.0": "IoTensorEngine",
        "10.13.0": "IoTensorEngine",
        "11.1.0": "IoTensorEngine",
    }


@pytest.mark.parametrize("generation", ["8.2.1", "10.3.0"])
def test_shape_outside_the_profile_is_refused(generation: str) -> None:
    engine, context, _ = fake_engine.engine(generation, FakeGpu())
    with pytest.raises(ArtifactError, match=r"does not take an input of shape \(9, 3, 4, 4\)"):
        trt_engine.wrap(engine, context).set_shape((9, 3, 4, 4))


@pytest.mark.parametrize("generation", ["8.2.1", "10.3.0"])
def test_output_that_is_not_float32_is_refused(generation: str) -> None:
    engine, context, _ = fake_engine.engine(generation, FakeGpu(), output_type=Type.HALF)
    with pytest.raises(ArtifactError, match="tensor 'logits' of the engine is HALF"):
        trt_engine.wrap(engine, context)


@pytest.mark.parametrize("generation", ["8.2.1", "10.3.0"])
def test_two_outputs_are_refused(generation: str) -> None:
    engine, context, _ = fake_engine.engine(generation, FakeGpu(), outputs=2)
    with pytest.raises(ArtifactError, match="1 inputs and 2 outputs"):
        trt_engine.wrap(engine, context)


@pytest.mark.parametrize("generation", fake_engine.GENERATIONS)
def test_every_generation_tells_the_memory_that_an_engine_works_in(generation: str) -> None:
    engine, _, _ = fake_engine.engine(generation, FakeGpu())
    assert trt_engine.memory_bytes(engine) == fake_engine.WORKING_BYTES
