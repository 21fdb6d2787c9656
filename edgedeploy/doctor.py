"""What is here: the device, what the backends really run on it, the sensors, what is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import (
    advice,
    backend_states,
    backends,
    board_advice,
    device_rows,
    devices,
    jetpack,
    optional,
    readiness,
    trial,
)
from edgedeploy.backend_states import BackendState
from edgedeploy.errors import EdgeDeployError, UsageError
from edgedeploy.meters import cpu, ina3221, memory, nvml, rapl, tegrastats
from edgedeploy.meters.sysfs import SensorState
from edgedeploy.runtime import cuda_memory, trt_api, trt_dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgedeploy.advice import Advice, Gain
    from edgedeploy.devices import Here
    from edgedeploy.jetpack import Software
    from edgedeploy.meters.cpu import Cpu
    from edgedeploy.meters.memory import Memory
    from edgedeploy.runtime.cuda_memory import Cuda, Gpu

_SENSORS = ("tegrastats", "ina3221", "rapl", "nvml")
_NOT_EXAMINED = "not examined: --root shows the files of another machine"

# Package -> its extra, and what does not work without it
_OPTIONAL = {
    "h5py": ("export", "Keras weights cannot be read"),
    "safetensors": ("export", ".safetensors weights cannot be read"),
    "torch": ("train", "training and .pth weights do not work"),
}


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
        software: Of a Jetson: what its JetPack brings, and what is installed; None elsewhere.
        memory: Free and total; None where the kernel does not tell.
        backends: By name.
        sensors: By name.
        missing: What is not here.
        gains: How much faster INT8 is here; None where it was not measured.
        advice: Why INT8 cannot help here, by backend, as far as it is known; and what is wrong
            with a board's software, or short on it.
    """

    here: Here
    software: Software | None
    memory: Memory | None
    backends: Mapping[str, BackendState]
    sensors: Mapping[str, SensorState]
    missing: tuple[Missing, ...]
    gains: tuple[Gain, ...] | None
    advice: tuple[Advice, ...]


def examine(
    root: str = "/",
    *,
    elsewhere: bool = False,
    measure: bool = False,
    open_gpu: Callable[[], Cuda] = cuda_memory.open_gpu,
) -> Diagnosis:
    """Look at this machine; loads every backend's library.

    Args:
        root: Where the file system starts, for device, processor and sensors.
        elsewhere: ``root`` is another machine's, such as a mounted card: this machine's libraries,
            packages and sensors say nothing about it and are left alone.
        measure: Time INT8 against the other types on the CPU too, a second or two per backend.
        open_gpu: Opens the NVIDIA GPU, or raises `EdgeDeployError` with the reason.

    Raises:
        UsageError: Another machine is to be measured.
    """
    if elsewhere and measure:
        raise UsageError(
            f"--measure times this machine, and --root {root} is another's files",
            fix="leave one of the two out",
        )
    here = devices.here(root)
    missing: list[Missing] = []
    if elsewhere:
        states = {name: BackendState(reason=_NOT_EXAMINED) for name in backends.names()}
        sensors = {name: SensorState(available=False, reason=_NOT_EXAMINED) for name in _SENSORS}
    else:
        states, sensors = _examine_own(here, root, missing, open_gpu)
    processor = cpu.read(root)
    if not processor.multiplies_bytes_exactly:
        missing.append(_saturates())
    if here.facts.soc is not None and not here.device.is_jetson:
        missing.append(_unknown_jetson(here))
    gains = _gains(states, missing) if measure else None
    software = jetpack.look(here, root) if here.device.is_jetson else None
    return Diagnosis(
        here=here,
        software=software,
        memory=memory.read(root),
        backends=states,
        sensors=sensors,
        missing=tuple(missing),
        gains=gains,
        advice=(
            *_advise_int8(here, states, processor, gains or ()),
            *_advise_board(here, software, None if elsewhere else states["trt"]),
            *readiness.look(here.device, root=root, folder=Path(root if elsewhere else "build")),
        ),
    )


def to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as JSON values."""
    facts = diagnosis.here.facts
    return {
        "device": {"name": facts.name, "model": facts.model},
        **_board_to_json(diagnosis),
        "memory": diagnosis.memory._asdict() if diagnosis.memory else None,
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


def _board_to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return what a Jetson is and has; of another machine only its TensorRT."""
    here, software = diagnosis.here, diagnosis.software
    facts, device = here.facts, here.device
    if software is None:
        own = _own_tensorrt(diagnosis.backends["trt"])
        return {"board": None, "release": None, "tensorrt": own}
    release = software.release
    return {
        "board": {
            "title": device.title,
            "module": facts.module,
            "soc": device.soc,
            "compute_capability": device.compute_capability,
            "dla_cores": devices.dla_cores(device, facts.module),
            "l4t": facts.l4t,
            "jetpack": facts.jetpack,
            "power_mode": facts.power_mode,
        },
        "release": device_rows.release_to_json(device, release) if release else None,
        "tensorrt": jetpack.to_json(here, software),
    }


def _own_tensorrt(state: BackendState) -> dict[str, Any] | None:
    """Return what this machine's TensorRT is and runs; None if it has none."""
    if state.version is None:
        return None
    dialect = trt_dialects.of(trt_api.library())
    return {
        "expected": None,
        "installed": state.version,
        "source": state.library,
        "cuda": None,
        "pythons": [".".join(str(part) for part in jetpack.this_interpreter().version)],
        "generation": dialect.name,
        "precisions": [precision.value for precision in state.precisions],
        "int8_mode": trt_dialects.int8_mode(dialect),
    }


def _examine_own(
    here: Here, root: str, missing: list[Missing], open_gpu: Callable[[], Cuda]
) -> tuple[dict[str, BackendState], dict[str, SensorState]]:
    """Load this machine's backends, try its sensors and list its packages."""
    gpu, gpu_problem = _find_gpu(open_gpu)
    states = {
        "ort": _examine("ort", missing, backend_states.of_ort),
        "openvino": _examine("openvino", missing, backend_states.of_openvino),
        "trt": _examine(
            "trt",
            missing,
            lambda: backend_states.of_trt(gpu, gpu_problem),
            absent=board_advice.NO_MODULE if here.device.is_jetson else None,
        ),
    }
    sensors = {
        "tegrastats": tegrastats.probe(root),
        "ina3221": ina3221.probe(root),
        "rapl": rapl.probe(root),
        "nvml": nvml.probe(),
    }
    missing += _missing_sensors(sensors, has_gpu=gpu is not None)
    missing += _missing_packages()
    return states, sensors


def _advise_int8(
    here: Here, states: Mapping[str, BackendState], processor: Cpu, gains: tuple[Gain, ...]
) -> tuple[Advice, ...]:
    return tuple(
        row
        for name, state in states.items()
        for row in advice.on_machine(
            name,
            runs=state.precisions if state.can_run else (),
            cpu=processor,
            device=here.device,
            gains=gains,
        )
    )


def _advise_board(
    here: Here, software: Software | None, own: BackendState | None
) -> tuple[Advice, ...]:
    """Advise on a board; on this very machine also on the Python that runs this."""
    if software is None:
        return ()
    if own is None:
        return board_advice.advise(here, software)
    loaded = own.version if own.library == "tensorrt" else None
    return board_advice.advise(here, software, jetpack.this_interpreter(), loaded)


def _gains(states: Mapping[str, BackendState], missing: list[Missing]) -> tuple[Gain, ...]:
    """Measure what INT8 gains on the CPU; a library that does not build the graph is named."""
    found: list[Gain] = []
    for name in ("ort", "openvino"):
        try:
            found += trial.measure(name, states[name].precisions)
        except EdgeDeployError as error:
            missing.append(Missing(error.problem, error.fix))
    return tuple(found)


def _examine(
    name: str,
    missing: list[Missing],
    look: Callable[[], BackendState],
    *,
    absent: str | None = None,
) -> BackendState:
    """Look at a backend; one whose library does not load is a state too.

    ``absent`` is what to do where its library is not installed, if that is not to install an extra.
    """
    try:
        return look()
    except EdgeDeployError as error:
        library = backends.package(name)
        fix = error.fix if library or absent is None else absent
        missing.append(Missing(error.problem, fix))
        return BackendState(library=library, reason=error.problem)


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
