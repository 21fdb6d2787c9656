"""Every TensorRT name that the code touches, against NVIDIA's own bindings and the reference.

`tensorrt_names.json` lists the names by owner. The first half proves that the code touches no name
outside it. The second half looks each of them up: in TensorRT-RTX and in the binding wheels of six
versions of TensorRT, imported; for 8.2 to 8.5, which no registry has, in `tensorrt_spans`, which in
turn is checked on every version that can be imported.
"""

from __future__ import annotations

import ast
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from edgedeploy.runtime import trt_dialects
from tests.runtime import stub_library, vendor_names
from tests.runtime.real_tensorrt import FULL, LEAN, Surface, surface
from tests.runtime.tensorrt_spans import LISTED, NAMES, SPANS, expected

if TYPE_CHECKING:
    from pathlib import Path

# Python's own, on whatever TensorRT returns.
PYTHON = {*dir(str), *dir(bytes), *dir(list), *dir(dict), *dir(set), *dir(OSError)}
OURS = {"enqueue"}  # of `trt_engine.BoundEngine`; TensorRT's plugins have one too
FIX = "add it to tests/runtime/tensorrt_names.json under its owner, or it is a mistake"
DIALECTS = {
    "8.2": "8.2", "8.4": "8.4", "8.5": "8.5", "8.6.1": "8.6",
    "10.3": "10", "10.13": "10", "10.16": "10", "11.1": "11", "11.4": "11",
}  # fmt: skip
# What the lean runtime is: it loads and runs engines and cannot build, nor inspect.
RUN_SIDE = ("ICudaEngine", "IExecutionContext", "ILogger", "Runtime", "TensorIOMode")


@pytest.fixture(scope="module")
def used() -> vendor_names.Used:
    return vendor_names.used(vendor_names.modules())


@pytest.fixture(scope="module")
def rtx() -> Surface:
    return surface("rtx")


# ---- the code touches no name outside the list ----


def test_code_that_touches_tensorrt_is_found() -> None:
    found = {path.relative_to(vendor_names.ROOT).as_posix() for path in vendor_names.modules()}
    assert {"backends/trt.py", "runtime/trt.py", "runtime/trt_build.py"} <= found


def test_every_name_taken_from_a_tensorrt_object_is_listed(
    used: vendor_names.Used, rtx: Surface
) -> None:
    listed = {name for names in NAMES.values() for name in names} | {
        part for owner in NAMES for part in owner.split(".")
    }
    theirs = {name for names in rtx.names.values() for name in names}
    unlisted = {
        name: where
        for name, where in used.taken.items()
        if name not in listed | OURS
        and not name.startswith("__")
        and (name in theirs - PYTHON or name not in used.defined | PYTHON)
    }
    assert unlisted == {}, FIX


def test_every_owner_that_the_code_names_is_listed_with_what_it_takes_of_it(
    used: vendor_names.Used,
) -> None:
    tops = {owner.split(".")[0] for owner in NAMES}
    assert {n: w for n, w in used.top.items() if n not in tops and n[:2] != "__"} == {}, FIX
    chains = {name: where for name, where in used.chains.items() if not _is_listed(name)}
    assert chains == {}, FIX


def _is_listed(name: str) -> bool:
    owner, _, attribute = name.rpartition(".")
    return attribute.startswith("__") or name in NAMES or attribute in NAMES.get(owner, ())


def test_members_of_enums_that_the_code_names_in_strings_are_listed(
    used: vendor_names.Used, rtx: Surface
) -> None:
    members = {name for names in rtx.names.values() for name in names if name.isupper()}
    listed = {name for names in NAMES.values() for name in names}
    assert {n: w for n, w in used.strings.items() if n in members - listed} == {}, FIX


def test_no_name_is_listed_that_the_code_no_longer_touches(used: vendor_names.Used) -> None:
    stale = [n for n in LISTED if n.rpartition(".")[2] not in {*used.attributes, *used.strings}]
    assert stale == []


@pytest.mark.parametrize(
    "slip",
    [
        "def f(config: Any): config.avg_timing_iterations = 4",
        "def f(trt: Any): return trt.Builder(None).reset()",
        "def f(trt: Any): return hasattr(trt.Runtime, 'temporary_directory')",
        "def f(network: Any): return [layer.precision for layer in network.layers]",
        "def g() -> Any: ...\ndef f(): g().refittable",
        "class C:\n def __init__(self, e: Any): self._e = e\n def f(self): self._e.streams",
        "def f(a: Optional[Any]):\n b, c = a.get_output(0), 1\n b.is_shape_tensor",
    ],
)
def test_a_new_name_does_not_slip_through(slip: str, tmp_path: Path) -> None:
    path = vendor_names.ROOT / "runtime" / "trt_slip.py"
    found = vendor_names.used_in({path: ast.parse(slip)})
    last = re.findall(r"\w+", slip)[-1]
    new = next(name for name in ("avg_timing_iterations", last) if name in slip)
    assert new in found.taken


# ---- the libraries have the names that the code expects of their generation ----


@pytest.mark.parametrize("name", LISTED)
def test_tensorrt_rtx_has_every_name_but_those_of_the_old_api(rtx: Surface, name: str) -> None:
    ended = SPANS.get(name, (None, None))[1] is not None
    assert rtx.has(name) is not ended


@pytest.mark.parametrize("version", FULL)
def test_bindings_have_the_names_of_their_generation_and_no_others(version: str) -> None:
    found = surface(version)
    assert {name for name in LISTED if found.has(name)} == expected(version)


@pytest.mark.parametrize("version", FULL)
def test_bindings_are_told_apart_by_what_they_have(version: str) -> None:
    found = surface(version)
    assert found.dialect == DIALECTS[version]
    # EXPLICIT_BATCH is bit 0 up to 10, STRONGLY_TYPED bit 1 in 10 and bit 0 in 11
    flags = {"8.6": (0b01, 0b01), "10": (0b11, 0b01), "11": (0b01, 0b00)}
    assert (found.typed, found.untyped) == flags[found.dialect]


@pytest.mark.parametrize("version", ["8.2", "8.4", "8.5"])
def test_generations_without_wheels_are_told_apart_by_the_names_they_have(version: str) -> None:
    owners: dict[str, SimpleNamespace] = {owner: SimpleNamespace() for owner in NAMES}
    for name in expected(version):
        owner, _, attribute = name.rpartition(".")
        setattr(owners[owner], attribute, None)
    library = SimpleNamespace(__name__="tensorrt", **owners)
    assert trt_dialects.of(library).name == DIALECTS[version]


@pytest.mark.parametrize("version", LEAN)
def test_lean_runtime_has_every_name_of_the_run_side(version: str) -> None:
    found = surface(version)
    number = version.removeprefix("lean-")
    wanted = {name for name in expected(number) if name.partition(".")[0] in RUN_SIDE}
    missing = {name for name in wanted if not found.has(name)}
    assert missing <= {"ICudaEngine.create_engine_inspector"}  # there is none in the lean runtime


@pytest.mark.parametrize("version", LEAN)
def test_a_real_runtime_that_finds_no_driver_is_an_error_and_no_crash(version: str) -> None:
    answer = surface(version).runtime
    assert answer is not None
    if answer != "started":  # with a GPU it does
        assert re.search(r"tensorrt_lean_bindings \d+\.\d+.* does not start here: ERROR: ", answer)
        assert "update the NVIDIA driver" in answer


# ---- the empty library itself ----


@pytest.mark.parametrize("machine", stub_library.MACHINES)
def test_empty_library_is_elf_of_its_machine(machine: str) -> None:
    data = stub_library.library(machine=machine)
    assert data[:4] == b"\x7fELF"
    assert int.from_bytes(data[18:20], "little") == stub_library.MACHINES[machine][0]
