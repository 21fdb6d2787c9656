"""The CUDA runtime API, called the same way through cuda-python and through libcudart."""

import ctypes
import ctypes.util
import glob
import importlib
import importlib.util
import os
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

_int, _uint, _size, _pointer = ctypes.c_int, ctypes.c_uint, ctypes.c_size_t, ctypes.c_void_p


class Out(NamedTuple):
    """A parameter that a function writes a value of this type through."""

    kind: Any


# Function -> its parameters, as in cuda_runtime_api.h of CUDA 10.2 to 13.
SIGNATURES: Dict[str, Tuple[Any, ...]] = {
    "cudaDriverGetVersion": (Out(_int),),
    "cudaRuntimeGetVersion": (Out(_int),),
    "cudaGetDeviceCount": (Out(_int),),
    "cudaDeviceGetAttribute": (Out(_int), _int, _int),
    "cudaMemGetInfo": (Out(_size), Out(_size)),
    "cudaMalloc": (Out(_pointer), _size),
    "cudaFree": (_pointer,),
    "cudaHostAlloc": (Out(_pointer), _size, _uint),
    "cudaHostGetDevicePointer": (Out(_pointer), _pointer, _uint),
    "cudaFreeHost": (_pointer,),
    "cudaMemcpyAsync": (_pointer, _pointer, _size, _int, _pointer),
    "cudaStreamCreateWithFlags": (Out(_pointer), _uint),
    "cudaStreamSynchronize": (_pointer,),
    "cudaStreamDestroy": (_pointer,),
    "cudaEventCreateWithFlags": (Out(_pointer), _uint),
    "cudaEventRecord": (_pointer, _pointer),
    "cudaEventSynchronize": (_pointer,),
    "cudaEventElapsedTime": (Out(ctypes.c_float), _pointer, _pointer),
    "cudaEventDestroy": (_pointer,),
    "cudaStreamBeginCapture": (_pointer, _int),
    "cudaStreamEndCapture": (_pointer, Out(_pointer)),
    "cudaGraphLaunch": (_pointer, _pointer),
    "cudaGraphExecDestroy": (_pointer,),
    "cudaGraphDestroy": (_pointer,),
}
# cudaGraphInstantiate has 5 parameters up to CUDA 11 and 3 from CUDA 12 on. The name below is that
# of the 3 since CUDA 11.4 (cuda_runtime_api.h of 11.8, 12.6 and 13.0 compared).
INSTANTIATE = "cudaGraphInstantiateWithFlags"
INSTANTIATE_PARAMETERS = (Out(_pointer), _pointer, ctypes.c_ulonglong)
OLD_INSTANTIATE = "cudaGraphInstantiate"
OLD_INSTANTIATE_PARAMETERS = (Out(_pointer), _pointer, _pointer, _pointer, _size)

# cuda-python takes members of enums where C takes int: function -> (parameter, enum).
_ENUMS = {
    "cudaDeviceGetAttribute": (0, "cudaDeviceAttr"),
    "cudaMemcpyAsync": (3, "cudaMemcpyKind"),
    "cudaStreamBeginCapture": (1, "cudaStreamCaptureMode"),
}
# cudaDeviceProp starts with its name; the rest grew from CUDA to CUDA and stays below this.
_PROPERTIES_BYTES = 16384
_NAME_BYTES = 256


class CudaError(Exception):
    """A call returned another code than cudaSuccess.

    Attributes:
        code: A value of cudaError_t.
    """

    def __init__(self, name: str, text: str, code: int) -> None:
        super().__init__(f"{name}: {text} (error {code})")
        self.code = code


class LibCudart:
    """libcudart through ctypes, which releases the GIL while a call lasts."""

    package = "libcudart"

    def __init__(self, path: str) -> None:
        """Load the library.

        Raises:
            OSError: It does not load, or is not libcudart.
        """
        library = ctypes.CDLL(path)
        signatures = dict(SIGNATURES)
        if hasattr(library, INSTANTIATE):
            signatures[INSTANTIATE] = INSTANTIATE_PARAMETERS
        else:
            signatures[OLD_INSTANTIATE] = OLD_INSTANTIATE_PARAMETERS
        try:
            self._functions = {name: getattr(library, name) for name in signatures}
            self._properties = library.cudaGetDeviceProperties
            self._string = library.cudaGetErrorString
            self.clear_error = library.cudaGetLastError
        except AttributeError as error:
            raise OSError(f"{path} is not the CUDA runtime library: {error}") from error
        self._signatures = signatures
        self._string.restype = ctypes.c_char_p
        for name, parameters in signatures.items():
            self._functions[name].argtypes = [_c_type(kind) for kind in parameters]
            self._functions[name].restype = ctypes.c_int

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of `SIGNATURES`.

        Args:
            name: Of the function.
            arguments: Its parameters, but those that it writes through.

        Returns:
            What it writes: nothing, one value, or a tuple of several.

        Raises:
            CudaError: It failed.
        """
        given = iter(arguments)
        written = []
        passed = []
        for kind in self._signatures[name]:
            if isinstance(kind, Out):
                written.append(kind.kind())
                passed.append(ctypes.byref(written[-1]))
            else:
                passed.append(next(given))
        self._check(name, self._functions[name](*passed))
        return _result([place.value for place in written])

    def instantiate(self, graph: Any) -> int:
        """Return a graph that can be launched, made from a captured one.

        Raises:
            CudaError: It failed.
        """
        if INSTANTIATE in self._functions:
            return int(self.call(INSTANTIATE, graph, 0))
        return int(self.call(OLD_INSTANTIATE, graph, None, None, 0))

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
            raise CudaError(name, text, code)


class CudaPython:
    """The package cuda-python: ``cuda.bindings.runtime``, ``cuda.cudart`` before 12.6."""

    package = "cuda-python"

    def __init__(self, module: Any) -> None:
        self._module = module

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of `SIGNATURES`; see `LibCudart.call`."""
        given = list(arguments)
        if name in _ENUMS:
            position, enum = _ENUMS[name]
            given[position] = getattr(self._module, enum)(given[position])
        code, *values = getattr(self._module, name)(*given)
        self._check(name, code)
        return _result(values)

    def instantiate(self, graph: Any) -> int:
        """Return a graph that can be launched, made from a captured one.

        Raises:
            CudaError: It failed.
        """
        return int(self.call(INSTANTIATE, graph, 0))

    def clear_error(self) -> None:
        """Forget the last error, which others would take for one of theirs."""
        self._module.cudaGetLastError()

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
            raise CudaError(name, text.decode("utf-8", "replace"), int(code))


def found(paths: Optional[Callable[[], List[str]]] = None) -> Iterator[Any]:
    """Yield every CUDA runtime that loads here, cuda-python's first.

    There may be several of different age, of which the driver supports the older ones only.

    Args:
        paths: Returns where libcudart may be; None is `library_paths`.
    """
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        module = optional(name)
        if module is not None:
            yield CudaPython(module)
            break
    for path in (paths or library_paths)():
        try:
            library = LibCudart(path)
        except OSError:  # of another processor, or it lacks what it needs
            continue
        yield library


def optional(name: str) -> Any:
    """Import a package; None where it is not installed, or does not find the driver."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):
        return None


def library_paths(prefix: str = "/usr/local") -> List[str]:
    """Return where libcudart may be: the loader's own, CUDA's folders, NVIDIA's pip packages.

    Args:
        prefix: Where ``cuda`` or ``cuda-*`` is installed; JetPack's is not on the loader's path.
    """
    places: List[Optional[str]] = [ctypes.util.find_library("cudart")]
    for folder in ("cuda", "cuda-*"):
        for lib in ("lib64", "lib", os.path.join("targets", "*", "lib")):
            pattern = os.path.join(prefix, folder, lib, "libcudart.so*")
            places.extend(sorted(glob.glob(pattern), reverse=True))
    spec = importlib.util.find_spec("nvidia")
    for place in (spec.submodule_search_locations or []) if spec else []:
        places.extend(sorted(glob.glob(os.path.join(place, "*", "lib", "libcudart.so*"))))
    seen: List[str] = []
    real: List[str] = []
    for path in places:
        if path and os.path.realpath(path) not in real:
            seen.append(path)
            real.append(os.path.realpath(path))
    return seen


def _c_type(kind: Any) -> Any:
    return ctypes.POINTER(kind.kind) if isinstance(kind, Out) else kind


def _result(values: List[Any]) -> Any:
    if len(values) > 1:
        return tuple(values)
    return values[0] if values else None
