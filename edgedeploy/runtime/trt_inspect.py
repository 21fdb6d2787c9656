"""What an engine says it runs: TensorRT's engine inspector, read."""

import json
from typing import Any, Dict

from . import trt_api, trt_engine

_COMPUTE = ("conv", "gemm", "matmul", "matrixmultiply", "matrix_multiply", "fullyconnected")
# Words of the inspector's format descriptions, the more special first: TensorRT 8 says "Row major
# linear FP16 format", TensorRT 10 "Half".
_WORDS = (
    ("int8", "int8"),
    ("bf16", "bfloat16"),
    ("bfloat16", "bfloat16"),
    ("fp16", "float16"),
    ("half", "float16"),
    ("fp32", "float32"),
    ("float", "float32"),
)


def running_types(trt: Any, log: Any, plan: Any, shape: Any) -> Dict[str, int]:
    """Load an engine on the GPU and count its convolutions and matrix products by type.

    Args:
        trt: TensorRT's package.
        log: Its logger.
        plan: The serialised engine.
        shape: Input shape to inspect it at; formats are not decided before it is known.

    Returns:
        For example ``{"int8": 28}``; empty where this version or this engine does not tell.
    """
    engine = trt_api.make_runtime(trt, log).deserialize_cuda_engine(plan)
    if engine is None or not hasattr(engine, "create_engine_inspector"):
        return {}
    context = engine.create_execution_context()
    if context is None:
        return {}
    trt_engine.wrap(engine, context).set_shape(shape)
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    return count(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def count(document: str) -> Dict[str, int]:
    """Count the layers of an inspector's JSON that multiply, by the type of their first input.

    Layers that were compiled together (``ForeignNode``, all of TensorRT-RTX) do not tell what is
    inside them and are not counted.

    Example:
        >>> count('{"Layers": [{"LayerType": "CaskConvolution", "Inputs": '
        ...       '[{"Format/Datatype": "Row major linear FP16 format"}]}]}')
        {'float16': 1}
    """
    try:
        layers = json.loads(document)["Layers"]
    except (ValueError, KeyError, TypeError):
        return {}
    counts: Dict[str, int] = {}
    for layer in layers:
        if isinstance(layer, dict) and _multiplies(layer):  # a name only: verbosity is too low
            kind = _type_of(layer)
            if kind:
                counts[kind] = counts.get(kind, 0) + 1
    return dict(sorted(counts.items()))


def _multiplies(layer: Dict[str, Any]) -> bool:
    kind = str(layer.get("LayerType", "")) + str(layer.get("ParameterType", ""))
    return any(word in kind.lower() for word in _COMPUTE)


def _type_of(layer: Dict[str, Any]) -> str:
    inputs = layer.get("Inputs") or [{}]
    text = str(inputs[0].get("Format/Datatype", "")).lower()
    return next((kind for word, kind in _WORDS if word in text), "")
