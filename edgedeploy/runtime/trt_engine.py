"""A loaded engine with one input and one output, behind the API that its TensorRT has."""

from abc import ABC, abstractmethod
from typing import Any, List, Tuple

from .errors import ArtifactError

Shape = Tuple[int, ...]


class BoundEngine(ABC):
    """An engine and its execution context.

    Attributes:
        row: Shape of one image, ``(3, H, W)``.
        smallest: Fewest images that a call takes.
        largest: Most images that a call takes.
        owners: Objects of TensorRT that must outlive the engine.
    """

    owners: Tuple[Any, ...] = ()
    row: Shape = ()
    smallest = 1
    largest = 1
    _context: Any = None

    @abstractmethod
    def set_shape(self, shape: Shape) -> Shape:
        """Announce the input's shape for the next calls; return the output's."""

    @abstractmethod
    def attach(self, source: int, result: int) -> None:
        """Say where on the device the input and the output lie."""

    @abstractmethod
    def enqueue(self, stream: int) -> bool:
        """Queue one inference on a CUDA stream; return whether TensorRT took it."""

    def profile(self, profiler: Any) -> None:
        """Tell a profiler of TensorRT the time of each layer from now on; None: no longer.

        While there is one, `enqueue` blocks until the inference is done and told.
        """
        self._context.profiler = profiler


class IoTensorEngine(BoundEngine):
    """TensorRT 8.5 and later: tensors by name."""

    def __init__(self, engine: Any, context: Any) -> None:
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self._engine = engine  # must outlive its context
        self._context = context
        self._input, self._output = _one_each(
            [name for name in names if engine.get_tensor_mode(name).name == "INPUT"],
            [name for name in names if engine.get_tensor_mode(name).name == "OUTPUT"],
        )
        for name in (self._input, self._output):
            _check_float32(name, engine.get_tensor_dtype(name))
        shape = tuple(engine.get_tensor_shape(self._input))
        self.row = shape[1:]
        self.smallest = self.largest = shape[0]
        if shape[0] < 0:
            low, _, high = engine.get_tensor_profile_shape(self._input, 0)
            self.smallest, self.largest = low[0], high[0]

    def set_shape(self, shape: Shape) -> Shape:
        """Announce the input's shape for the next calls; return the output's."""
        _check_taken(self._context.set_input_shape(self._input, shape), shape)
        return tuple(self._context.get_tensor_shape(self._output))

    def attach(self, source: int, result: int) -> None:
        """Say where on the device the input and the output lie."""
        self._context.set_tensor_address(self._input, source)
        self._context.set_tensor_address(self._output, result)

    def enqueue(self, stream: int) -> bool:
        """Queue one inference on a CUDA stream; return whether TensorRT took it."""
        return bool(self._context.execute_async_v3(stream))


class BindingEngine(BoundEngine):
    """TensorRT before 8.5: tensors by number."""

    def __init__(self, engine: Any, context: Any) -> None:
        numbers = range(engine.num_bindings)
        self._engine = engine  # must outlive its context
        self._context = context
        self._input, self._output = _one_each(
            [i for i in numbers if engine.binding_is_input(i)],
            [i for i in numbers if not engine.binding_is_input(i)],
        )
        for i in (self._input, self._output):
            _check_float32(engine.get_binding_name(i), engine.get_binding_dtype(i))
        self._addresses = [0, 0]
        shape = tuple(engine.get_binding_shape(self._input))
        self.row = shape[1:]
        self.smallest = self.largest = shape[0]
        if shape[0] < 0:
            low, _, high = engine.get_profile_shape(0, self._input)
            self.smallest, self.largest = low[0], high[0]

    def set_shape(self, shape: Shape) -> Shape:
        """Announce the input's shape for the next calls; return the output's."""
        _check_taken(self._context.set_binding_shape(self._input, shape), shape)
        return tuple(self._context.get_binding_shape(self._output))

    def attach(self, source: int, result: int) -> None:
        """Say where on the device the input and the output lie."""
        self._addresses[self._input] = source
        self._addresses[self._output] = result

    def enqueue(self, stream: int) -> bool:
        """Queue one inference on a CUDA stream; return whether TensorRT took it."""
        return bool(self._context.execute_async_v2(self._addresses, stream))


def wrap(engine: Any, context: Any) -> BoundEngine:
    """Return ``engine`` behind the newest API that it has.

    Raises:
        ArtifactError: It has not one float32 input and one float32 output.
    """
    if hasattr(engine, "num_io_tensors"):
        return IoTensorEngine(engine, context)
    return BindingEngine(engine, context)


def memory_bytes(engine: Any) -> int:
    """Return the device memory that an engine works in, beside its weights and its batches."""
    if hasattr(engine, "device_memory_size_v2"):  # 64 bits; TensorRT 11 has no other
        return int(engine.device_memory_size_v2)
    return int(engine.device_memory_size)


def _one_each(inputs: List[Any], outputs: List[Any]) -> Tuple[Any, Any]:
    if len(inputs) != 1 or len(outputs) != 1:
        raise ArtifactError(
            f"the engine has {len(inputs)} inputs and {len(outputs)} outputs, 1 of each are needed",
            fix="build it from a model with one image input and one output",
        )
    return inputs[0], outputs[0]


def _check_float32(name: str, dtype: Any) -> None:
    if dtype.name != "FLOAT":
        raise ArtifactError(
            f"tensor {name!r} of the engine is {dtype.name}, it must be FLOAT",
            fix="build it from a model whose input and output are float32",
        )


def _check_taken(taken: Any, shape: Shape) -> None:
    if not taken:
        raise ArtifactError(
            f"the engine does not take an input of shape {shape}",
            fix="build it again with a batch and a size that cover this shape",
        )
