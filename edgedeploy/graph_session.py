"""ONNX Runtime over a graph that is in memory: what the toolkit itself computes with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnxruntime as ort

from edgedeploy.errors import FileError

if TYPE_CHECKING:
    import onnx


def session(
    proto: onnx.ModelProto, threads: int | None, *, as_written: bool = False
) -> ort.InferenceSession:
    """Load a model into ONNX Runtime, on the CPU.

    Args:
        proto: The model.
        threads: None leaves ONNX Runtime the choice.
        as_written: Compute Q/DQ pairs and what lies between them in float, as the graph says,
            with no kernel for integers in their place.

    Raises:
        FileError: ONNX Runtime refuses it.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # the error says it once
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others count
    if as_written:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return ort.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the vendor raises a dozen unrelated types
        raise FileError(
            f"ONNX Runtime {ort.__version__} cannot run the model: {str(error).splitlines()[0]}",
            fix="export it with operators and an opset that ONNX Runtime has",
        ) from error
