from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgedeploy.calibration_values import Correction, QdqStyle, TensorRange
from edgedeploy.errors import BuildError
from edgedeploy.graph.bias import takes_bias
from edgedeploy.graph.constants import array_of
from edgedeploy.graph.encoding import Encoding
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.pairs import quantise_weights_in_graph
from edgedeploy.graph.placement import is_weighted, output_axis
from edgedeploy.graph.qdq import quantise
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import activations
from tests.graph.networks import CLASSES, block, kinds, mixed, pictures, producers, ranges, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

U8, S8 = QdqStyle.U8, QdqStyle.S8


def _measured(model: ir.Model) -> dict[str, TensorRange]:
    """Min-max ranges of the tensors that need one."""
    names = activations(model)
    proto = ir.serde.serialize_model(model)
    watched = [name for name in names if name != "image"]
    known = {value.name for value in proto.graph.output}
    proto.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, 1, None) for name in watched if name not in known
    )
    session = ort.InferenceSession(proto.SerializeToString())
    batch = pictures(16)
    arrays = dict(zip(watched, session.run(watched, {"image": batch}), strict=True))
    found = {}
    for name in names:
        array = arrays.get(name, batch)
        low, high = min(float(array.min()), 0.0), max(float(array.max()), 0.0)
        found[name] = TensorRange(min=low, max=high, low=low, high=high)
    return found


def _quantised(style: QdqStyle, *, any_x86: bool = True, **form: bool | int | str) -> ir.Model:
    model = block(**form)  # type: ignore[arg-type]  # the arguments of `block`
    fix_size(model, (16, 16))
    fold_batch_norm(model)
    quantise(model, _measured(model), style, any_x86=any_x86)
    return model


_FORMS: dict[str, Callable[[], ir.Model]] = {
    "Conv": block,
    "norm": lambda: block(norm=True),
    "Gemm": lambda: block(gemm="Gemm"),
    "GemmNN": lambda: block(gemm="GemmNN"),
    "MatMul": lambda: block(gemm="MatMul"),
    "mixed": mixed,
    "constants": lambda: mixed(classifier="MatMul", constants=True),
}


def _s8(form: str, *, float_weights: bool = False) -> ir.Model:
    """A network in the style s8, with corrections where it takes any."""
    model = _FORMS[form]()
    fix_size(model, (16, 16))
    fold_batch_norm(model)
    draw = np.random.default_rng(1)
    found = {}
    for node in (node for node in model.graph if is_weighted(node) and takes_bias(node)):
        weight = np.asarray(array_of(node.inputs[1]))
        found[node.outputs[0].name or ""] = Correction(
            bias=np.asarray(draw.normal(size=weight.shape[output_axis(node)]) / 99, np.float32),
            rounding=draw.integers(-1, 2, weight.shape).astype(np.int8),
        )
    ranges_of = _measured(model)
    quantise(model, ranges_of, S8, corrections=found, float_weights=float_weights)
    return model


def _optimised(model: ir.Model, folder: Path) -> list[str]:
    """Operators that ONNX Runtime runs."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(ir.serde.serialize_model(model).SerializeToString(), options)
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]


@pytest.mark.parametrize("style", QdqStyle)
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"opset": 17},
        {"norm": True},
        {"gemm": "Gemm"},
        {"gemm": "GemmNN"},
        {"gemm": "MatMul"},
        {"softmax": True},
    ],
)
def test_answers_stay_close_to_the_float_models(
    style: QdqStyle, form: dict[str, bool | int | str]
) -> None:
    batch = pictures(8)
    expected = run(block(**form), batch)  # type: ignore[arg-type]  # the arguments of `block`
    model = _quantised(style, **form)  # type: ignore[arg-type]  # the arguments of `block`
    onnx.checker.check_model(ir.serde.serialize_model(model), full_check=True)
    assert model.graph.outputs[0].name == ("probabilities" if "softmax" in form else "logits")
    scale = np.abs(expected).max()
    # s8 is simulated: on x86 ONNX Runtime's s8xs8 matrix product saturates
    found = run(model, batch, optimise=style is U8)
    assert np.abs(found - expected).max() < 0.08 * scale


def test_u8_runs_in_int8_from_the_first_convolution_to_the_last(tmp_path: Path) -> None:
    counts = Counter(_optimised(_quantised(U8), tmp_path))
    assert counts["QLinearConv"] == 6
    assert counts["QLinearAdd"] == counts["QLinearGlobalAveragePool"] == 1
    assert counts["Conv"] == counts["FusedConv"] == counts["Clip"] == counts["Relu"] == 0


def test_u8_runs_a_gemm_classifier_in_int8(tmp_path: Path) -> None:
    counts = Counter(_optimised(_quantised(U8, gemm="Gemm"), tmp_path))
    assert counts["QLinearConv"] == 5
    assert counts["QGemm"] == 1


def test_u8_runs_in_int8_on_openvino() -> None:
    openvino = pytest.importorskip("openvino", reason="the extra openvino is not installed")
    core = openvino.Core()
    proto = ir.serde.serialize_model(_quantised(U8)).SerializeToString()
    compiled = core.compile_model(core.read_model(proto), "CPU")
    types = [
        node.get_rt_info()["runtimePrecision"]
        for node in compiled.get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"] == "Convolution"
    ]
    assert [found == "u8" for found in types] == [True] * 6  # vendor values: == is all they have


@pytest.mark.parametrize("style", QdqStyle)
def test_nothing_lies_between_a_convolution_and_its_relu(style: QdqStyle) -> None:
    nodes = producers(_quantised(style))
    for name in ("stem", "expand", "depthwise", "head"):
        before = nodes[f"{name}/act"].inputs[0]
        assert before is not None
        assert before.name == f"{name}/conv"


@pytest.mark.parametrize("style", QdqStyle)
def test_the_pool_lies_between_pairs(style: QdqStyle) -> None:
    model = _quantised(style)
    pool = producers(model)["pool"]
    assert [p.op_type for p in pool.predecessors()] == ["DequantizeLinear"]
    assert [s.op_type for s in pool.successors()] == ["QuantizeLinear"]


def test_s8_quantises_the_skip_and_leaves_the_projection_to_the_sum() -> None:
    model = _quantised(S8)
    add = producers(model)["add"]
    projection, skip = add.inputs
    assert projection is not None
    assert skip is not None
    assert projection.name == "project/conv"
    assert skip.name == "stem/act/dequantized"
    # one pair on the sum: whoever reads the block's output reads it in one scale
    assert [node.op_type for node in add.successors()] == ["QuantizeLinear"]


def test_s8_quantises_the_other_input_when_both_are_convolutions() -> None:
    model = block()
    nodes = producers(model)
    nodes["add"].replace_input_with(1, nodes["stem/conv"].outputs[0])
    nodes["expand/conv"].replace_input_with(0, model.graph.inputs[0])
    model.graph.initializers["expand/w"].const_value = ir.tensor(
        np.ones((16, 3, 1, 1), np.float32), name="expand/w"
    )
    nodes["expand/conv"].attributes.add(ir.AttrInt64s("strides", [2, 2]))
    quantise(model, _measured(model), S8)
    inputs = [value.name for value in producers(model)["add"].inputs if value is not None]
    assert inputs == ["project/conv", "stem/conv/dequantized"]


def test_s8_has_zero_points_of_0_and_float_biases() -> None:
    model = _quantised(S8)
    for node in model.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero_point = array_of(node.inputs[2])
            assert zero_point is not None
            assert zero_point.dtype == np.int8
            assert not zero_point.any()
        if node.op_type == "Conv":
            bias = array_of(node.inputs[2])
            assert bias is not None
            assert bias.dtype == np.float32


def test_s8_leaves_the_logits_float_and_u8_keeps_their_name() -> None:
    assert "classifier/conv/quantized" not in producers(_quantised(S8))
    model = _quantised(U8, gemm="Gemm")
    assert producers(model)["logits"].op_type == "DequantizeLinear"
    assert producers(model)["logits/float"].op_type == "Gemm"


@pytest.mark.parametrize("style", QdqStyle)
def test_every_weight_is_int8_per_output_channel(style: QdqStyle) -> None:
    model = _quantised(style)
    for node in model.graph:
        if node.op_type == "Conv":
            weight = node.inputs[1]
            assert weight is not None
            dequantise = weight.producer()
            assert dequantise is not None
            whole, scale = array_of(dequantise.inputs[0]), array_of(dequantise.inputs[1])
            assert whole is not None
            assert scale is not None
            assert whole.dtype == np.int8
            assert scale.shape == (whole.shape[0],)
            assert dequantise.attributes.get_int("axis") == 0
    assert not any(name.endswith("/w") for name in model.graph.initializers)


def test_u8_biases_are_int32_in_the_accumulators_scale() -> None:
    nodes = producers(_quantised(U8))
    bias, weight, image = (
        nodes[name] for name in ("stem/b/dequantized", "stem/w/dequantized", "image/dequantized")
    )
    whole = array_of(bias.inputs[0])
    assert whole is not None
    assert whole.dtype == np.int32
    scales = [np.asarray(array_of(node.inputs[1])) for node in (bias, weight, image)]
    np.testing.assert_array_equal(scales[0], scales[1] * scales[2])


def test_u8_answers_are_those_of_its_float_form_on_any_cpu() -> None:
    """On a CPU without VNNI this fails where weights are left to saturate."""
    model = block()
    fix_size(model, (16, 16))
    # activations at the top of their range, weights all alike: every pair of products overflows
    for name, array in (("stem/b", np.full(8, 9.0)), ("expand/w", np.full((16, 8, 1, 1), 0.1))):
        tensor = ir.tensor(array.astype(np.float32), name=name)
        model.graph.initializers[name].const_value = tensor
    quantise(model, _measured(model), U8)
    batch = pictures(8)
    integer, simulated = run(model, batch), run(model, batch, optimise=False)
    step = float(np.asarray(array_of(producers(model)["classifier/conv/quantized"].inputs[1])))
    assert np.abs(integer - simulated).max() <= 4 * step


def test_moved_values_keep_the_encoding_of_what_was_computed() -> None:
    nodes = producers(_quantised(U8, gemm="Gemm"))
    pooled, features = nodes["pool/quantized"], nodes["features/quantized"]
    for index in (1, 2):
        assert array_of(pooled.inputs[index]) == array_of(features.inputs[index])


def test_weights_that_two_convolutions_share_are_quantised_for_each() -> None:
    model = block()
    nodes = producers(model)
    classifier = nodes["classifier/conv"]
    twin = ir.node("Conv", list(classifier.inputs), outputs=[ir.val("twin")])
    twin.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    twin.outputs[0].shape = ir.Shape(("n", CLASSES, 1, 1))
    model.graph.insert_after(classifier, twin)
    model.graph.outputs.append(twin.outputs[0])
    expected = run(block(), pictures())
    quantise(model, _measured(model), U8)
    onnx.checker.check_model(ir.serde.serialize_model(model), full_check=True)
    np.testing.assert_allclose(run(model, pictures()), expected, atol=0.08 * np.abs(expected).max())


@pytest.mark.parametrize("style", QdqStyle)
def test_activations_are_all_that_a_style_needs(style: QdqStyle) -> None:
    model = block(gemm="Gemm")
    names = activations(model)
    assert names[0] == "image"
    assert "features" not in names  # moved values
    quantise(model, ranges(names), style)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (None, "add has no range"),
        (TensorRange(min=0, max=1, low=1.0, high=1.0), "add has the range 1 to 1"),
        (TensorRange(min=0, max=1, low=float("nan"), high=1.0), "add has the range nan to 1"),
        (TensorRange(min=0, max=1, low=0.0, high=float("inf")), "add has the range 0 to inf"),
    ],
)
def test_a_range_that_is_none_is_named_and_nothing_is_changed(
    found: TensorRange | None, problem: str
) -> None:
    model = block()
    before = kinds(model)
    known = ranges(activations(model))
    if found is None:
        del known["add"]
    else:
        known["add"] = found
    with pytest.raises(BuildError, match=f"1 of the tensors to quantise .* {problem}"):
        quantise(model, known, U8)
    assert kinds(model) == before


def test_many_missing_ranges_are_one_error_that_names_the_first() -> None:
    with pytest.raises(BuildError, match=r"image has no range; .*; and 6 more"):
        quantise(block(), {}, U8)


def test_an_opset_without_weights_per_channel_is_refused() -> None:
    model = block()
    model.graph.opset_imports[""] = 12
    with pytest.raises(BuildError, match="opset 12, int8 weights per channel need 13"):
        quantise(model, ranges(activations(model)), U8)


def test_metadata_stay() -> None:
    model = block()
    model.metadata_props["edgedeploy.variant"] = "{}"
    quantise(model, ranges(activations(model)), U8)
    proto = ir.serde.serialize_model(model)
    assert [(p.key, p.value) for p in proto.metadata_props] == [("edgedeploy.variant", "{}")]


def test_the_same_model_gives_the_same_bytes() -> None:
    first, second = (
        ir.serde.serialize_model(_quantised(U8)).SerializeToString(deterministic=True)
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("gemm", ["", "Gemm", "GemmNN", "MatMul"])
def test_tensorrt_rtx_builds_an_s8_engine(gemm: str) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="the extra trt-rtx is not installed")
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    proto = ir.serde.serialize_model(_quantised(S8, gemm=gemm)).SerializeToString()
    errors = [] if parser.parse(proto) else [str(parser.get_error(0).desc())]
    assert errors == []
    profile = builder.create_optimization_profile()
    profile.set_shape("image", (1, 3, 16, 16), (1, 3, 16, 16), (8, 3, 16, 16))
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, config) is not None


@pytest.mark.parametrize("form", _FORMS)
def test_float_weights_give_the_integers_and_the_answers_of_int8_ones(form: str) -> None:
    model, wanted = _s8(form, float_weights=True), _s8(form)
    onnx.checker.check_model(ir.serde.serialize_model(model), full_check=True)
    whole = {n: v for n, v in _int8(wanted).items() if not n.endswith("zero_point")}
    for name, array in whole.items():
        stem = name.removesuffix("/quantized")
        snapped, scale = (
            np.asarray(array_of(model.graph.initializers[f"{stem}/{part}"]))
            for part in ("snapped", "scale")
        )
        rows = np.rint(snapped / scale.reshape(-1, *[1] * (snapped.ndim - 1)))
        np.testing.assert_array_equal(rows if rows.shape == array.shape else rows.T, array)
    assert whole
    np.testing.assert_array_equal(
        run(model, pictures(), optimise=False), run(wanted, pictures(), optimise=False)
    )


@pytest.mark.parametrize("form", _FORMS)
def test_float_weights_leave_no_int8_constant_but_zero_points(form: str) -> None:
    model = _s8(form, float_weights=True)
    assert all(not array.any() for array in _int8(model).values())
    for node in model.graph:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale, zero_point = (np.asarray(array_of(value)) for value in node.inputs[1:])
        assert scale.shape == zero_point.shape  # TensorRT 8 asks for it
        if scale.ndim:
            assert node.attributes.get_int("axis") == 0


def test_a_weight_of_the_largest_float32_stays_one() -> None:
    model = block()
    fix_size(model, (16, 16))
    weight = np.zeros((12, 8, 1, 1), np.float32)
    weight[3] = np.finfo(np.float32).max
    model.graph.initializers["head/w"].const_value = ir.tensor(weight, name="head/w")
    quantise(model, ranges(activations(model)), S8, float_weights=True)
    snapped = np.asarray(array_of(model.graph.initializers["head/w/snapped"]))
    assert np.isfinite(snapped).all()
    np.testing.assert_allclose(snapped, weight)


@given(
    whole=hnp.arrays(np.int8, (4, 6), elements=st.integers(-127, 127)),
    scale=hnp.arrays(np.float32, 4, elements=st.floats(2.0**-126, 2.0**120, width=32)),
)
def test_snapped_weights_quantise_to_the_integers_they_were_made_of(
    whole: np.ndarray, scale: np.ndarray
) -> None:
    model = block(gemm="Gemm")
    node = producers(model)["logits"]
    encoding = Encoding(scale, np.zeros(4, np.int8))
    quantise_weights_in_graph(model.graph, node, whole, encoding, axis=0)
    snapped = np.asarray(array_of(model.graph.initializers["classifier/w/snapped"]))
    np.testing.assert_array_equal(np.rint(snapped / scale[:, None]), whole)


def test_scales_for_float16_are_such_that_it_holds() -> None:
    model = block()
    fix_size(model, (16, 16))
    quantise(model, _measured(model), S8, half=True)
    for node in model.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            scale = np.asarray(array_of(node.inputs[1]))
            np.testing.assert_array_equal(scale.astype(np.float16).astype(np.float32), scale)


@pytest.mark.parametrize(("high", "name"), [(66000.0, "add"), (6e5, "add")])
def test_an_activation_beyond_float16_is_named(high: float, name: str) -> None:
    model = block()
    fix_size(model, (16, 16))
    found = ranges(activations(model))
    found[name] = TensorRange(min=-high, max=high, low=-high, high=high)
    before = ir.serde.serialize_model(model).SerializeToString()
    with pytest.raises(BuildError, match=rf"{name} reaches {high:g}, float16 ends at 65504"):
        quantise(model, found, S8, half=True)
    assert ir.serde.serialize_model(model).SerializeToString() == before
    quantise(model, found, S8)


def test_a_weight_beyond_float16_is_named() -> None:
    model = block()
    fix_size(model, (16, 16))
    weight = np.full((12, 8, 1, 1), -7e4, np.float32)
    model.graph.initializers["head/w"].const_value = ir.tensor(weight, name="head/w")
    with pytest.raises(BuildError, match="head/w reaches 70000, float16 ends at 65504"):
        quantise(model, ranges(activations(model)), S8, half=True)


def _int8(model: ir.Model) -> dict[str, np.ndarray]:
    """Constants of that type, by name."""
    return {
        name: np.asarray(array_of(value))
        for name, value in model.graph.initializers.items()
        if value.dtype == ir.DataType.INT8
    }
