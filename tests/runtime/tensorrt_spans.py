"""Every TensorRT name that the code touches, and which versions have it.

The names are in `tensorrt_names.json`, by owner. A name that not every version has stands in
`SPANS`; `test_trt_names` checks that on every version that can be imported.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

NAMES: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("tensorrt_names.json").read_text(encoding="utf-8")
)["names"]
LISTED = sorted(f"{owner}.{name}" for owner, names in NAMES.items() for name in names)
RTX_ONLY = ("99.0", None)
# Owner.name -> first and last version that have it, None: older than 8.2, still there.
# For 8.2 to 8.5 by NVIDIA's sources (python/src/infer/pyCore.cpp and pyInt8.cpp of the tags); what
# is not here is in every version.
SPANS: dict[str, tuple[str | None, str | None]] = {
    "IBuilderConfig.max_workspace_size": (None, "9.3"),
    "ICudaEngine.binding_is_input": (None, "9.3"),
    "ICudaEngine.get_binding_dtype": (None, "9.3"),
    "ICudaEngine.get_binding_name": (None, "9.3"),
    "ICudaEngine.get_binding_shape": (None, "9.3"),
    "ICudaEngine.get_profile_shape": (None, "9.3"),
    "ICudaEngine.num_bindings": (None, "9.3"),
    "IExecutionContext.execute_async_v2": (None, "9.3"),
    "IExecutionContext.get_binding_shape": (None, "9.3"),
    "IExecutionContext.set_binding_shape": (None, "9.3"),
    "Builder.platform_has_fast_int8": (None, "10.16"),
    "BuilderFlag.FP16": (None, "10.16"),
    "BuilderFlag.INT8": (None, "10.16"),
    "IBuilderConfig.int8_calibrator": (None, "10.16"),
    "IBuilderConfig.set_calibration_profile": (None, "10.16"),
    "ICudaEngine.device_memory_size": (None, "10.16"),
    "IInt8EntropyCalibrator2.__init__": (None, "10.16"),
    "IInt8EntropyCalibrator2.get_batch": (None, "10.16"),
    "IInt8EntropyCalibrator2.get_batch_size": (None, "10.16"),
    "IInt8EntropyCalibrator2.read_calibration_cache": (None, "10.16"),
    "IInt8EntropyCalibrator2.write_calibration_cache": (None, "10.16"),
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": (None, "10.16"),
    "OnnxParser.supports_model": (None, "10.16"),
    "IBuilderConfig.set_memory_pool_limit": ("8.4", None),
    "MemoryPoolType.WORKSPACE": ("8.4", None),
    "ICudaEngine.get_tensor_dtype": ("8.5", None),
    "ICudaEngine.get_tensor_mode": ("8.5", None),
    "ICudaEngine.get_tensor_name": ("8.5", None),
    "ICudaEngine.get_tensor_profile_shape": ("8.5", None),
    "ICudaEngine.get_tensor_shape": ("8.5", None),
    "ICudaEngine.num_io_tensors": ("8.5", None),
    "IExecutionContext.execute_async_v3": ("8.5", None),
    "IExecutionContext.get_tensor_shape": ("8.5", None),
    "IExecutionContext.set_input_shape": ("8.5", None),
    "IExecutionContext.set_tensor_address": ("8.5", None),
    "TensorIOMode.INPUT": ("8.5", None),
    "TensorIOMode.OUTPUT": ("8.5", None),
    "BuilderFlag.EXCLUDE_LEAN_RUNTIME": ("8.6", None),
    "BuilderFlag.VERSION_COMPATIBLE": ("8.6", None),
    "HardwareCompatibilityLevel.AMPERE_PLUS": ("8.6", None),
    "IBuilderConfig.builder_optimization_level": ("8.6", None),
    "IBuilderConfig.hardware_compatibility_level": ("8.6", None),
    "Runtime.engine_host_code_allowed": ("8.6", None),
    "Runtime.load_runtime": ("8.6", None),
    "IBuilderConfig.progress_monitor": ("9.1", None),
    "IProgressMonitor.__init__": ("9.1", None),
    "IProgressMonitor.phase_finish": ("9.1", None),
    "IProgressMonitor.phase_start": ("9.1", None),
    "IProgressMonitor.step_complete": ("9.1", None),
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": ("9.1", None),
    "ParserError.node_name": ("10.0", None),
    "ParserError.node_operator": ("10.0", None),
    "ICudaEngine.device_memory_size_v2": ("10.1", None),
    "HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY": ("10.9", None),
    "ICudaEngine.create_runtime_config": ("10.11", None),
    "CudaGraphStrategy.WHOLE_GRAPH_CAPTURE": RTX_ONLY,
    "IRuntimeConfig.cuda_graph_strategy": RTX_ONLY,
}


class _Version(NamedTuple):
    major: int
    minor: int


def _version(text: str) -> _Version:
    major, minor = text.split(".")[:2]
    return _Version(int(major), int(minor))


def expected(version: str) -> set[str]:
    """Return those of the listed names that a version has, by `SPANS`."""
    here = _version(version)
    found = set()
    for name in LISTED:
        first, last = SPANS.get(name, (None, None))
        if (first is None or _version(first) <= here) and (last is None or here <= _version(last)):
            found.add(name)
    return found
