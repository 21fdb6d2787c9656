"""ONNX Runtime over a graph that is in memory: what the toolkit itself computes with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import onnxruntime as ort

from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

    from edgedeploy.types import Array

_LONGEST = 200  # characters of what ONNX Runtime says
_WHERE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(?:h|cc):\d+ .*(?=The input )")


class Session:
    """A loaded model; what ONNX Runtime raises while it runs comes out as `FileError`."""

    def __init__(self, loaded: ort.InferenceSession) -> None:
        self._loaded = loaded

    @property
    def feed(self) -> str:
        """The name of the first input."""
        return str(self._loaded.get_inputs()[0].name)

    @property
    def output(self) -> str:
        """The name of the first output."""
        return str(self._loaded.get_outputs()[0].name)

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Return some outputs, by input that is fed.

        Raises:
            FileError: ONNX Runtime refuses the inputs, or an operator what it gets.
        """
        try:
            found: list[Array] = self._loaded.run(list(outputs), dict(feeds))
        except Exception as error:  # the vendor raises a dozen unrelated types
            fed = ", ".join(f"{name} {values.shape}" for name, values in feeds.items())
            raise FileError(
                f"ONNX Runtime {ort.__version__} cannot run the model on {fed}: {_said(error)}",
                fix="pass the size that the model was made for (--resolution R), or where it has "
                "one of its own, export it again so that it runs at that",
            ) from error
        return found


def session(
    proto: onnx.ModelProto,
    threads: int | None,
    *,
    as_written: bool = False,
    without: Sequence[str] = (),
) -> Session:
    """Load a model into ONNX Runtime, on the CPU.

    Args:
        proto: The model.
        threads: None leaves ONNX Runtime the choice.
        as_written: Compute Q/DQ pairs and what lies between them in float, as the graph says,
            with no kernel for integers in their place.
        without: Names of ONNX Runtime's optimisers to leave out.

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
        loaded = ort.InferenceSession(
            proto.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(without),
        )
    except Exception as error:  # the vendor raises a dozen unrelated types
        raise FileError(
            f"ONNX Runtime {ort.__version__} cannot run the model: {_said(error)}",
            fix="export it with operators and an opset that ONNX Runtime has",
        ) from error
    return Session(loaded)


def _said(error: Exception) -> str:
    """Return the first line of a message, without numbers of errors and lines of C++."""
    said = _WHERE.sub("", (str(error).strip() or type(error).__name__).splitlines()[0])
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
