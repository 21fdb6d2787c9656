"""Networks as `edgedeploy build` hands them over, built by the TensorRT that is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedeploy import model_file, preparing, trt_cache
from edgedeploy.calibration_values import Calibration
from edgedeploy.errors import BuildError, UnsupportedError
from edgedeploy.runtime import trt_api, trt_dialects
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.runtime.trt_options import TrtOptions
from edgedeploy.types import PUBLISHED, BuildSpec, Built, Family, Precision
from tests.models import save
from tests.prepared_sources import mobilenet, ranges

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.backends.base import Backend

PRECISIONS = (Precision.FP32, Precision.FP16, Precision.INT8)


def changed(value: Any) -> str:
    """Return those of the options that are not the defaults, as a test's name."""
    if not isinstance(value, TrtOptions):
        return ""
    defaults = TrtOptions()._asdict()
    return ",".join(f"{k}={v}" for k, v in value._asdict().items() if v != defaults[k])


def build_as_shipped(
    trt: Backend, model: onnx.ModelProto, spec: BuildSpec, tmp_path: Path
) -> Built:
    """Prepare a float model in the form that this TensorRT wants, and build it."""
    path, folder = save(model, tmp_path / "model.onnx"), tmp_path / "artifact"
    read = model_file.read(path)
    measured = Calibration(
        model_sha256=read.sha256,
        data_digest="",
        data_count=8,
        method="minmax",
        side=read.side or (0, 0),
        preprocessing=Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3),
        ranges=ranges(model),
        versions={},
    )
    form = trt.source_form(spec)
    data = preparing.source(read, form, measured)
    (tmp_path / "source.onnx").write_bytes(data)
    if form.corrected:
        digits = trt_cache.digits(trt.version())
        cache = preparing.calibration_cache(data, measured, version=digits)
        (tmp_path / "calibration.cache").write_bytes(cache)
    folder.mkdir()
    return trt.build(tmp_path / "source.onnx", spec, folder)


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda precision: precision.value)
@pytest.mark.parametrize("alpha", [0.25, 0.5])
@pytest.mark.parametrize("family", PUBLISHED, ids=lambda family: family.value)
def test_mobilenets_of_two_widths_build_in_every_precision(
    trt: Backend, tmp_path: Path, family: Family, alpha: float, precision: Precision
) -> None:
    spec = BuildSpec(backend="trt", precision=precision)
    built = build_as_shipped(trt, mobilenet(family, alpha), spec, tmp_path)
    folder = tmp_path / "artifact"
    assert built.engine == built.files[0] == "model.engine"
    assert sorted(built.files) == sorted(path.name for path in folder.iterdir())
    assert (folder / "model.engine").stat().st_size > 100_000
    assert (folder / "source.onnx").read_bytes() == (tmp_path / "source.onnx").read_bytes()
    modes = trt_dialects.int8_modes(trt_dialects.of(trt_api.library()))
    assert built.int8_mode == (modes[0] if precision is Precision.INT8 else None)
    assert built.gpu_fallback == ()
    assert built.latency_ms is None


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda precision: precision.value)
def test_a_model_that_is_no_mobilenet_builds_in_every_precision(
    trt: Backend, tmp_path: Path, precision: Precision
) -> None:
    spec = BuildSpec(backend="trt", precision=precision)
    assert build_as_shipped(trt, inception(), spec, tmp_path).engine == "model.engine"


@pytest.mark.parametrize(
    "options",
    [
        TrtOptions(batch=(1, 4, 16)),
        TrtOptions(batch=(2, 2, 2)),
        TrtOptions(workspace_mb=32),
        TrtOptions(optimization_level=0),
        TrtOptions(optimization_level=5),
    ],
    ids=changed,
)
def test_options_are_taken(trt: Backend, tmp_path: Path, options: TrtOptions) -> None:
    spec = BuildSpec(backend="trt", precision=Precision.FP16, trt=options)
    built = build_as_shipped(trt, mobilenet(Family.MOBILENET_V2), spec, tmp_path)
    assert built.engine == "model.engine"
    assert built.runs_on["version_compatible"] is False


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (TrtOptions(int8_mode="implicit"), "INT8 mode 'implicit' was asked for"),
        (TrtOptions(int8_mode="qdq"), "INT8 mode 'qdq' was asked for"),
        (TrtOptions(dla_core=0, batch=(1, 1, 1)), "drives no DLA"),
        (TrtOptions(version_compatible=True), "a version-compatible engine was asked for"),
        (TrtOptions(hardware_compatible="ampere-plus"), "compatible with ampere-plus"),
    ],
    ids=changed,
)
def test_what_tensorrt_rtx_does_not_have_is_refused(
    trt: Backend, tmp_path: Path, options: TrtOptions, problem: str
) -> None:
    if trt_api.library().__name__ != "tensorrt_rtx":
        pytest.skip("TensorRT has some of it")
    spec = BuildSpec(backend="trt", precision=Precision.INT8, trt=options)
    with pytest.raises(UnsupportedError, match=problem):
        build_as_shipped(trt, mobilenet(Family.MOBILENET_V1), spec, tmp_path)


def test_a_workspace_that_is_too_small_is_refused_with_the_words_of_tensorrt_rtx(
    trt: Backend, tmp_path: Path
) -> None:
    if trt_api.library().__name__ != "tensorrt_rtx":
        pytest.skip("TensorRT finds kernels that need none")
    spec = BuildSpec(backend="trt", trt=TrtOptions(workspace_mb=1))
    with pytest.raises(BuildError, match="workspace") as caught:
        build_as_shipped(trt, mobilenet(Family.MOBILENET_V1), spec, tmp_path)
    assert "more than --workspace-mb 1" in caught.value.fix


def inception(side: int = 32) -> onnx.ModelProto:
    """Two branches that are joined, one of them pooled: a foreign network, as raw ONNX."""
    draw = np.random.default_rng(0)
    weights = {
        "stem_w": draw.normal(size=(8, 3, 3, 3)),
        "left_w": draw.normal(size=(8, 8, 1, 1)),
        "right_w": draw.normal(size=(4, 8, 5, 5)),
        "fc_w": draw.normal(size=(12, 5)),
        "fc_b": draw.normal(size=5),
    }
    nodes = [
        helper.make_node("Conv", ["image", "stem_w"], ["s"], strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["s"], ["sr"]),
        helper.make_node("AveragePool", ["sr"], ["pooled"], kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("Conv", ["pooled", "left_w"], ["l"]),
        helper.make_node("LeakyRelu", ["l"], ["left"], alpha=0.1),
        helper.make_node("Conv", ["sr", "right_w"], ["r"], pads=[2] * 4),
        helper.make_node("Sigmoid", ["r"], ["right"]),
        helper.make_node("Concat", ["left", "right"], ["joined"], axis=1),
        helper.make_node("GlobalAveragePool", ["joined"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc_w", "fc_b"], ["logits"]),
    ]
    for number, node in enumerate(nodes):
        node.name = f"{node.op_type}_{number}"
    graph = helper.make_graph(
        nodes,
        "inception",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
