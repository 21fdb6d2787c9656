from __future__ import annotations

import enum
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgedeploy.runtime import cudart
from edgedeploy.runtime.cudart import (
    INSTANTIATE,
    INSTANTIATE_PARAMETERS,
    OLD_INSTANTIATE,
    OLD_INSTANTIATE_PARAMETERS,
    SIGNATURES,
    CudaError,
    CudaPython,
    LibCudart,
    Out,
)

# An older header and library may be named, such as those of the wheel nvidia-cuda-runtime-cu11.
CUDA = Path(os.environ.get("EDGEDEPLOY_CUDA", "/usr/local/cuda"))
HEADER = CUDA / "include" / "cuda_runtime_api.h"
C_TYPES = {
    "int": "c_int",
    "unsigned int": "c_uint",
    "unsigned long long": "c_ulong",
    "size_t": "c_ulong",
    "float": "c_float",
    "char": "c_void_p",
    "enum cudaMemcpyKind": "c_int",
    "enum cudaDeviceAttr": "c_int",
    "enum cudaStreamCaptureMode": "c_int",
    "cudaStream_t": "c_void_p",
    "cudaEvent_t": "c_void_p",
    "cudaGraph_t": "c_void_p",
    "cudaGraphExec_t": "c_void_p",
    "cudaGraphNode_t": "c_void_p",
    "void *": "c_void_p",
    "const void *": "c_void_p",
}


def declared(name: str) -> list[str]:
    """The parameters of a function in CUDA's header, as the names of ctypes."""
    text = HEADER.read_text(encoding="utf-8", errors="replace")
    match = re.search(rf"cudaError_t CUDARTAPI {name}\((.*)\);", text)
    assert match is not None
    types = []
    for parameter in match[1].replace("__dv(0)", "").split(","):
        kind = re.sub(r"\w+\s*$", "", parameter.strip()).strip()
        pointed = re.sub(r"\s*\*$", "", kind) if kind not in C_TYPES else None
        types.append(C_TYPES[kind] if pointed is None else f"POINTER({C_TYPES[pointed]})")
    return types


def ours(parameters: tuple[Any, ...]) -> list[str]:
    names = [(kind.kind if isinstance(kind, Out) else kind).__name__ for kind in parameters]
    plain = ["c_ulong" if name == "c_ulonglong" else name for name in names]
    return [
        f"POINTER({name})" if isinstance(kind, Out) else name
        for name, kind in zip(plain, parameters, strict=True)
    ]


NEEDS_HEADER = pytest.mark.skipif(
    not HEADER.exists(), reason="CUDA's header is not here: no CUDA toolkit"
)


@NEEDS_HEADER
@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_signature_is_that_of_the_header(name: str) -> None:
    assert ours(SIGNATURES[name]) == declared(name)


@NEEDS_HEADER
def test_graphs_are_instantiated_as_the_header_says() -> None:
    assert ours(INSTANTIATE_PARAMETERS) == declared(INSTANTIATE)
    of_this_header = declared(OLD_INSTANTIATE)
    if len(of_this_header) == 5:  # up to CUDA 11; the two that may be null are pointers
        kinds = [kind.replace("POINTER(c_void_p)", "c_void_p") for kind in of_this_header[1:]]
        assert ours(OLD_INSTANTIATE_PARAMETERS)[1:] == kinds
    else:
        assert of_this_header == ours(INSTANTIATE_PARAMETERS)


@pytest.fixture
def library() -> LibCudart:
    for path in cudart.library_paths():
        return LibCudart(path)
    pytest.skip("libcudart is not here: no CUDA toolkit")


def test_libcudart_has_every_function_and_fails_with_its_own_words(library: LibCudart) -> None:
    with pytest.raises(CudaError, match=r"cudaDeviceGetAttribute: [\w ]+ \(error \d+\)"):
        library.call("cudaDeviceGetAttribute", 75, 4096)  # no machine has so many GPUs


def test_libcudart_makes_graphs_by_the_name_that_it_has(library: LibCudart) -> None:
    with pytest.raises(CudaError, match=rf"{INSTANTIATE}: [\w ]+ \(error \d+\)") as caught:
        library.instantiate(None)
    assert caught.value.code > 0
    library.clear_error()


def test_library_of_before_cuda_11_4_makes_graphs_with_five_parameters(tmp_path: Path) -> None:
    library = LibCudart(str(_old_library(tmp_path)))
    assert library.instantiate(5) == 1005
    assert library.call("cudaMemGetInfo") == (3, 8)
    assert library.call("cudaStreamEndCapture", 7) == 7
    assert library.call("cudaGraphDestroy", 5) is None


def _old_library(folder: Path) -> Path:
    """A libcudart as those before CUDA 11.4, with nothing in it: compiled, as ctypes loads it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    special = {
        "cudaMemGetInfo": "(unsigned long *f, unsigned long *t) { *f = 3; *t = 8; return 0; }",
        "cudaStreamEndCapture": "(void *s, void **g) { *g = s; return 0; }",
    }
    body = [
        f"int {name}{special.get(name, '(void) { return 0; }')}"
        for name in [*SIGNATURES, "cudaGetDeviceProperties", "cudaGetLastError"]
    ]
    body.append('char *cudaGetErrorString(int code) { return "no error"; }')
    body.append(
        "int cudaGraphInstantiate(void **made, char *graph, void **node, char *log, unsigned long "
        "size) { *made = graph + 1000; return node != 0 || log != 0 || size != 0; }"
    )
    source, library = folder / "cudart.c", folder / "libcudart.so.10.2"
    source.write_text("\n".join(body))
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-w", "-o", str(library), str(source)], check=True
    )
    return library


def test_library_that_is_not_libcudart_is_refused() -> None:
    with pytest.raises(OSError, match="is not the CUDA runtime library"):
        LibCudart("libc.so.6")


def test_libraries_are_found_in_cuda_folders_off_the_loaders_path(tmp_path: Path) -> None:
    here = tmp_path / "cuda-10.2" / "targets" / "aarch64-linux" / "lib"
    here.mkdir(parents=True)
    (here / "libcudart.so.10.2.300").touch()
    (here / "libcudart.so").symlink_to("libcudart.so.10.2.300")
    (tmp_path / "cuda").symlink_to("cuda-10.2")
    found = [path for path in cudart.library_paths(str(tmp_path)) if str(tmp_path) in path]
    assert len(found) == 1


# ---- cuda-python's way of calling ----

Error = enum.IntEnum("Error", {"cudaSuccess": 0, "cudaErrorMemoryAllocation": 2})
Kind = enum.IntEnum("Kind", {"cudaMemcpyHostToDevice": 1})


def test_cuda_python_gets_members_of_enums_and_gives_the_value() -> None:
    asked: list[Any] = []

    def copy(*arguments: Any) -> tuple[Error]:
        asked.extend(arguments)
        return (Error.cudaSuccess,)

    module = SimpleNamespace(
        cudaMemcpyKind=Kind,
        cudaMemcpyAsync=copy,
        cudaMalloc=lambda size: (Error.cudaSuccess, 0x7F00),
        cudaGetDeviceProperties=lambda device: (
            Error.cudaSuccess,
            SimpleNamespace(name=b"Orin\0\0"),
        ),
    )
    api = CudaPython(module)
    assert api.call("cudaMalloc", 16) == 0x7F00
    assert api.call("cudaMemcpyAsync", 1, 2, 16, 1, 7) is None
    assert asked[3] is Kind.cudaMemcpyHostToDevice
    assert api.device_name() == "Orin"


def test_cuda_python_makes_graphs_and_forgets_errors() -> None:
    forgotten: list[bool] = []
    module = SimpleNamespace(
        cudaGraphInstantiateWithFlags=lambda graph, flags: (Error.cudaSuccess, graph + flags + 1),
        cudaGetLastError=lambda: forgotten.append(True),
    )
    api = CudaPython(module)
    assert api.instantiate(5) == 6
    api.clear_error()
    assert forgotten == [True]


def test_several_values_come_as_a_tuple() -> None:
    module = SimpleNamespace(cudaMemGetInfo=lambda: (Error.cudaSuccess, 3, 8))
    assert CudaPython(module).call("cudaMemGetInfo") == (3, 8)


def test_runtimes_are_found_cuda_pythons_first_and_what_does_not_load_is_left_out() -> None:
    found = list(cudart.found(lambda: ["libc.so.6", "/no/such/libcudart.so"]))
    assert [api.package for api in found] in ([], ["cuda-python"])


def test_cuda_python_errors_carry_cudas_words() -> None:
    module = SimpleNamespace(
        cudaMalloc=lambda size: (Error.cudaErrorMemoryAllocation, None),
        cudaGetErrorString=lambda code: (Error.cudaSuccess, b"out of memory"),
    )
    with pytest.raises(CudaError, match=r"cudaMalloc: out of memory \(error 2\)"):
        CudaPython(module).call("cudaMalloc", 1 << 40)


ASKS_NOTHING = (
    "cudaDriverGetVersion",
    "cudaRuntimeGetVersion",
    "cudaGetDeviceCount",
    "cudaMemGetInfo",
)


@pytest.mark.parametrize("name", [*sorted(SIGNATURES), INSTANTIATE])
def test_cuda_python_itself_takes_our_arguments(name: str) -> None:
    module = pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed")
    arguments = {
        "cudaDeviceGetAttribute": (75, 4096),
        "cudaMalloc": (1 << 60,),
        "cudaHostAlloc": (1 << 60, 0),
        "cudaMemcpyAsync": (0, 0, 0, 1, 0),
        "cudaStreamCreateWithFlags": (4096,),
        "cudaHostGetDevicePointer": (0, 0),
        "cudaEventCreateWithFlags": (4096,),
        "cudaEventRecord": (0, 0),
        "cudaEventElapsedTime": (0, 0),
        "cudaStreamBeginCapture": (0, 1),
        "cudaGraphLaunch": (0, 0),
        INSTANTIATE: (0, 0),
    }
    given = arguments.get(name, () if name in ASKS_NOTHING else (0,))
    try:
        CudaPython(module).call(name, *given)
    except CudaError as error:
        assert name in str(error)  # noqa: PT017 -- with a GPU some of these succeed
