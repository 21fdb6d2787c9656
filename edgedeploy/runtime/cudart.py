"""The CUDA runtime API, called the same way through cuda-python and through libcudart."""

import ctypes
import ctypes.util
import glob
import importlib.util
import os
from typing import Any, Dict, List, Optional, Tuple

# Function -> (what it writes through its first parameter, types of the other parameters), as in
# cuda_runtime_api.h of CUDA 10.2 to 13.
_int, _uint, _size, _pointer = ctypes.c_int, ctypes.c_uint, ctypes.c_size_t, ctypes.c_void_p
SIGNATURES: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "cudaGetDeviceCount": (_int, ()),
    "cudaDeviceGetAttribute": (_int, (_int, _int)),
    "cudaMalloc": (_pointer, (_size,)),
    "cudaFree": (None, (_pointer,)),
    "cudaHostAlloc": (_pointer, (_size, _uint)),
    "cudaFreeHost": (None, (_pointer,)),
    "cudaMemcpyAsync": (None, (_pointer, _pointer, _size, _int, _pointer)),
    "cudaStreamCreateWithFlags": (_pointer, (_uint,)),
    "cudaStreamSynchronize": (None, (_pointer,)),
    "cudaStreamDestroy": (None, (_pointer,)),
}

# cuda-python takes members of enums where C takes int: function -> (parameter, enum).
_ENUMS = {
    "cudaDeviceGetAttribute": (0, "cudaDeviceAttr"),
    "cudaMemcpyAsync": (3, "cudaMemcpyKind"),
}
# cudaDeviceProp starts with its name; the rest grew from CUDA to CUDA and stays below this.
_PROPERTIES_BYTES = 16384
_NAME_BYTES = 256


class CudaError(Exception):
    """A call returned another code than cudaSuccess."""


class LibCudart:
    """libcudart through ctypes, which releases the GIL while a call lasts."""

    def __init__(self, path: str) -> None:
        """Load the library.

        Raises:
            OSError: It does not load, or is not libcudart.
        """
        library = ctypes.CDLL(path)
        try:
            self._functions = {name: getattr(library, name) for name in SIGNATURES}
            self._properties = library.cudaGetDeviceProperties
            self._string = library.cudaGetErrorString
        except AttributeError as error:
            raise OSError(f"{path} is not the CUDA runtime library: {error}") from error
        self._string.restype = ctypes.c_char_p
        for name, (written, others) in SIGNATURES.items():
            first = () if written is None else (ctypes.POINTER(written),)
            self._functions[name].argtypes = first + others
            self._functions[name].restype = ctypes.c_int

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of `SIGNATURES`; return what it writes through its first parameter.

        Raises:
            CudaError: It failed.
        """
        written = SIGNATURES[name][0]
        if written is None:
            self._check(name, self._functions[name](*arguments))
            return None
        value = written()
        self._check(name, self._functions[name](ctypes.byref(value), *arguments))
        return value.value

    def device_name(self) -> str:
        """Return the name of device 0.

        Raises:
            CudaError: There is none.
        """
        properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
        self._check("cudaGetDeviceProperties", self._properties(properties, 0))
        return ctypes.string_at(properties, _NAME_BYTES).split(b"\0")[0].decode("utf-8", "replace")

    def _check(self, name: str, code: int) -> None:
        if code != 0:
            text = (self._string(code) or b"").decode("utf-8", "replace")
            raise CudaError(f"{name}: {text} (error {code})")


class CudaPython:
    """The package cuda-python: ``cuda.bindings.runtime``, ``cuda.cudart`` before 12.6."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of `SIGNATURES`; return its value, if it has one.

        Raises:
            CudaError: It failed.
        """
        given = list(arguments)
        if name in _ENUMS:
            position, enum = _ENUMS[name]
            given[position] = getattr(self._module, enum)(given[position])
        code, *values = getattr(self._module, name)(*given)
        self._check(name, code)
        return values[0] if values else None

    def device_name(self) -> str:
        """Return the name of device 0.

        Raises:
            CudaError: There is none.
        """
        code, properties = self._module.cudaGetDeviceProperties(0)
        self._check("cudaGetDeviceProperties", code)
        return str(properties.name.split(b"\0")[0].decode("utf-8", "replace"))

    def _check(self, name: str, code: Any) -> None:
        if int(code) != 0:
            _, text = self._module.cudaGetErrorString(code)
            raise CudaError(f"{name}: {text.decode('utf-8', 'replace')} (error {int(code)})")


def library_paths(prefix: str = "/usr/local") -> List[str]:
    """Return where libcudart may be: the loader's own, CUDA's folders, NVIDIA's pip packages.

    Args:
        prefix: Where ``cuda`` or ``cuda-*`` is installed; JetPack's is not on the loader's path.
    """
    found: List[Optional[str]] = [ctypes.util.find_library("cudart")]
    for folder in ("cuda", "cuda-*"):
        for lib in ("lib64", "lib", os.path.join("targets", "*", "lib")):
            pattern = os.path.join(prefix, folder, lib, "libcudart.so*")
            found.extend(sorted(glob.glob(pattern), reverse=True))
    spec = importlib.util.find_spec("nvidia")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found.extend(sorted(glob.glob(os.path.join(place, "*", "lib", "libcudart.so*"))))
    seen: List[str] = []
    real: List[str] = []
    for path in found:
        if path and os.path.realpath(path) not in real:
            seen.append(path)
            real.append(os.path.realpath(path))
    return seen
