from __future__ import annotations

import enum
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgedeploy.runtime import cudart
from edgedeploy.runtime.cudart import SIGNATURES, CudaError, CudaPython, LibCudart

HEADER = Path("/usr/local/cuda/include/cuda_runtime_api.h")
C_TYPES = {
    "int": "c_int",
    "unsigned int": "c_uint",
    "size_t": "c_ulong",
    "enum cudaMemcpyKind": "c_int",
    "enum cudaDeviceAttr": "c_int",
    "cudaStream_t": "c_void_p",
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


@pytest.mark.skipif(not HEADER.exists(), reason="CUDA's header is not here: no CUDA toolkit")
@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_signature_is_that_of_the_header(name: str) -> None:
    written, others = SIGNATURES[name]
    ours = [] if written is None else [f"POINTER({written.__name__})"]
    assert ours + [kind.__name__ for kind in others] == declared(name)


@pytest.fixture
def library() -> LibCudart:
    for path in cudart.library_paths():
        return LibCudart(path)
    pytest.skip("libcudart is not here: no CUDA toolkit")


def test_libcudart_has_every_function_and_fails_with_its_own_words(library: LibCudart) -> None:
    with pytest.raises(CudaError, match=r"cudaDeviceGetAttribute: [\w ]+ \(error \d+\)"):
        library.call("cudaDeviceGetAttribute", 75, 4096)  # no machine has so many GPUs


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


def test_cuda_python_errors_carry_cudas_words() -> None:
    module = SimpleNamespace(
        cudaMalloc=lambda size: (Error.cudaErrorMemoryAllocation, None),
        cudaGetErrorString=lambda code: (Error.cudaSuccess, b"out of memory"),
    )
    with pytest.raises(CudaError, match=r"cudaMalloc: out of memory \(error 2\)"):
        CudaPython(module).call("cudaMalloc", 1 << 40)


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_cuda_python_itself_takes_our_arguments(name: str) -> None:
    module = pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed")
    arguments = {
        "cudaDeviceGetAttribute": (75, 4096),
        "cudaMalloc": (1 << 60,),
        "cudaHostAlloc": (1 << 60, 0),
        "cudaMemcpyAsync": (0, 0, 0, 1, 0),
        "cudaStreamCreateWithFlags": (4096,),
    }
    given = arguments.get(name, () if name == "cudaGetDeviceCount" else (0,))
    try:
        CudaPython(module).call(name, *given)
    except CudaError as error:
        assert name in str(error)  # noqa: PT017 -- with a GPU some of these succeed
