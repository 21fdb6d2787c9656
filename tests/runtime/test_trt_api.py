from __future__ import annotations

import pytest

from edgedeploy.errors import MissingDependencyError, UnsupportedError
from edgedeploy.runtime import trt_api
from tests.runtime import fake_engine, fake_trt


@pytest.mark.parametrize(
    ("generation", "weak", "typed"),
    [("8.2.1", 0b1, 0b1), ("8.6.1", 0b1, 0b1), ("10.3.0", 0b1, 0b11), ("11.1.0", 0b0, 0b1)],
)
def test_network_flags_are_made_of_the_names_that_a_version_has(
    generation: str, weak: int, typed: int
) -> None:
    trt = fake_trt.Library(generation)
    assert trt_api.network_flags(trt, typed=False) == weak
    assert trt_api.network_flags(trt, typed=True) == typed


def test_network_flag_1_is_explicit_batch_in_10_and_strongly_typed_in_11() -> None:
    ten, eleven = fake_trt.Library("10.3.0"), fake_trt.Library("11.1.0")
    assert ten.NetworkDefinitionCreationFlag(0).name == "EXPLICIT_BATCH"
    assert eleven.NetworkDefinitionCreationFlag(0).name == "STRONGLY_TYPED"


@pytest.mark.parametrize("generation", fake_engine.GENERATIONS)
def test_workspace_is_limited_in_the_way_a_version_has(generation: str) -> None:
    trt = fake_trt.Library(generation)
    config = trt.Builder(trt_api.logger(trt)).create_builder_config()
    trt_api.set_workspace(trt, config, 1 << 20)
    if generation == "8.2.1":
        assert config.max_workspace_size == 1 << 20
    else:
        assert trt.seen.pool == ("WORKSPACE", 1 << 20)


def test_logger_is_the_same_for_the_life_of_the_process_and_keeps_warnings_only() -> None:
    trt = fake_trt.Library("10.3.0")
    log = trt_api.logger(trt)
    assert trt_api.logger(trt) is log
    log.log(fake_trt.Severity.INFO, "all is well")
    assert trt_api.said(log) == "it gave no reason"
    log.log(fake_trt.Severity.WARNING, "careful\n")
    assert trt_api.said(log) == "WARNING: careful"
    log.log(fake_trt.Severity.ERROR, "line 1\nline 2")
    assert trt_api.said(log) == "ERROR: line 1 line 2"


def test_what_tensorrt_says_again_and_again_is_counted_in_the_order_of_its_first_time() -> None:
    log = trt_api.logger(fake_trt.Library("10.3.0"))
    for text in ("b", "a", "b", "b"):
        log.log(fake_trt.Severity.WARNING, text)
    trt_api.note(log, "ours")
    assert trt_api.summary(log) == "WARNING: b (3 times)\nWARNING: a\nNOTE: ours"
    assert trt_api.errors(log) == []


def test_runtime_never_runs_code_of_an_engine_file() -> None:
    trt = fake_trt.Library("10.3.0")
    runtime = trt_api.make_runtime(trt, trt_api.logger(trt))
    assert runtime.engine_host_code_allowed is False


def test_runtime_that_does_not_start_is_an_error_instead_of_a_crash() -> None:
    trt = fake_trt.Library("10.3.0", runtime_is_null=True)
    with pytest.raises(UnsupportedError, match=r"tensorrt 10.3.0 does not start here: .*error: 35"):
        trt_api.make_runtime(trt, trt_api.logger(trt))


def test_missing_tensorrt_says_how_to_get_it_on_each_kind_of_machine() -> None:
    with pytest.raises(MissingDependencyError, match="TensorRT is not installed") as caught:
        trt_api.library("tensorrt_of_another_maker")
    for word in ("--system-site-packages", "edgedeploy[trt]", "edgedeploy[trt-rtx]"):
        assert word in caught.value.fix
