"""How the ONNX file that a backend is given must look; `preparing` makes it so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from edgedeploy.runtime.trt_dialects import Dialect

# What strongly typed TensorRT needs around Q/DQ nodes with float16 scales: they came with opset 19
# and IR 9. At opset 13 TensorRT-RTX types the sums and the pool as float32.
TYPED_OPSET = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceForm:
    """The form of a source.

    Attributes:
        style: Of its Q/DQ nodes; None where it has none.
        float_weights: Quantised weights are written as float32 on their integers' grid, behind
            QuantizeLinear and DequantizeLinear, rather than as int8 behind DequantizeLinear.
        corrected: It is float, with the weights and biases that the calibration makes of the
            model's, and a TensorRT calibration cache belongs to it.
        half: It is float16 inside, but for what the Q/DQ nodes hold; input and output stay
            float32.
        oldest_opset: It is converted up to this opset where it is older.
        newest_opset: It is converted down to this opset where it is newer; None: as it is.
        newest_ir: Its IR version is at most this; None: as it is.
    """

    style: QdqStyle | None = None
    float_weights: bool = False
    corrected: bool = False
    half: bool = False
    oldest_opset: int = 0
    newest_opset: int | None = None
    newest_ir: int | None = None


def trt_form(dialect: Dialect, precision: Precision, int8_mode: str) -> SourceForm:
    """Return the form that a generation of TensorRT wants.

    Args:
        dialect: The generation.
        precision: What to build.
        int8_mode: ``implicit``, ``qdq`` or ``typed``; counts for INT8 only.
    """
    int8 = precision is Precision.INT8
    typed = dialect.typed if not int8 else int8_mode == "typed"
    return SourceForm(
        style=QdqStyle.S8 if int8 and int8_mode != "implicit" else None,
        float_weights=int8 and int8_mode == "qdq",
        corrected=int8 and int8_mode == "implicit",
        half=typed and precision is not Precision.FP32,
        oldest_opset=TYPED_OPSET if int8 and typed else 0,
        newest_opset=dialect.opset,
        newest_ir=dialect.ir_version,
    )
