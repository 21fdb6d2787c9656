"""TensorRT 10.13 for the acted-out GPU: its engines are ONNX Runtime on the source they were given.

The builder is `tests.runtime.fake_trt`, which has the names of that generation and no others; here
networks are read from ONNX, plans hold it, and contexts run it.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import json
from types import SimpleNamespace
from typing import Any

import cuda.bindings.runtime as gpu
import numpy as np
import onnx
import onnxruntime

from tests.runtime import fake_trt
from tests.runtime.fake_trt import LayerType, Severity

_MAGIC = b"acted out"
_DLA_CORES = 2 if gpu.JETSON else 0
_KINDS = {
    "Conv": LayerType.CONVOLUTION,
    "QuantizeLinear": LayerType.QUANTIZE,
    "DequantizeLinear": LayerType.DEQUANTIZE,
}
_Type = enum.Enum("_Type", ["FLOAT", "HALF"])
_Mode = enum.Enum("_Mode", ["NONE", "INPUT", "OUTPUT"])


class _Network:
    num_inputs = 1

    def read(self, model: bytes) -> None:
        graph = onnx.load_from_string(model).graph
        self.model = model
        halves = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
        self.layers = [self._layer(node, halves) for node in graph.node]
        self.num_layers = len(self.layers)
        self.get_layer = self.layers.__getitem__
        image = graph.input[0]
        lengths = [dim.dim_value or -1 for dim in image.type.tensor_type.shape.dim]
        self.image = SimpleNamespace(name=image.name, shape=tuple(lengths))

    def get_input(self, index: int) -> Any:
        assert index == 0
        return self.image

    @staticmethod
    def _layer(node: Any, halves: set[str]) -> Any:
        half = any(name in halves for name in node.input)
        output = SimpleNamespace(dtype=_Type.HALF if half else _Type.FLOAT)
        return SimpleNamespace(
            type=_KINDS.get(node.op_type, LayerType.CONSTANT),
            name=node.name or node.output[0],
            num_outputs=1,
            get_output=lambda index: output,
            get_input=lambda index: SimpleNamespace(name=node.input[index]),
        )


class _Builder(fake_trt._Builder):
    def create_network(self, flags: int) -> Any:
        super().create_network(flags)
        return _Network()

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        seen = LIBRARY.seen
        head = {"profile": seen.profile[1:], "flags": sorted(seen.flags)}
        seen.flags = set()
        if super().build_serialized_network(network, config) is None:
            return None
        body = json.dumps(head).encode() + b"\n" + bytes(network.model)
        return _MAGIC + hashlib.sha256(body).digest() + body


class _Parser(fake_trt._Parser):
    def __init__(self, trt: Any, network: Any, logger: Any) -> None:
        super().__init__(trt, network, logger)
        self._network = network

    def parse(self, model: bytes) -> bool:
        self._network.read(bytes(model))
        return True


class _Engine:
    num_io_tensors = 2
    device_memory_size = device_memory_size_v2 = 1 << 20

    def __init__(self, body: bytes) -> None:
        head, _, self.model = body.partition(b"\n")
        about = json.loads(head)
        self.flags = about["flags"]
        self.profile = [tuple(shape) for shape in about["profile"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        # or it fuses Q/DQ pairs with float16 scales, wrongly (1.31.1)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.session = onnxruntime.InferenceSession(self.model, options)
        self.names = (self.session.get_inputs()[0].name, self.session.get_outputs()[0].name)
        self.classes = self.session.get_outputs()[0].shape[1]
        gpu.hold(len(self.model))

    def __del__(self) -> None:
        if hasattr(self, "classes"):
            gpu.hold(-len(self.model))

    def get_tensor_name(self, index: int) -> str:
        return str(self.names[index])

    def get_tensor_mode(self, name: str) -> Any:
        return _Mode.INPUT if name == self.names[0] else _Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        assert name in self.names
        return _Type.FLOAT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, *self.profile[0][1:]) if name == self.names[0] else (-1, self.classes)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert (name, profile_index) == (self.names[0], 0)
        return self.profile

    def create_execution_context(self) -> Any:
        return _Context(self)

    def create_engine_inspector(self) -> Any:
        nodes = onnx.load_from_string(self.model).graph.node
        quantised = any(node.op_type == "QuantizeLinear" for node in nodes) or "INT8" in self.flags
        inputs = [{"Format/Datatype": "Int8 NC/32HW32" if quantised else "Row major linear FP32"}]
        layers = [
            {"Name": node.name or node.output[0], "LayerType": "CaskConvolution", "Inputs": inputs}
            for node in nodes
            if node.op_type in ("Conv", "Gemm")
        ]
        text = json.dumps({"Layers": layers})
        return SimpleNamespace(execution_context=None, get_engine_information=lambda form: text)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._shape: tuple[int, ...] = ()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == self._engine.names[0]
        low, _, high = self._engine.profile
        fits = low[0] <= shape[0] <= high[0] and shape[1:] == low[1:]
        self._shape = tuple(shape) if fits else self._shape
        return fits

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        first = name == self._engine.names[0]
        return self._shape if first else (self._shape[0], self._engine.classes)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle
        engine, shape = self._engine, self._shape
        source, result = (self._addresses[name] for name in engine.names)

        def infer() -> None:
            size = int(np.prod(shape)) * 4
            images = np.frombuffer((gpu.ctypes.c_char * size).from_address(source), np.float32)
            found = engine.session.run(None, {engine.names[0]: images.reshape(shape)})[0]
            gpu.ctypes.memmove(result, np.ascontiguousarray(found).ctypes.data, found.nbytes)

        gpu.do(infer)
        return True


class _Runtime(fake_trt._Runtime):
    def __init__(self, trt: Any, logger: Any) -> None:
        super().__init__(trt, logger)
        self.num_DLA_cores = _DLA_CORES
        self._logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        assert not self.engine_host_code_allowed
        start, digest, body = plan[:9], plan[9:41], plan[41:]
        if bytes(start) != _MAGIC or hashlib.sha256(body).digest() != bytes(digest):
            text = "deserializeCudaEngine: Serialization assertion magicTagRead failed"
            self._logger.log(Severity.ERROR, text)
            return None
        return _Engine(bytes(body))


LIBRARY = fake_trt.Library("10.13.0", gpu_name=gpu.NAME, dla_cores=_DLA_CORES)
__version__ = LIBRARY.__version__
Builder = functools.partial(_Builder, LIBRARY)
Logger = fake_trt.FakeLogger
OnnxParser = functools.partial(_Parser, LIBRARY)
Runtime = functools.partial(_Runtime, LIBRARY)


def __getattr__(name: str) -> Any:
    return getattr(LIBRARY, name)
