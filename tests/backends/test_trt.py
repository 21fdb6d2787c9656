from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import BuildError, MissingDependencyError, UsageError
from edgedeploy.runtime import cuda_memory, trt_api, trt_build, trt_dialects
from edgedeploy.runtime.trt_options import TrtOptions
from edgedeploy.types import BuildSpec, Built, Family, Precision
from tests.models import save, stem
from tests.prepared_sources import mobilenet, prepared

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.backends.base import Backend

PRECISIONS = (Precision.FP32, Precision.FP16, Precision.INT8)


def build(
    trt: Backend, model: onnx.ModelProto, tmp_path: Path, precision: Precision = Precision.FP32
) -> Built:
    source, folder = tmp_path / "prepared.onnx", tmp_path / "artifact"
    source.write_bytes(model.SerializeToString())
    folder.mkdir()
    return trt.build(source, BuildSpec(backend="trt", precision=precision), folder)


def is_typed(trt: Backend) -> bool:
    """Whether float types come from the source."""
    return trt.source_form(BuildSpec(backend="trt", precision=Precision.FP16)).half


def test_two_widths_give_two_sizes_of_engine(trt: Backend, tmp_path: Path) -> None:
    sizes = []
    for alpha in (0.25, 0.5):
        folder = tmp_path / str(alpha)
        folder.mkdir()
        build(trt, mobilenet(Family.MOBILENET_V1, alpha), folder)
        sizes.append((folder / "artifact" / "model.engine").stat().st_size)
    assert sizes[1] > sizes[0]


def test_fp16_weights_halve_the_engine_where_types_come_from_the_source(
    trt: Backend, tmp_path: Path
) -> None:
    if not is_typed(trt):
        pytest.skip("this TensorRT converts float32 sources itself")
    model = mobilenet(Family.MOBILENET_V1, 0.5)
    sizes = {}
    for precision in (Precision.FP32, Precision.FP16):
        folder = tmp_path / precision.value
        folder.mkdir()
        build(trt, prepared(model, precision), folder, precision)
        sizes[precision] = (folder / "artifact" / "model.engine").stat().st_size
    weights_bytes = sum(int(np.prod(tensor.dims)) * 4 for tensor in model.graph.initializer)
    assert sizes[Precision.FP32] - sizes[Precision.FP16] > 0.4 * weights_bytes


def test_engine_says_what_it_is_bound_to(trt: Backend, tmp_path: Path) -> None:
    built = build(trt, stem(("N", 3, 32, 32)), tmp_path)
    library = trt_api.library()
    assert built.runs_on["portable"] is False
    assert built.runs_on["library"] == library.__name__
    assert built.runs_on["library_version"] == trt.version() == library.__version__
    if library.__name__ == "tensorrt_rtx":  # for every GPU from Ampere on
        assert built.runs_on["gpu"] is None
        assert built.runs_on["compute_capability"] is None
    else:
        assert built.runs_on["gpu"]


def test_precisions_are_fp32_fp16_and_int8(trt: Backend) -> None:
    assert trt.precisions() == frozenset(PRECISIONS)
    int8 = BuildSpec(backend="trt", precision=Precision.INT8)
    assert trt.source_form(int8).style in (QdqStyle.S8, None)


def test_fixed_batch_builds_too(trt: Backend, tmp_path: Path) -> None:
    assert build(trt, stem((2, 3, 32, 32)), tmp_path).engine == "model.engine"


# ---- while it builds ----


def test_phases_are_logged(trt: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if not hasattr(trt_api.library(), "IProgressMonitor"):
        pytest.skip("this TensorRT reports no progress")
    with caplog.at_level(logging.INFO, logger="edgedeploy.backends.trt"):
        build(trt, stem(("N", 3, 32, 32)), tmp_path)
    assert any("Building engine (" in record.getMessage() for record in caplog.records)


INTERRUPTED = """
import os, signal, sys
from edgedeploy.runtime import trt_build

source, engine = sys.argv[1:]
told = []

def interrupt(phase, done, total):
    told.append(phase)
    if done == 1 and len(told) < 10:
        os.kill(os.getpid(), signal.SIGINT)

try:
    trt_build.build_engine(source, engine, precision="fp32", progress=interrupt)
except KeyboardInterrupt:
    print("cancelled after", len(told), os.path.exists(engine))
trt_build.build_engine(source, engine, precision="fp32")
print("and built", os.path.getsize(engine) > 100_000)
"""


def test_ctrl_c_cancels_a_real_build_and_leaves_nothing(tmp_path: Path) -> None:
    if not hasattr(trt_api.library(), "IProgressMonitor"):
        pytest.skip("this TensorRT cannot be cancelled")
    source = save(mobilenet(Family.MOBILENET_V1), tmp_path / "source.onnx")
    # in a process of its own: OpenVINO may have left this one an alternate signal stack that is
    # no longer there, on which Python's handlers run
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(source), str(tmp_path / "model.engine")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    cancelled, built = done.stdout.splitlines()
    words = cancelled.split()
    # at the step after the signal; a whole build takes hundreds
    assert words[:2] == ["cancelled", "after"]
    assert int(words[2]) < 10
    assert words[3] == "False"
    assert built == "and built True"


def test_tensorrt_rtx_times_nothing_so_nothing_is_kept(
    trt: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trt_api.library().__name__ != "tensorrt_rtx":
        pytest.skip("TensorRT times kernels")
    monkeypatch.setenv("EDGEDEPLOY_TIMING_CACHE", str(tmp_path / "timings"))
    build(trt, stem(("N", 3, 32, 32)), tmp_path)
    assert not (tmp_path / "timings").exists()


def test_there_is_one_candidate_unless_several_int8_modes_are_to_be_compared(trt: Backend) -> None:
    tune = TrtOptions(tune=True)
    for spec in (
        BuildSpec(backend="trt", precision=Precision.INT8),
        BuildSpec(backend="trt", precision=Precision.FP16, trt=tune),
        BuildSpec(backend="trt", precision=Precision.INT8, trt=tune._replace(int8_mode="typed")),
    ):
        assert trt.candidates(spec) == (spec,)


def test_tuned_int8_is_built_in_every_mode_that_the_library_has(trt: Backend) -> None:
    modes = trt_dialects.int8_modes(trt_dialects.of(trt_api.library()))
    spec = BuildSpec(backend="trt", precision=Precision.INT8, trt=TrtOptions(tune=True))
    if len(modes) == 1:
        with pytest.raises(UsageError, match=r"and TensorRT.* has typed only"):
            trt.candidates(spec)
        return
    if cuda_memory.find_gpu() is None:
        pytest.skip("there is no GPU to compare them on")
    assert tuple(made.trt.int8_mode for made in trt.candidates(spec)) == modes


# ---- refused ----


def test_every_unsupported_node_is_named(trt: Backend, tmp_path: Path) -> None:
    model = stem(("N", 3, 32, 32), opset=15)
    model.ir_version = 8
    model.graph.node[1].CopyFrom(helper.make_node("Bernoulli", ["c"], ["r"], name="dice"))
    coin = helper.make_node("Bernoulli", ["r"], ["s"], name="coin")
    model.graph.node.insert(2, coin)
    model.graph.node[3].input[0] = "s"
    with pytest.raises(BuildError, match=r"'dice' \(Bernoulli\).*'coin' \(Bernoulli\)"):
        build(trt, model, tmp_path)


@pytest.mark.parametrize("data", [b"", b"no ONNX"])
def test_a_file_without_a_model_is_refused(trt: Backend, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "source.onnx").write_bytes(data)
    with pytest.raises(BuildError, match=r"source.onnx: the file: |the model has no input"):
        trt_build.build_engine(
            str(tmp_path / "source.onnx"), str(tmp_path / "model.engine"), precision="fp32"
        )
    assert not (tmp_path / "model.engine").exists()


def test_uint8_qdq_is_refused_with_the_node(trt: Backend, tmp_path: Path) -> None:
    model = prepared(mobilenet(Family.MOBILENET_V1), Precision.INT8, style=QdqStyle.U8)
    with pytest.raises(BuildError, match=r"node '.+' \(QuantizeLinear\) is uint8") as caught:
        build(trt, model, tmp_path, Precision.INT8)
    assert "edgedeploy build MODEL --backend trt --int8" in caught.value.fix


@pytest.mark.parametrize("zero_point", ["absent", "initializer", "Constant", "output_dtype"])
def test_uint8_with_zero_point_0_is_refused_though_tensorrt_rtx_only_warns(
    trt: Backend, tmp_path: Path, zero_point: str
) -> None:
    with pytest.raises(BuildError, match=r"'quantize' \(QuantizeLinear\) is uint8"):
        build(trt, one_pair(zero_point), tmp_path, Precision.INT8)


def test_unsupported_operator_is_named_with_its_node(trt: Backend, tmp_path: Path) -> None:
    model = stem(("N", 3, 32, 32), opset=15)
    model.ir_version = 8
    model.graph.node[1].CopyFrom(helper.make_node("Bernoulli", ["c"], ["r"], name="dice"))
    with pytest.raises(BuildError, match=r"node 'dice' \(Bernoulli\)|node number 1:") as caught:
        build(trt, model, tmp_path)
    assert "--backend ort" in caught.value.fix


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda precision: precision.value)
def test_unknown_size_is_refused_with_the_flag_that_gives_it(
    trt: Backend, tmp_path: Path, precision: Precision
) -> None:
    model = stem(("N", 3, "H", "W"))
    with pytest.raises(BuildError, match=r"'image' of shape \(any, 3, any, any\)") as caught:
        build(trt, model, tmp_path, precision)
    assert "--resolution 224" in caught.value.fix


def test_fp16_of_a_float32_source_is_refused_where_types_come_from_the_source(
    trt: Backend, tmp_path: Path
) -> None:
    if not is_typed(trt):
        pytest.skip("this TensorRT converts float32 sources itself")
    with pytest.raises(BuildError, match="has no float16 tensors"):
        build(trt, stem(("N", 3, 32, 32)), tmp_path, Precision.FP16)


def test_without_tensorrt_the_error_says_how_to_get_it_on_each_kind_of_machine() -> None:
    # a process in which neither package can be found; nothing of ours is patched
    code = (
        "import importlib.machinery, sys\n"
        "class Hidden(importlib.machinery.PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        hidden = name in ('tensorrt', 'tensorrt_rtx')\n"
        "        return None if hidden else super().find_spec(name, path, target)\n"
        "sys.meta_path = [Hidden if f is importlib.machinery.PathFinder else f "
        "for f in sys.meta_path]\n"
        "from edgedeploy import backends\n"
        "from edgedeploy.errors import MissingDependencyError\n"
        "try:\n    backends.get('trt')\n"
        "except MissingDependencyError as error:\n    print(error)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert shown.startswith("TensorRT is not installed")
    for word in ("Jetson", "--system-site-packages", "edgedeploy[trt]", "edgedeploy[trt-rtx]"):
        assert word in shown
    assert MissingDependencyError.exit_code == 3


def one_pair(zero_point: str) -> onnx.ModelProto:
    """A convolution whose input goes through one uint8 Q/DQ pair of zero point 0."""
    model = stem(("N", 3, 32, 32))
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array(0.1, np.float32), "scale"))
    names: list[str] = []
    zero = numpy_helper.from_array(np.array(0, np.uint8), "zero")
    nodes: list[Any] = []
    if zero_point == "initializer":
        graph.initializer.append(zero)
        names = ["zero"]
    if zero_point == "Constant":
        nodes.append(helper.make_node("Constant", [], ["zero"], value=zero))
        names = ["zero"]
    nodes += [
        helper.make_node("QuantizeLinear", ["image", "scale", *names], ["q"], name="quantize"),
        helper.make_node("DequantizeLinear", ["q", "scale", *names], ["d"], name="dequantize"),
    ]
    graph.node[0].input[0] = "d"
    if zero_point == "output_dtype":  # of opset 21, in place of a zero point
        nodes[-2].attribute.append(helper.make_attribute("output_dtype", TensorProto.UINT8))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    return model


def test_an_engine_for_another_gpu_is_built_again(trt: Backend) -> None:
    bound = {"gpu": "Orin", "compute_capability": "8.7", "hardware_compatible": None}
    assert trt.fits(bound) == (cuda_memory.find_gpu() == ("Orin", "8.7"))
    assert trt.fits({**bound, "hardware_compatible": "ampere-plus"})
    assert trt.fits({**bound, "gpu": None, "compute_capability": None})
