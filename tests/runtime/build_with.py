"""Building a source that is none with an acted-out TensorRT, as if on a Jetson Orin."""

from __future__ import annotations

from typing import Any

from edgedeploy.runtime import trt_build
from edgedeploy.runtime.cuda_memory import Gpu
from tests.runtime.fake_trt import LayerType

ORIN = Gpu("Orin", "8.7")
WITH_QDQ = (LayerType.QUANTIZE, LayerType.DEQUANTIZE, LayerType.CONVOLUTION)
TABLE = b"TRT-7134-MinMaxCalibration\ntensor0: 3c010204\n"


def build(source: str, trt: Any, precision: str = "fp32", **more: Any) -> trt_build.BuildReport:
    engine = source.replace("source.onnx", "model.engine")
    return trt_build.build_engine(
        source, engine, precision=precision, trt=trt, **({"find_gpu": lambda: ORIN} | more)
    )
