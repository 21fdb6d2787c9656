"""What a model answers, as it runs here and with float arithmetic on its integers."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edgedeploy.types import Array, OnnxModel


def answers(infer: Callable[[Array], Array], batches: Iterable[Array]) -> Array:
    """Return the index of the best class of every picture, ``(n,)``."""
    return np.array([int(infer(batch).reshape(-1).argmax()) for batch in batches])


def version(backend: str) -> str:
    """Return the version of ``"ort"`` or ``"openvino"`` here."""
    return importlib.metadata.version({"ort": "onnxruntime"}.get(backend, backend))


def onnx_runtime(model: Path, *, exact: bool, threads: int) -> Callable[[Array], Array]:
    """Load an ONNX file.

    Args:
        model: With one input and one output.
        exact: Leave the graph as it is: weights and activations are rounded where it says so, and
            multiplied as floats. ONNX Runtime's integer kernels may saturate on this CPU.
        threads: Of the CPU.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if exact:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def infer(batch: Array) -> Array:
        output: Array = session.run(None, {name: batch})[0]
        return output

    return infer


def openvino(
    model: Path, about: OnnxModel, *, exact: bool, threads: int
) -> Callable[[Array], Array]:
    """Load an IR or an ONNX file.

    Args:
        model: The file.
        about: The network it was made from, for the size.
        exact: Without OpenVINO's low-precision transformations: its FakeQuantize then round as
            the model says, and convolutions multiply floats.
        threads: Of the CPU.
    """
    import openvino as ov

    core = ov.Core()
    network = core.read_model(model)
    network.reshape([1, 3, *(about.side or ())])
    config: dict[str, object] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    if exact:
        config["LP_TRANSFORMS_MODE"] = False
    request = core.compile_model(network, "CPU", config).create_infer_request()

    def infer(batch: Array) -> Array:
        request.infer([batch])
        output: Array = request.get_output_tensor().data
        return output

    return infer
