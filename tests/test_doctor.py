from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from edgedeploy import backends, board_advice, doctor
from edgedeploy.backend_states import BackendState
from edgedeploy.doctor import Diagnosis, Missing
from edgedeploy.errors import MissingDependencyError, UnsupportedError
from edgedeploy.meters import nvml
from edgedeploy.meters.sysfs import SensorState
from edgedeploy.runtime.cuda_memory import Gpu
from edgedeploy.types import Precision
from tests.fake_trees import NANO, NANO_JETPACK_4_6, PC, plant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.runtime.cuda_memory import Cuda

ZONE = "sys/class/powercap/intel-rapl:0"


def _no_gpu() -> NoReturn:
    raise UnsupportedError("no NVIDIA GPU can be used here: it is a test", fix="pretend")


def _gpu(name: str, capability: str) -> Callable[[], Cuda]:
    return lambda: cast("Cuda", SimpleNamespace(gpu=Gpu(name, capability)))


def _examine(root: str, open_gpu: Callable[[], Cuda] = _no_gpu) -> Diagnosis:
    return doctor.examine(root, open_gpu=open_gpu)


def _problems(diagnosis: Diagnosis) -> str:
    return "\n".join(row.problem for row in diagnosis.missing)


def test_json_has_the_shape_of_the_contract(tmp_path: Path) -> None:
    document = json.loads(json.dumps(doctor.to_json(_examine(plant(tmp_path, PC)))))
    about = ["device", "board", "release", "tensorrt", "memory"]
    assert list(document) == [*about, "backends", "sensors", "missing", "gains", "advice"]
    assert (document["board"], document["release"], document["memory"]) == (None, None, None)
    assert document["gains"] is None
    assert document["device"] == {"name": "local", "model": "Intel(R) N100"}
    assert list(document["backends"]) == ["ort", "openvino", "trt"]
    for state in document["backends"].values():
        assert set(state) == {
            "version", "library", "precisions", "can_build", "can_run", "reason",
        }  # fmt: skip
        assert (state["reason"] is None) == (state["can_build"] and state["can_run"])
    assert list(document["sensors"]) == ["tegrastats", "ina3221", "rapl", "nvml"]
    for sensor in document["sensors"].values():
        assert set(sensor) == {"available", "reason"}
        assert (sensor["reason"] is None) == sensor["available"]
    assert all(row["problem"] and row["fix"] for row in document["missing"])


def test_onnx_runtime_runs_what_its_loaded_graph_says(tmp_path: Path) -> None:
    state = _examine(str(tmp_path)).backends["ort"]
    assert state.library == "onnxruntime"
    assert (state.can_build, state.can_run, state.reason) == (True, True, None)
    assert {Precision.FP32, Precision.INT8} <= set(state.precisions)


def test_openvino_runs_what_its_devices_list(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    state = _examine(str(tmp_path)).backends["openvino"]
    assert (state.can_build, state.can_run, state.reason) == (True, True, None)
    assert {Precision.FP32, Precision.INT8} <= set(state.precisions)


def test_openvino_device_that_does_not_answer_is_passed_over() -> None:
    openvino = pytest.importorskip("edgedeploy.backends.openvino")

    class Core:
        available_devices = ("CPU", "GPU")

        def get_property(self, device: str, name: str) -> list[str]:
            assert name == "OPTIMIZATION_CAPABILITIES"
            if device == "GPU":
                raise RuntimeError("clGetPlatformIDs failed")
            return ["FP32", "BIN"]

    assert openvino.capabilities(Core()) == {"FP32", "BIN"}


def test_tensorrt_rtx_builds_without_a_gpu_and_does_not_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    if backends.package("trt") != "tensorrt_rtx":
        pytest.skip("the full TensorRT is installed, which needs a GPU to build")
    state = _examine(str(tmp_path)).backends["trt"]
    assert (state.library, state.can_build, state.can_run) == ("tensorrt_rtx", True, False)
    assert state.precisions == ()
    assert state.reason == "no NVIDIA GPU can be used here: it is a test"


def test_tensorrt_runs_what_the_gpu_has(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    gpu = _gpu("NVIDIA H100", "9.0")
    state = _examine(str(tmp_path), open_gpu=gpu).backends["trt"]
    assert (state.can_build, state.can_run, state.reason) == (True, True, None)
    assert state.precisions == (Precision.FP32, Precision.FP16, Precision.INT8)


def test_gpu_that_is_too_old_for_tensorrt_rtx_is_told_both_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    if backends.package("trt") != "tensorrt_rtx":
        pytest.skip("the full TensorRT is installed, which knows older GPUs")
    gpu = _gpu("GTX 1080", "6.1")
    state = _examine(str(tmp_path), open_gpu=gpu).backends["trt"]
    assert (state.can_run, state.precisions) == (False, ())
    assert state.reason == "GTX 1080 has compute capability 6.1, TensorRT-RTX needs 7.5"


def test_library_that_does_not_load_is_a_state_and_a_missing_row() -> None:
    def look() -> NoReturn:
        raise MissingDependencyError("libopenvino.so: not found", fix="install it")

    missing: list[Missing] = []
    state = doctor._examine("openvino", missing, look)
    assert state == BackendState(library=state.library, reason="libopenvino.so: not found")
    assert missing == [Missing("libopenvino.so: not found", "install it")]


def test_library_that_is_absent_on_a_jetson_is_not_to_come_from_pip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look() -> NoReturn:
        raise MissingDependencyError("there is no tensorrt", fix="pip install 'edgedeploy[trt]'")

    missing: list[Missing] = []
    monkeypatch.setattr(backends, "package", lambda name: None)
    doctor._examine("trt", missing, look, absent=board_advice.NO_MODULE)
    assert "pip install 'edgedeploy" not in missing[0].fix
    assert "sudo apt-get install python3-libnvinfer" in missing[0].fix
    assert "--system-site-packages" in missing[0].fix


def test_running_board_is_advised_on_its_software_and_its_python(tmp_path: Path) -> None:
    diagnosis = _examine(plant(tmp_path, {**NANO_JETPACK_4_6, **PC}))
    assert diagnosis.software is not None
    assert diagnosis.backends["ort"].can_run
    subjects = [row.subject for row in diagnosis.advice]
    assert subjects[:2] == ["trt int8", "tensorrt"]
    assert "memory" in subjects
    assert not any("hides JetPack's" in row.problem for row in diagnosis.advice)


def test_board_and_its_sensors_are_read_below_the_root(tmp_path: Path) -> None:
    tree = {**NANO, f"{ZONE}/name": "package-0", f"{ZONE}/energy_uj": 5}
    diagnosis = _examine(plant(tmp_path, tree))
    assert diagnosis.here.facts.name == "jetson-nano"
    assert diagnosis.sensors["rapl"].available
    assert not diagnosis.sensors["ina3221"].available
    assert "no sensor here measures power" not in _problems(diagnosis)


def test_machine_without_any_sensor_is_told_where_to_measure(tmp_path: Path) -> None:
    if nvml.probe().available:
        pytest.skip("NVML measures here")
    diagnosis = _examine(plant(tmp_path, PC))
    row = next(r for r in diagnosis.missing if "no sensor here measures power" in r.problem)
    assert "virtual machine" in row.fix


def test_sensor_that_could_be_opened_is_missing_with_its_fix() -> None:
    sensors = {
        "rapl": SensorState(available=False, reason="root only", fix="sudo chmod"),
        "nvml": SensorState(available=False, reason="no pynvml", fix="pip install"),
    }
    rapl = Missing("the sensor rapl cannot be read: root only", "sudo chmod")
    assert doctor._missing_sensors(sensors, has_gpu=False) == [rapl]
    gpu = Missing("the sensor nvml cannot be read: no pynvml", "pip install")
    assert doctor._missing_sensors(sensors, has_gpu=True) == [rapl, gpu]


def test_saturating_processor_is_warned_of(tmp_path: Path) -> None:
    assert "neither VNNI nor AMX" not in _problems(_examine(plant(tmp_path, PC)))
    older = plant(tmp_path, {"proc/cpuinfo": "model name\t: x\nflags\t: fpu avx2\n"})
    assert "neither VNNI nor AMX" in _problems(_examine(older))


def _advised(diagnosis: Diagnosis) -> dict[str, str]:
    return {row.subject: f"{row.problem}: {row.fix}" for row in diagnosis.advice}


def test_int8_is_advised_against_where_the_board_has_none(tmp_path: Path) -> None:
    advised = _advised(_examine(plant(tmp_path, NANO)))
    assert "compute capability 5.3, without INT8 arithmetic: use --fp16" in advised["trt int8"]


def test_nothing_is_said_against_int8_on_a_processor_with_vnni(tmp_path: Path) -> None:
    assert _advised(_examine(plant(tmp_path, PC))) == {}


def test_processor_without_int8_dot_products_is_to_be_measured(tmp_path: Path) -> None:
    older = plant(tmp_path, {"proc/cpuinfo": "model name\t: x\nflags\t: fpu avx2\n"})
    text = _advised(_examine(older))["ort int8"]
    assert "neither VNNI nor AMX" in text
    assert text.endswith("measure it here: edgedeploy doctor --measure")


def test_measured_gains_are_in_the_document(tmp_path: Path) -> None:
    diagnosis = doctor.examine(plant(tmp_path, PC), measure=True, open_gpu=_no_gpu)
    document = json.loads(json.dumps(doctor.to_json(diagnosis)))
    row = next(row for row in document["gains"] if row["backend"] == "ort")
    assert row["against"] == "fp32"
    assert 0 < row["low"] <= row["ratio"] <= row["high"]


def test_jetson_that_is_in_no_table_is_reported(tmp_path: Path) -> None:
    tree = {"proc/device-tree/compatible": b"nvidia,tegra999\0"}
    problems = _problems(_examine(plant(tmp_path, tree)))
    assert "this is a tegra999 (nvidia,tegra999), no board of the table" in problems


def test_absent_package_says_what_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor._OPTIONAL, "no_such_package", ("export", "nothing works"))
    rows = doctor._missing_packages()
    assert rows[-1] == Missing(
        "the package 'no_such_package' is not installed: nothing works",
        "pip install 'edgedeploy[export]'",
    )
