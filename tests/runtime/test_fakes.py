"""The acted-out libraries have the names of their generation and none of the others."""

from __future__ import annotations

import pytest

from tests.runtime import fake_config, fake_engine, fake_trt
from tests.runtime.fake_engine import GENERATIONS, FakeGpu
from tests.runtime.tensorrt_spans import LISTED, NAMES, expected


@pytest.mark.parametrize("generation", GENERATIONS)
def test_table_of_the_acted_out_builder_is_that_of_the_real_ones(generation: str) -> None:
    real = expected(generation)
    for name in set(fake_config.NAMES) & set(LISTED):
        assert fake_config.has(generation, name) is (name in real), name


@pytest.mark.parametrize("generation", GENERATIONS)
def test_acted_out_engine_has_no_name_that_its_generation_lacks(generation: str) -> None:
    engine, context, _ = fake_engine.engine(generation, FakeGpu())
    assert borrowed("ICudaEngine", engine, generation) == set()
    assert borrowed("IExecutionContext", context, generation) == set()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_acted_out_library_has_no_name_that_its_generation_lacks(generation: str) -> None:
    library = fake_trt.Library(generation)
    for owner in NAMES:
        if isinstance(kind := getattr(library, owner, None), type):
            assert borrowed(owner, kind, generation) == set()
    builder = library.Builder(fake_trt.FakeLogger())
    assert borrowed("Builder", builder, generation) == set()


def borrowed(owner: str, made: object, generation: str) -> set[str]:
    """Return the listed names of an owner that ``made`` has and its generation has not."""
    real = expected(generation)
    has = {name for name in NAMES[owner] if hasattr(made, name)}
    return {name for name in has if f"{owner}.{name}" not in real}
