from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import MissingDependencyError, UnsupportedError
from edgedeploy.runtime import trt, trt_api, trt_build, trt_engine, trt_inspect

if TYPE_CHECKING:
    from types import ModuleType
from tests.runtime import fake_engine, fake_trt


@pytest.mark.parametrize(
    ("generation", "flags"), [("8.2.1", 0b1), ("8.5.2", 0b1), ("10.3.0", 0b1), ("11.1.0", 0b1)]
)
def test_network_flags_are_made_of_the_names_that_a_version_has(
    generation: str, flags: int
) -> None:
    assert trt_api.network_flags(fake_trt.Library(generation)) == flags


def test_network_flag_10_is_explicit_batch_and_11_strongly_typed() -> None:
    ten, eleven = fake_trt.Library("10.3.0"), fake_trt.Library("11.1.0")
    assert ten.NetworkDefinitionCreationFlag(0).name == "EXPLICIT_BATCH"
    assert eleven.NetworkDefinitionCreationFlag(0).name == "STRONGLY_TYPED"
    assert not trt_api.typed_by_source(ten)
    assert trt_api.typed_by_source(eleven)


@pytest.mark.parametrize("generation", fake_engine.GENERATIONS)
def test_workspace_is_limited_in_the_way_a_version_has(generation: str) -> None:
    trt = fake_trt.Library(generation)
    config = trt.Builder(trt_api.logger(trt)).create_builder_config()
    trt_api.set_workspace(trt, config, 1 << 20)
    if generation.startswith("8.2"):
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


# ---- against the real thing ----

# What this project touches, owner by owner; docs/tensorrt.md has the same list for seven versions.
TOUCHED: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("tensorrt_names.json").read_text(encoding="utf-8")
)["names"]
OURS = {"__init__", "engine", "logger"}  # names of our own that TensorRT has elsewhere
BY_STRING = {"EXPLICIT_BATCH", "STRONGLY_TYPED", "FP16", "INT8", "INPUT", "OUTPUT", "log"}
OLD_ONLY = {
    "BuilderFlag.FP16",
    "BuilderFlag.INT8",
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
    "IBuilderConfig.max_workspace_size",
    "ICudaEngine.num_bindings",
    "ICudaEngine.get_binding_name",
    "ICudaEngine.get_binding_dtype",
    "ICudaEngine.get_binding_shape",
    "ICudaEngine.binding_is_input",
    "ICudaEngine.get_profile_shape",
    "IExecutionContext.set_binding_shape",
    "IExecutionContext.get_binding_shape",
    "IExecutionContext.execute_async_v2",
}


@pytest.fixture(scope="module")
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx")


def test_list_of_names_holds_every_name_that_the_code_takes_from_tensorrt(rtx: ModuleType) -> None:
    code = [
        Path(module.__file__ or "") for module in (trt, trt_api, trt_build, trt_engine, trt_inspect)
    ]
    used = {
        node.attr
        for path in code
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    theirs = {name for owner in TOUCHED for name in dir(getattr(rtx, owner))}
    listed = {name for names in TOUCHED.values() for name in names}
    assert used & theirs - listed - OURS == set()
    assert listed - used - BY_STRING == set()


@pytest.mark.parametrize(
    "name", sorted(f"{owner}.{name}" for owner, names in TOUCHED.items() for name in names)
)
def test_tensorrt_rtx_has_every_name_but_those_of_the_old_api(rtx: ModuleType, name: str) -> None:
    owner, attribute = name.split(".")
    assert hasattr(getattr(rtx, owner), attribute) is (name not in OLD_ONLY)
