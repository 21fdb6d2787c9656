from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy import advice, devices
from edgedeploy.advice import Gain
from edgedeploy.meters.cpu import Cpu
from edgedeploy.runtime import manifest
from edgedeploy.types import Precision
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.advice import Advice

AVX2 = Cpu(model="x", governor=None, x86_flags=frozenset({"avx2"}))
VNNI = Cpu(model="x", governor=None, x86_flags=frozenset({"avx2", "avx_vnni"}))
CORTEX_A57 = Cpu(model="x", governor=None, arm_features=frozenset({"fp", "asimd"}))
CORTEX_A76 = Cpu(model="x", governor=None, arm_features=frozenset({"asimd", "asimddp"}))
UNKNOWN = Cpu(model="x", governor=None)
ALL = (Precision.FP32, Precision.FP16, Precision.INT8)
CPU_TYPES = (Precision.FP32, Precision.INT8)
LOCAL = devices.find("local")


def gain(
    ratio: float, low: float, high: float, *, backend: str = "ort", against: str = "fp32"
) -> Gain:
    return Gain(
        backend=backend, against=Precision(against), ratio=ratio, low=low, high=high, turns=7
    )


def only(rows: tuple[Advice, ...]) -> Advice:
    (row,) = rows
    return row


@pytest.mark.parametrize("name", ["jetson-nano", "jetson-tx1", "jetson-tx2"])
def test_boards_without_int8_are_told_to_use_fp16(name: str) -> None:
    board = devices.find(name)
    row = only(advice.on_machine("trt", runs=(), cpu=CORTEX_A57, device=board))
    assert row.subject == "trt int8"
    assert str(board.compute_capability) in row.problem
    assert row.fix == "use --fp16"


def test_boards_with_int8_are_not() -> None:
    board = devices.find("jetson-orin-nano")
    assert advice.on_machine("trt", runs=ALL, cpu=CORTEX_A76, device=board) == ()


def test_gpu_without_int8_is_told_what_it_runs() -> None:
    row = only(
        advice.on_machine("trt", runs=(Precision.FP32, Precision.FP16), cpu=VNNI, device=LOCAL)
    )
    assert row.problem == "trt runs here in fp16, fp32, and not in int8"
    assert row.fix == "use --fp16"


def test_what_does_not_run_here_is_not_judged() -> None:
    for backend in ("ort", "openvino", "trt"):
        assert advice.on_machine(backend, runs=(), cpu=AVX2, device=LOCAL) == ()


@pytest.mark.parametrize(
    ("cpu", "word"),
    [(AVX2, "VNNI"), (CORTEX_A57, "asimddp"), (VNNI, ""), (CORTEX_A76, ""), (UNKNOWN, "")],
)
def test_processors_without_dot_products_are_named_and_no_number_is_made_up(
    cpu: Cpu, word: str
) -> None:
    rows = advice.on_machine("openvino", runs=CPU_TYPES, cpu=cpu, device=LOCAL)
    assert bool(rows) == bool(word)
    for row in rows:
        assert word in row.problem
        assert not any(character.isdigit() for character in row.problem.replace("INT8", ""))
        assert row.fix == "measure it here: edgedeploy doctor --measure"


def test_measured_loss_says_what_to_use_instead() -> None:
    gains = [gain(0.7, 0.6, 0.8), gain(3.0, 2.9, 3.1, backend="openvino")]
    row = only(advice.on_machine("ort", runs=CPU_TYPES, cpu=VNNI, device=LOCAL, gains=gains))
    measured = "0.70 times the speed of fp32 (0.60 to 0.80 in 7 turns)"
    assert row.problem == f"INT8 is slower here, measured: {measured}"
    assert row.fix.startswith("use --fp32")
    assert advice.on_machine("openvino", runs=CPU_TYPES, cpu=AVX2, device=LOCAL, gains=gains) == ()


def test_the_strongest_other_type_is_the_one_to_beat() -> None:
    gains = [gain(2.0, 1.9, 2.1), gain(0.9, 0.85, 0.95, against="fp16")]
    row = only(advice.on_machine("ort", runs=ALL, cpu=VNNI, device=LOCAL, gains=gains))
    assert row.fix.startswith("use --fp16")


def test_no_difference_and_no_answer_are_told_apart() -> None:
    even = advice.on_machine(
        "ort", runs=CPU_TYPES, cpu=VNNI, device=LOCAL, gains=[gain(1.02, 0.95, 1.1)]
    )
    assert "not measurably faster" in only(even).problem
    noisy = advice.on_machine(
        "ort", runs=CPU_TYPES, cpu=VNNI, device=LOCAL, gains=[gain(1.5, 0.7, 2.9)]
    )
    assert "cannot be told" in only(noisy).problem
    assert "nothing else runs" in only(noisy).fix


# --- artifacts ------------------------------------------------------------------------------------


def known(tmp_path: Path, **changes: Any) -> manifest.Manifest:
    precision = {"asked": "int8", "runs": {"int8": 28}, "quantised": 28, "fell_back": []}
    changes = {"precision": precision, **changes}
    return manifest.read(str(write_artifact(tmp_path / "m" / "ort-int8", **changes)))


def on(about: manifest.Manifest, cpu: Cpu, *siblings: str) -> tuple[Advice, ...]:
    return advice.on_artifact("m/ort-int8", about, cpu=cpu, siblings=siblings)


def test_artifact_that_runs_as_asked_on_a_fast_processor_gets_no_advice(tmp_path: Path) -> None:
    assert on(known(tmp_path), VNNI) == ()


def test_sibling_in_another_type_is_to_be_compared(tmp_path: Path) -> None:
    row = only(on(known(tmp_path), VNNI, "m/ort-fp32"))
    assert "not been measured" in row.problem
    assert row.fix == "compare: edgedeploy profile --ab m/ort-fp32 m/ort-int8"


def test_processor_without_vnni_is_the_reason_to_compare(tmp_path: Path) -> None:
    about = known(tmp_path)
    assert "neither VNNI nor AMX" in only(on(about, AVX2)).problem
    row = only(on(about, AVX2, "m/ort-fp32"))
    assert "neither VNNI nor AMX" in row.problem
    assert row.fix.endswith("m/ort-fp32 m/ort-int8")


def test_layers_that_fell_back_are_counted_and_named(tmp_path: Path) -> None:
    precision = {
        "asked": "int8",
        "runs": {"float32": 5, "int8": 23},
        "quantised": 28,
        "fell_back": ["a", "b", "c", "d", "e"],
    }
    row = only(on(known(tmp_path, precision=precision), VNNI))
    assert row.problem == "5 of 28 quantised layers run in a float type: a, b, c and 2 more"
    assert "ONNX Runtime has no INT8 kernel" in row.fix


@pytest.mark.parametrize(
    "precision",
    [
        {"asked": "int8", "runs": {}, "quantised": 28},  # the engine does not tell
        {"asked": "int8", "runs": {"int8": 3}},  # an older manifest
        {"asked": "fp16", "runs": {"float32": 28}},
    ],
)
def test_nothing_is_claimed_of_layers_that_nobody_counted(
    tmp_path: Path, precision: dict[str, Any]
) -> None:
    assert on(known(tmp_path, precision=precision), VNNI) == ()


def test_full_weights_on_a_processor_without_vnni_are_warned_of(tmp_path: Path) -> None:
    rows = on(known(tmp_path, needs={"x86": "vnni"}), AVX2)
    assert "saturate" in rows[0].problem
    assert "--x86 any" in rows[0].fix
    assert on(known(tmp_path / "2", needs={"x86": "vnni"}), VNNI) == ()


def test_other_devices_are_not_judged_by_the_processor(tmp_path: Path) -> None:
    for name in ("GPU", "NPU"):
        about = known(tmp_path / name, backend="openvino", options={"ov_device": name})
        assert on(about, AVX2) == ()
    assert on(known(tmp_path / "t", backend="trt"), AVX2) == ()


def test_engine_for_a_gpu_without_int8_is_told_what_to_use(tmp_path: Path) -> None:
    gpu = {"portable": False, "gpu": "Tesla P100", "compute_capability": "6.0"}
    row = only(on(known(tmp_path, backend="trt", runs_on=gpu), VNNI))
    assert "Tesla P100 has compute capability 6.0" in row.problem
    assert row.fix == "use --fp16"


def test_advice_and_gains_are_json() -> None:
    rows = advice.to_json([gain(1.0, 0.9, 1.1)])
    assert json.loads(json.dumps(rows))[0]["against"] == "fp32"
    row = advice.on_machine("trt", runs=(), cpu=VNNI, device=devices.find("jetson-nano"))
    assert advice.to_json(row)[0]["subject"] == "trt int8"
