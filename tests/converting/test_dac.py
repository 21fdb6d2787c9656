from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedeploy import model_file
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.converting import dac, feeding
from edgedeploy.converting.choosing import choose
from edgedeploy.converting.layers import survey
from edgedeploy.converting.request import DacRequest, RankRule
from edgedeploy.converting.trials import Trial
from edgedeploy.errors import FileError, UsageError
from edgedeploy.graph.qdq import quantise
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import activations
from tests.converting.networks import LAYERS, draw_images, saved, stored_as_float16, vgg
from tests.graph.networks import Sketch, block, kinds, pictures, producers, ranges, run

if TYPE_CHECKING:
    from pathlib import Path


def rank(*texts: str, **more: Any) -> DacRequest:
    return DacRequest(rank=RankRule.parse(texts), threads=1, **more)


def loaded(conversion: dac.Conversion) -> ir.Model:
    return ir.serde.deserialize_model(onnx.ModelProto.FromString(conversion.data))


def notes(conversion: dac.Conversion) -> str:
    return "\n".join(conversion.notes)


@pytest.mark.parametrize("norm", [False, True])
def test_full_rank_answers_as_the_model_did(tmp_path: Path, *, norm: bool) -> None:
    model = vgg(norm=norm)
    before = run(model, pictures())
    found = dac.convert(saved(model, tmp_path / "vgg.onnx"), rank("8,b/conv=9,c/conv=9"))
    np.testing.assert_allclose(run(loaded(found), pictures()), before, atol=1e-4)
    assert found.measured is not None
    assert found.measured.output_error < 1e-5
    assert found.measured.inputs == "8 pictures of noise"
    onnx.checker.check_model(onnx.ModelProto.FromString(found.data), full_check=True)


def test_the_same_conversion_gives_the_same_bytes(tmp_path: Path) -> None:
    model = saved(vgg(), tmp_path / "vgg.onnx")
    first, second = (dac.convert(model, DacRequest(target_flops=0.6, threads=1)) for _ in range(2))
    assert first.data == second.data


def test_a_named_rank_converts_that_layer_only(tmp_path: Path) -> None:
    found = dac.convert(saved(vgg(), tmp_path / "vgg.onnx"), rank("b/conv=3"))
    assert found.choice.ranks == {"b/conv": 3}
    names = [node.name for node in loaded(found).graph]
    assert "b/conv/dac_depthwise" in names
    assert {"a/conv", "c/conv"} <= set(names)


def test_multiply_adds_are_those_of_the_written_graph(tmp_path: Path) -> None:
    found = dac.convert(saved(vgg(), tmp_path / "vgg.onnx"), rank("2"))
    # positions × inputs × rank × (k² + outputs), then the classifier
    a, b, c = 256 * 3 * 2 * (9 + 8), 64 * 8 * 2 * (9 + 16), 64 * 16 * 2 * (9 + 16)
    assert found.multiply_adds == a + b + c + 64
    assert found.network.multiply_adds == 256 * 216 + 64 * 1152 + 64 * 2304 + 64


@pytest.mark.parametrize("target", [0.35, 0.5, 0.9])
def test_a_target_of_multiply_adds_is_kept(tmp_path: Path, target: float) -> None:
    request = DacRequest(target_flops=target, spare_first=0, threads=1)
    found = dac.convert(saved(vgg(), tmp_path / "vgg.onnx"), request)
    assert found.multiply_adds is not None
    assert found.network.multiply_adds is not None
    share = found.multiply_adds / found.network.multiply_adds
    assert target - 0.12 < share <= target


def test_a_target_out_of_reach_says_what_is_in_reach(tmp_path: Path) -> None:
    request = DacRequest(target_flops=0.05, spare_first=0, threads=1)
    model = saved(vgg(), tmp_path / "vgg.onnx")
    with pytest.raises(
        UsageError, match=r"--target-flops is 0.05, and with rank 1 .* 0.18"
    ) as said:
        dac.convert(model, request)
    least = float(said.value.fix.split()[2])
    dac.convert(model, DacRequest(target_flops=least, spare_first=0, threads=1))


def test_an_error_budget_is_kept_and_used(tmp_path: Path) -> None:
    model = saved(vgg(), tmp_path / "vgg.onnx")
    small, large = (
        dac.convert(model, DacRequest(max_error=most, spare_first=0, threads=1))
        for most in (0.2, 0.5)
    )
    assert small.measured is not None
    assert large.measured is not None
    assert 0.0 < small.measured.output_error <= 0.2 < large.measured.output_error <= 0.5
    assert (large.multiply_adds or 0) < (small.multiply_adds or 0)


def test_an_error_budget_that_nothing_keeps_is_refused(tmp_path: Path) -> None:
    model = saved(vgg(), tmp_path / "vgg.onnx")
    with pytest.raises(UsageError, match=r"1e-06, and the output errs by 0\.\d+ with b/conv at"):
        dac.convert(model, DacRequest(max_error=1e-6, spare_first=0))


def test_the_first_layers_are_spared_unless_named(tmp_path: Path) -> None:
    model = saved(vgg(), tmp_path / "vgg.onnx")
    found = dac.convert(model, rank("3", spare_first=2))
    assert found.choice.ranks == {"c/conv": 3}
    assert "left as they are (asked for): a/conv, b/conv" in notes(found)
    named = dac.convert(model, rank("3,a/conv=5", spare_first=2))
    assert named.choice.ranks == {"a/conv": 5, "c/conv": 3}
    with pytest.raises(UsageError, match="every layer that could be converted is left"):
        dac.convert(model, rank("3", spare_first=3))


def test_a_rank_that_does_not_save_is_told(tmp_path: Path) -> None:
    found = dac.convert(saved(vgg(), tmp_path / "vgg.onnx"), rank("8,b/conv=5,c/conv=9"))
    assert "rank 9 makes c/conv dearer: 1.56 times its multiply-adds; rank 5 or lower" in notes(
        found
    )
    assert "b/conv" not in notes(found)


def test_ranks_out_of_range_are_refused_with_both_values(tmp_path: Path) -> None:
    model = saved(vgg(), tmp_path / "vgg.onnx")
    with pytest.raises(UsageError, match="rank 0 was asked for, and b/conv has 1 to 9") as said:
        dac.convert(model, rank("b/conv=0"))
    assert said.value.fix == "pass ranks that save something, for example --rank b/conv=5"
    with pytest.raises(UsageError, match="rank 9 was asked for, and a/conv has 1 to 8") as said:
        dac.convert(model, rank("9"))
    assert said.value.fix.endswith("--rank 4")
    with pytest.raises(UsageError, match="rank 99 was asked for, and b/conv has 1 to 9") as said:
        dac.convert(model, rank("3,a/conv=keep,b/conv=99"))
    assert said.value.fix.endswith("--rank 3,a/conv=keep,b/conv=5")


def test_an_unknown_layer_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no convertible layer is called 'conv1'") as said:
        dac.convert(saved(vgg(), tmp_path / "vgg.onnx"), rank("conv1=2"))
    assert said.value.fix == f"use one of: {', '.join(LAYERS)}"


def test_a_mobilenet_is_told_that_only_its_first_layer_can_be_converted(tmp_path: Path) -> None:
    found = dac.convert(saved(block(), tmp_path / "block.onnx"), rank("4"))
    assert "only stem/conv can be converted: of its 6 convolutions 4 are 1×1 and 1 are" in notes(
        found
    )
    path = tmp_path / "again.onnx"
    path.write_bytes(found.data)
    with pytest.raises(UsageError, match="nothing to convert: of its 7 convolutions 5 are 1×1"):
        dac.convert(model_file.read(path), rank("4"))


def test_a_quantised_model_is_refused(tmp_path: Path) -> None:
    model = vgg()
    fix_size(model, None)
    quantise(model, ranges(activations(model)), QdqStyle.U8)
    with pytest.raises(UsageError, match="is quantised already: it has QuantizeLinear") as said:
        dac.convert(saved(model, tmp_path / "q.onnx"), rank("4"))
    assert "convert the float model, then calibrate" in said.value.fix


def test_metadata_stay_and_say_what_was_done(tmp_path: Path) -> None:
    labels = ["w", "x", "y", "z"]
    source = saved(vgg(), tmp_path / "vgg.onnx", labels=labels, base_resolution=32)
    (tmp_path / "vgg.json").write_text(json.dumps({"side": [16, 16], "labels": ["old"] * 4}))
    found = dac.convert(source, rank("4,c/conv=keep"))
    path = tmp_path / "vgg_dac.onnx"
    path.write_bytes(found.data)
    again = model_file.read(path)
    assert again.labels == ("w", "x", "y", "z")
    assert again.base_resolution == 32
    assert again.preprocessing == source.preprocessing
    assert again.side == (16, 16)
    about = json.loads(loaded(found).metadata_props["edgedeploy.converted"])
    assert about == {
        "method": "dac",
        "ranks": {"a/conv": 4, "b/conv": 4},
        "source_sha256": source.sha256,
        "bias_correction": None,
    }
    twice = dac.convert(again, rank("c/conv=2"))
    about = json.loads(loaded(twice).metadata_props["edgedeploy.converted"])
    assert about["ranks"] == {"c/conv": 2}
    assert about["earlier"]["source_sha256"] == source.sha256


def test_images_correct_the_means_and_lower_the_error(tmp_path: Path) -> None:
    model = saved(vgg(), tmp_path / "vgg.onnx")
    images = draw_images(tmp_path / "images")
    found = dac.convert(model, rank("1"), images)
    assert found.measured is not None
    assert found.measured.inputs == "12 images"
    assert found.measured.uncorrected_error is not None
    assert found.measured.output_error < found.measured.uncorrected_error / 2
    assert found.measured.agreement is not None
    about = json.loads(loaded(found).metadata_props["edgedeploy.converted"])
    assert about["bias_correction"] == {"images": 12, "digest": images.digest()}
    plain = dac.convert(model, rank("1", correct_bias=False), images)
    assert plain.measured is not None
    assert plain.measured.uncorrected_error is None
    assert plain.measured.output_error == found.measured.uncorrected_error
    with pytest.raises(UsageError, match="there are no images"):
        dac.convert(model, rank("1", correct_bias=True))


def test_without_a_size_ranks_work_and_budgets_ask_for_one(tmp_path: Path) -> None:
    model = vgg()
    model.graph.inputs[0].shape = ir.Shape(["n", 3, "h", "w"])
    source = saved(model, tmp_path / "vgg.onnx")
    found = dac.convert(source, rank("4"))
    assert (found.measured, found.multiply_adds) == (None, None)
    with pytest.raises(UsageError, match="takes images of any size, and measuring needs one"):
        dac.convert(source, DacRequest(target_flops=0.5))
    with pytest.raises(UsageError, match="takes images of any size, and --data needs one"):
        dac.convert(source, rank("4"), draw_images(tmp_path / "images", 1))


def test_images_of_a_model_without_preprocessing_are_refused(tmp_path: Path) -> None:
    source = saved(vgg(), tmp_path / "vgg.onnx", preprocess=None)
    with pytest.raises(UsageError, match="does not say how its images are preprocessed"):
        dac.convert(source, rank("4"), draw_images(tmp_path / "images", 1))
    assert dac.convert(source, rank("4")).measured is not None


def test_a_softmax_at_the_end_hides_no_error(tmp_path: Path) -> None:
    plain, ending = (
        dac.convert(saved(vgg(softmax=softmax), tmp_path / f"{softmax}.onnx"), rank("2"))
        for softmax in (False, True)
    )
    assert plain.measured is not None
    assert ending.measured == plain.measured


def test_old_files_with_initialisers_among_the_inputs_are_converted(tmp_path: Path) -> None:
    model = vgg()
    before = run(model, pictures())
    model.graph.inputs.extend(model.graph.initializers.values())
    model.ir_version = 3
    found = dac.convert(saved(model, tmp_path / "old.onnx"), rank("8,b/conv=9,c/conv=9"))
    assert [value.name for value in loaded(found).graph.inputs] == ["image"]
    np.testing.assert_allclose(run(loaded(found), pictures()), before, atol=1e-4)


def test_a_budget_of_a_model_with_work_that_nobody_counts_is_refused(tmp_path: Path) -> None:
    model = vgg()
    graph = model.graph
    flat = ir.node("Einsum", [producers(model)["logits"].outputs[0]], {"equation": "nc->nc"})
    graph.append(flat)
    graph.outputs[:] = flat.outputs
    flat.outputs[0].name = "copied"
    flat.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    flat.outputs[0].shape = ir.Shape(["n", 4])
    source = saved(model, tmp_path / "einsum.onnx")
    with pytest.raises(UsageError, match="a budget needs the multiply-adds of all layers"):
        dac.convert(source, DacRequest(target_flops=0.5, threads=1))
    assert dac.convert(source, rank("4")).multiply_adds is None


def test_a_correction_that_leads_out_of_an_error_budget_is_told() -> None:
    request = DacRequest(max_error=0.2)
    inside, outside = (
        dac.Measured(inputs="9 images", output_error=e, uncorrected_error=0.19, agreement=None)
        for e in (0.2, 0.25)
    )
    assert list(dac._overrun(request, inside)) == []
    (told,) = dac._overrun(request, outside)
    assert told.startswith("with its biases corrected the output errs by 0.25, more than --max-er")
    assert list(dac._overrun(rank("4"), outside)) == []


def test_a_model_that_takes_several_pictures_at_once_is_refused(tmp_path: Path) -> None:
    model = vgg()
    model.graph.inputs[0].shape = ir.Shape([4, 3, 16, 16])
    model.graph.outputs[0].shape = ir.Shape([4, 4])
    source = saved(model, tmp_path / "four.onnx")
    with pytest.raises(FileError, match=r"four\.onnx takes 4 images in every call") as said:
        dac.convert(source, rank("3"))
    assert "dynamic_axes={'image': {0: 'N'}}" in said.value.fix
    model.graph.inputs[0].shape = ir.Shape([1, 3, 16, 16])
    model.graph.outputs[0].shape = ir.Shape([1, 4])
    assert dac.convert(saved(model, tmp_path / "one.onnx"), rank("3")).measured is not None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_by_layer(tmp_path: Path, value: float) -> None:
    model = vgg()
    weight = model.graph.initializers["b/w"]
    assert weight.const_value is not None
    array = weight.const_value.numpy().copy()
    array[0, 0, 0, 0] = value
    weight.const_value = ir.tensor(array, name="b/w")
    with pytest.raises(FileError, match="the layer b/conv has weights that are not finite"):
        dac.convert(saved(model, tmp_path / "nan.onnx"), rank("3"))


def test_weights_of_no_outputs_are_refused_by_layer(tmp_path: Path) -> None:
    graph = Sketch()
    value = graph.convolve("image", "a", (0, 3, 3, 3), act="", bias=False)
    source = saved(graph.model(value, output_shape=("n", 0, 16, 16)), tmp_path / "none.onnx")
    with pytest.raises(FileError, match=r"the layer a/conv has weights of shape \(0, 3, 3, 3\)"):
        dac.convert(source, rank("3"))


def test_other_reasons_against_a_convolution_are_named(tmp_path: Path) -> None:
    graph = Sketch()
    kernel = graph.node("ReduceMean", ["image"], "pixel", axes=[0, 2, 3], keepdims=1)
    kernel = graph.node("Expand", [kernel, "shape"], "kernel")
    shape = numpy_helper.from_array(np.array([4, 3, 3, 3]), "shape")
    brain = helper.make_tensor("brain", TensorProto.BFLOAT16, (4, 4, 3, 3), [1.0] * 144)
    graph.constants.extend([shape, brain])
    value = graph.node("Conv", ["image", kernel], "varies")
    widened = graph.node("Cast", ["brain"], "widened", to=1)
    value = graph.node("Conv", [value, widened], "narrow")
    source = saved(graph.model(value, output_shape=("n", 4, 12, 12)), tmp_path / "odd.onnx")
    with pytest.raises(UsageError, match="nothing to convert: of its 2 convolutions 0 are") as said:
        dac.convert(source, rank("3"))
    assert "1 have weights that depend on the input, 1 have bfloat16 weights" in said.value.problem
    assert "constant float weights" in said.value.fix


def test_a_node_called_as_anothers_output_does_not_lend_it_its_size(tmp_path: Path) -> None:
    model = vgg()
    found = producers(model)
    found["a/conv"].name, found["b/conv"].name = "first", "a/conv"  # what the first puts out
    converted = dac.convert(saved(model, tmp_path / "crossed.onnx"), rank("3"))
    assert [one.positions for one in converted.network.layers] == [256, 64, 64]


def test_a_layer_of_low_rank_is_decomposed_for_nothing(tmp_path: Path) -> None:
    model = vgg()
    weight = model.graph.initializers["b/w"]
    draw = np.random.default_rng(2)
    low = np.einsum("oir,irhw->oihw", draw.normal(size=(16, 8, 2)), draw.normal(size=(8, 2, 3, 3)))
    weight.const_value = ir.tensor((low / 12).astype(np.float32), name="b/w")
    request = DacRequest(target_flops=0.85, spare_first=0, threads=1)
    found = dac.convert(saved(model, tmp_path / "low.onnx"), request)
    gains = found.choice.gains
    assert 0.1 < gains["b/conv"] < 2  # of rank 1: at rank 3 there is only rounding
    assert found.choice.ranks == {"b/conv": 2}
    assert found.measured is not None
    assert found.measured.output_error < 1e-4


def test_an_error_budget_above_1_is_not_offered() -> None:
    network = survey(vgg(), (16, 16))

    class Wild(Trial):
        def output_error(self, other: ir.Model) -> float:
            del other
            return 1.5

    wild = Wild(vgg(), feeding.noise((16, 16), None), 1)
    with pytest.raises(UsageError, match=r"the output errs by 1\.5 with") as said:
        choose(network, DacRequest(max_error=0.5, spare_first=0), wild)
    assert said.value.fix.startswith("leave the model as it is: no budget below 1 can be kept")


def test_batch_norm_behind_weights_stored_as_float16_is_folded_too(tmp_path: Path) -> None:
    model = stored_as_float16(vgg(norm=True))
    before = run(model, pictures())
    found = dac.convert(saved(model, tmp_path / "half.onnx"), rank("8,b/conv=9,c/conv=9"))
    written = loaded(found)
    assert "BatchNormalization" not in kinds(written)
    assert found.measured is not None
    assert found.measured.output_error < 0.01
    np.testing.assert_allclose(run(written, pictures()), before, atol=0.05)
    assert (found.network.pointwise, found.network.others) == (1, {})
    kernels = {name: v.dtype for name, v in written.graph.initializers.items() if "/weight" in name}
    assert len(kernels) == 6
    assert set(kernels.values()) == {ir.DataType.FLOAT16}


def test_conversions_of_weights_stored_as_float16_say_nothing_of_their_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dac.convert(saved(stored_as_float16(vgg()), tmp_path / "half.onnx"), rank("3"))
    assert caplog.text == ""
