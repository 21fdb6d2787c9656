from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest

from edgedeploy import backends, trial
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from pathlib import Path


def test_probe_asks_for_the_type_that_it_is_named_after(tmp_path: Path) -> None:
    expected = {Precision.FP32: "Conv", Precision.FP16: "Conv", Precision.INT8: "QuantizeLinear"}
    for precision, first in expected.items():
        trial.write_convolution(tmp_path / "probe.onnx", precision)
        model = onnx.load(tmp_path / "probe.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert model.graph.node[0].op_type == first
        is_half = model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
        assert is_half == (precision is Precision.FP16)


def test_block_is_half_a_mobilenet() -> None:
    model = trial.mobilenet_front()
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Conv", "Clip"] * 15


@pytest.mark.parametrize("name", ["ort", "openvino"])
def test_every_layer_of_the_block_runs_in_the_type_that_is_timed(tmp_path: Path, name: str) -> None:
    if backends.package(name) is None:
        pytest.skip(f"{name} is not installed")
    for precision, kind in ((Precision.FP32, "float32"), (Precision.INT8, "int8")):
        folder = trial._build(name, precision, tmp_path)
        assert f'"runs": {{\n   "{kind}": 15\n  }}' in (folder / "manifest.json").read_text()


def test_gain_is_the_ratio_of_times_in_each_turn() -> None:
    gain = trial._gain("ort", Precision.FP32, [30.0, 20.0, 8.0], [10.0, 10.0, 10.0])
    assert (gain.ratio, gain.low, gain.high, gain.turns) == (2.0, 0.8, 3.0, 3)
    assert str(gain) == "2.00 times the speed of fp32 (0.80 to 3.00 in 3 turns)"


def test_types_are_timed_forwards_and_backwards() -> None:
    calls: list[str] = []

    class Clock:
        now_ns = 0

        def __call__(self) -> int:
            self.now_ns += 1
            return self.now_ns

    clock = Clock()

    def call(name: str, cost_ns: int) -> None:
        clock.now_ns += cost_ns
        if not calls or calls[-1] != name:
            calls.append(name)

    times = trial._in_turns(
        {
            Precision.INT8: lambda: call("int8", 1_000_000),
            Precision.FP32: lambda: call("fp32", 3_000_000),
        },
        turns=3,
        clock=clock,
    )
    assert calls == ["int8", "fp32", "int8", "fp32", "int8", "fp32"]
    assert times[Precision.INT8] == pytest.approx([1_000_001] * 3)
    assert times[Precision.FP32] == pytest.approx([3_000_001] * 3)


def test_slowdown_is_the_ratio_of_medians_and_1_for_the_same_artifact(tmp_path: Path) -> None:
    whole, half = (trial._build("ort", p, tmp_path) for p in (Precision.INT8, Precision.FP32))
    seen = [
        trial.slowdown(whole, other, side=(80, 80), threads=1, duration_s=0.5)
        for other in (whole, half)
    ]
    assert 0.6 < seen[0] < 1.7
    assert seen[1] > 0


def test_without_int8_there_is_nothing_to_compare() -> None:
    assert trial.measure("ort", (Precision.FP32,)) == ()


def test_every_other_type_is_compared() -> None:
    gains = trial.measure("ort", (Precision.FP32, Precision.FP16, Precision.INT8), turns=2)
    assert [gain.against for gain in gains] == [Precision.FP32, Precision.FP16]
    for gain in gains:
        assert gain.turns == 2
        assert 0 < gain.low <= gain.ratio <= gain.high
