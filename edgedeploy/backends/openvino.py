"""OpenVINO: an IR (``.xml`` + ``.bin``) that any OpenVINO device can compile."""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import TYPE_CHECKING

import openvino as ov
from openvino.passes import ConstantFolding, Manager

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import BuildError
from edgedeploy.runtime.openvino import float_type
from edgedeploy.source_forms import SourceForm
from edgedeploy.types import Built, Precision, Steps, no_steps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.types import BuildSpec

_log = logging.getLogger(__name__)

ENGINE, WEIGHTS = "model.xml", "model.bin"
_COUNTED = re.compile(r"([A-Z][A-Za-z]+)_\d+$")
_COMPUTE = frozenset({"Convolution", "MatMul", "FullyConnected", "GroupConvolution"})
_WITHOUT_BIAS = "/WithoutBiases"  # OpenVINO's for a convolution that it has split from its bias
_TYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "u8": "int8"}


def version() -> str:
    """Return the version of OpenVINO."""
    return str(ov.get_version())


def precisions() -> frozenset[Precision]:
    """Return what `build` accepts."""
    return frozenset(Precision)


def capabilities(core: ov.Core | None = None) -> frozenset[str]:
    """Return what at least one device here is built for, e.g. ``{"FP32", "INT8"}``."""
    core = core or ov.Core()
    names: set[str] = set()
    for device in core.available_devices:
        try:
            names.update(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
        except RuntimeError as error:  # a GPU or NPU whose driver is broken
            _log.info("OpenVINO's device %s does not answer: %s", device, error)
    return frozenset(names)


def source_form(spec: BuildSpec) -> SourceForm:
    """Return float32 for FP16 too: OpenVINO compresses the weights itself."""
    return SourceForm(style=QdqStyle.U8 if spec.precision is Precision.INT8 else None)


def candidates(spec: BuildSpec) -> tuple[BuildSpec, ...]:
    """Return ``spec``: there is one way to build it."""
    return (spec,)


def fits(runs_on: Mapping[str, object]) -> bool:
    """Return True: what this builds is bound to nothing."""
    del runs_on
    return True


def build(source: Path, spec: BuildSpec, folder: Path, *, progress: Steps = no_steps) -> Built:
    """Convert to IR; ``fp32`` keeps float32 weights, which OpenVINO by itself would not.

    Raises:
        BuildError: OpenVINO does not convert it, or the device does not compile it.
    """
    del progress  # it is soon done
    core = ov.Core()
    try:
        model = core.read_model(source)
        if spec.precision is not Precision.INT8:  # there it would turn int8 weights into float32
            passes = Manager()
            passes.register_pass(ConstantFolding())
            passes.run_passes(model)
        _name_stably(model)
        ov.save_model(model, folder / ENGINE, compress_to_fp16=spec.precision is Precision.FP16)
        del model  # it maps the source's weights
        layers = _running_layers(core, folder / ENGINE, spec)
    except RuntimeError as error:
        raise BuildError(
            f"OpenVINO {version()} refused the model: {str(error).strip()}",
            fix="export it with operators that OpenVINO has, or choose another --ov-device",
        ) from error
    return Built(
        engine=ENGINE,
        files=(ENGINE, WEIGHTS),
        runs=dict(sorted(Counter(kind for _, kind in layers).items())),
        runs_on={"portable": True},
        floats=tuple(name for name, kind in layers if kind != "int8"),
    )


def _name_stably(model: ov.Model) -> None:
    """Replace names that OpenVINO counts up over a whole process, so that equal IRs are equal."""
    for index, node in enumerate(model.get_ordered_ops()):
        counted = _COUNTED.match(node.get_friendly_name())
        if counted:
            node.set_friendly_name(f"{counted[1]}_{index}")


def _running_layers(core: ov.Core, engine: Path, spec: BuildSpec) -> list[tuple[str, str]]:
    """Compile for the device and list what it reports; empty where the device is not here."""
    if spec.ov_device.split(".")[0] not in {*core.available_devices, "AUTO"}:
        return []
    model = core.read_model(engine)
    shape = model.input().partial_shape
    if shape.is_dynamic and shape[0].is_dynamic:
        shape[0] = 1
        model.reshape(shape)
    hint = float_type(core, spec.ov_device, spec.precision.value)
    compiled = core.compile_model(model, spec.ov_device, {"INFERENCE_PRECISION_HINT": hint})
    layers = []
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        if info["layerType"].astype(str) in _COMPUTE:
            # "runtimePrecision" repeats the weights' type; the kernel's name says what computes
            kernel = info["primitiveType"].astype(str).rsplit("_", 1)[-1].lower()
            kind = kernel if kernel in _TYPES else info["runtimePrecision"].astype(str)
            name = node.get_friendly_name().removesuffix(_WITHOUT_BIAS)
            layers.append((name, _TYPES.get(kind, kind)))
    return layers
