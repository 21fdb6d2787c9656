"""What an engine says it runs: TensorRT's engine inspector, read."""

import json
from typing import Any, Dict, Iterable, List, Optional, Tuple

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


def running_layers(
    trt: Any, log: Any, plan: Any, shape: Any, dla_core: Optional[int] = None
) -> List[Tuple[str, str]]:
    """Load an engine on the GPU and list its convolutions and matrix products, with their types.

    Args:
        trt: TensorRT's package.
        log: Its logger.
        plan: The serialised engine.
        shape: Input shape to inspect it at; formats are not decided before it is known.
        dla_core: That it was built for; None is the GPU.

    Returns:
        For example ``[("conv1 + relu1", "int8")]``; empty where this version or this engine does
        not tell.
    """
    runtime = trt_api.make_runtime(trt, log)
    if dla_core is not None:
        runtime.DLA_core = dla_core
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None or not hasattr(engine, "create_engine_inspector"):
        return []
    context = engine.create_execution_context()
    if context is None:
        return []
    trt_engine.wrap(engine, context).set_shape(shape)
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    return read(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def count(layers: Iterable[Tuple[str, str]]) -> Dict[str, int]:
    """Count layers by type.

    Example:
        >>> count([("conv1", "int8"), ("conv2", "float16"), ("conv3", "int8")])
        {'float16': 1, 'int8': 2}
    """
    counts: Dict[str, int] = {}
    for _, kind in layers:
        counts[kind] = counts.get(kind, 0) + 1
    return dict(sorted(counts.items()))


def read(document: str) -> List[Tuple[str, str]]:
    """List the layers of an inspector's JSON that multiply, with the type of their first input.

    Layers that were compiled together (``ForeignNode``, all of TensorRT-RTX) do not tell what is
    inside them and are left out.

    Example:
        >>> read('{"Layers": [{"Name": "conv1", "LayerType": "CaskConvolution", "Inputs": '
        ...      '[{"Format/Datatype": "Row major linear FP16 format"}]}]}')
        [('conv1', 'float16')]
    """
    try:
        layers = json.loads(document)["Layers"]
    except (ValueError, KeyError, TypeError):
        return []
    found = []
    for layer in layers:
        if isinstance(layer, dict) and _multiplies(layer):  # a name only: verbosity is too low
            kind = _type_of(layer)
            if kind:
                found.append((str(layer.get("Name", "")), kind))
    return found


def _multiplies(layer: Dict[str, Any]) -> bool:
    kind = str(layer.get("LayerType", "")) + str(layer.get("ParameterType", ""))
    return any(word in kind.lower() for word in _COMPUTE)


def _type_of(layer: Dict[str, Any]) -> str:
    inputs = layer.get("Inputs") or [{}]
    text = str(inputs[0].get("Format/Datatype", "")).lower()
    return next((kind for word, kind in _WORDS if word in text), "")
