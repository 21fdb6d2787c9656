"""What is here: the device, what the backends really run on it, the sensors, what is missing."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import advice, backends, devices, optional, trial
from edgedeploy.errors import EdgeDeployError
from edgedeploy.meters import cpu, ina3221, nvml, rapl, tegrastats
from edgedeploy.runtime import cuda_memory
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgedeploy.advice import Advice, Gain
    from edgedeploy.devices import Here
    from edgedeploy.meters.sysfs import SensorState
    from edgedeploy.runtime.cuda_memory import Cuda, Gpu

_RTX = "tensorrt_rtx"
_RTX_OLDEST = (7, 5)  # Turing
# Precision -> what `ort.running_layers` calls it
_RUNNING = {Precision.FP32: "float32", Precision.FP16: "float16", Precision.INT8: "int8"}
# Package -> its extra, and what does not work without it
_OPTIONAL = {
    "h5py": ("export", "Keras weights cannot be read"),
    "safetensors": ("export", ".safetensors weights cannot be read"),
    "torch": ("train", "training and .pth weights do not work"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendState:
    """What a backend can do here.

    Attributes:
        version: Of its library, None if it does not load.
        library: The package that drives it, None if there is none.
        precisions: Those that really run here; empty if nothing does.
        can_build: Whether `edgedeploy build` works with it.
        can_run: Whether its artifacts run here.
        reason: Why one of the two is not so; None if both are.
    """

    version: str | None = None
    library: str | None = None
    precisions: tuple[Precision, ...] = ()
    can_build: bool = False
    can_run: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that is not here, or not as it should be, and what to do about it."""

    problem: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is here.

    Attributes:
        here: The device.
        backends: By name.
        sensors: By name.
        missing: What is not here.
        gains: How much faster INT8 is here; None where it was not measured.
        advice: Why INT8 cannot help here, by backend, as far as it is known.
    """

    here: Here
    backends: Mapping[str, BackendState]
    sensors: Mapping[str, SensorState]
    missing: tuple[Missing, ...]
    gains: tuple[Gain, ...] | None
    advice: tuple[Advice, ...]


def examine(
    root: str = "/",
    *,
    measure: bool = False,
    open_gpu: Callable[[], Cuda] = cuda_memory.open_gpu,
) -> Diagnosis:
    """Look at this machine; loads every backend's library.

    Args:
        root: Where the file system starts, for device, processor and sensors.
        measure: Time INT8 against the other types on the CPU too, a second or two per backend.
        open_gpu: Opens the NVIDIA GPU, or raises `EdgeDeployError` with the reason.
    """
    here = devices.here(root)
    missing: list[Missing] = []
    gpu, gpu_problem = _find_gpu(open_gpu)
    states = {
        "ort": _examine("ort", missing, _examine_ort),
        "openvino": _examine("openvino", missing, _examine_openvino),
        "trt": _examine("trt", missing, lambda: _examine_trt(gpu, gpu_problem)),
    }
    sensors = {
        "tegrastats": tegrastats.probe(root),
        "ina3221": ina3221.probe(root),
        "rapl": rapl.probe(root),
        "nvml": nvml.probe(),
    }
    missing += _missing_sensors(sensors, has_gpu=gpu is not None)
    missing += _missing_packages()
    processor = cpu.read(root)
    if not processor.multiplies_bytes_exactly:
        missing.append(_saturates())
    if here.facts.soc is not None and not here.device.is_jetson:
        missing.append(_unknown_jetson(here))
    gains = _gains(states, missing) if measure else None
    return Diagnosis(
        here=here,
        backends=states,
        sensors=sensors,
        missing=tuple(missing),
        gains=gains,
        advice=tuple(
            row
            for name, state in states.items()
            for row in advice.on_machine(
                name,
                runs=state.precisions if state.can_run else (),
                cpu=processor,
                device=here.device,
                gains=gains or (),
            )
        ),
    )


def to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as JSON values."""
    facts = diagnosis.here.facts
    return {
        "device": {"name": facts.name, "model": facts.model},
        "backends": {
            name: {**asdict(state), "precisions": [p.value for p in state.precisions]}
            for name, state in diagnosis.backends.items()
        },
        "sensors": {
            name: {"available": state.available, "reason": state.reason}
            for name, state in diagnosis.sensors.items()
        },
        "missing": [asdict(row) for row in diagnosis.missing],
        "gains": None if diagnosis.gains is None else advice.to_json(diagnosis.gains),
        "advice": advice.to_json(diagnosis.advice),
    }


def _gains(states: Mapping[str, BackendState], missing: list[Missing]) -> tuple[Gain, ...]:
    """Measure what INT8 gains on the CPU; a library that does not build the graph is named."""
    found: list[Gain] = []
    for name in ("ort", "openvino"):
        try:
            found += trial.measure(name, states[name].precisions)
        except EdgeDeployError as error:
            missing.append(Missing(error.problem, error.fix))
    return tuple(found)


def _examine(name: str, missing: list[Missing], look: Callable[[], BackendState]) -> BackendState:
    """Look at a backend; one whose library does not load is a state too."""
    try:
        return look()
    except EdgeDeployError as error:
        missing.append(Missing(error.problem, error.fix))
        return BackendState(library=backends.package(name), reason=error.problem)


def _examine_ort() -> BackendState:
    """Load a convolution of each type and see in which type it is left.

    Raises:
        EdgeDeployError: ONNX Runtime is not here, or does not load them.
    """
    version = backends.get("ort").version()
    from edgedeploy.backends import ort

    running = []
    with tempfile.TemporaryDirectory() as folder:
        for precision, kind in _RUNNING.items():
            path = Path(folder, f"{precision.value}.onnx")
            trial.write_convolution(path, precision)
            if kind in [running for _, running in ort.running_layers(path)]:
                running.append(precision)
    return BackendState(
        version=version,
        library="onnxruntime",
        precisions=tuple(running),
        can_build=True,
        can_run=True,
    )


def _examine_openvino() -> BackendState:
    """Ask OpenVINO's devices which types they are built for.

    Raises:
        EdgeDeployError: OpenVINO is not here.
    """
    version = backends.get("openvino").version()
    from edgedeploy.backends import openvino

    names = openvino.capabilities()
    return BackendState(
        version=version,
        library="openvino",
        precisions=tuple(p for p in Precision if p.name in names),
        can_build=True,
        can_run=bool(names),
        reason=None if names else "OpenVINO finds no device here that works",
    )


def _examine_trt(gpu: Gpu | None, gpu_problem: str | None) -> BackendState:
    """Combine what the library builds with what the GPU runs."""
    backend = backends.get("trt")
    library = backends.package("trt")
    builds_anywhere = library == _RTX
    if gpu is None:
        return BackendState(
            version=backend.version(),
            library=library,
            can_build=builds_anywhere,
            reason=gpu_problem,
        )
    capability = tuple(int(part) for part in gpu.compute_capability.split("."))
    too_old = builds_anywhere and capability < _RTX_OLDEST
    runs = devices.gpu_precisions(gpu.compute_capability)
    return BackendState(
        version=backend.version(),
        library=library,
        precisions=() if too_old else tuple(p for p in runs if p in backend.precisions()),
        can_build=True,
        can_run=not too_old,
        reason=f"{gpu.name} has compute capability {gpu.compute_capability}, TensorRT-RTX needs 7.5"
        if too_old
        else None,
    )


def _find_gpu(open_gpu: Callable[[], Cuda]) -> tuple[Gpu | None, str | None]:
    try:
        return open_gpu().gpu, None
    except EdgeDeployError as error:
        return None, error.problem


def _missing_sensors(sensors: Mapping[str, SensorState], *, has_gpu: bool) -> list[Missing]:
    rows = [
        Missing(f"the sensor {name} cannot be read: {state.reason}", state.fix)
        for name, state in sensors.items()
        if state.fix is not None and (name != "nvml" or has_gpu)
    ]
    if not rows and not any(state.available for state in sensors.values()):
        rows.append(
            Missing(
                "no sensor here measures power: profiles will have none",
                "measure on the board or PC itself; a virtual machine has no sensor, and a "
                "container needs /sys/class/powercap mounted read-only",
            )
        )
    return rows


def _missing_packages() -> list[Missing]:
    return [
        Missing(
            f"the package {package!r} is not installed: {consequence}",
            f"pip install 'edgedeploy[{extra}]'",
        )
        for package, (extra, consequence) in _OPTIONAL.items()
        if not optional.is_installed(package)
    ]


def _saturates() -> Missing:
    return Missing(
        "this processor has neither VNNI nor AMX: ONNX Runtime and OpenVINO add pairs of uint8 × "
        "int8 products in 16 bits, where large weights saturate",
        "build INT8 with: edgedeploy build --int8 (by default --x86 any, which keeps weights small "
        "enough); check INT8 models from elsewhere with: edgedeploy eval",
    )


def _unknown_jetson(here: Here) -> Missing:
    return Missing(
        f"this is a {here.facts.soc} ({here.facts.model}), no board of the table",
        "report /proc/device-tree/compatible to the project; until then it is treated as 'local'",
    )
