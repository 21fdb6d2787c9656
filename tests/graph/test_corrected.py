from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgedeploy.calibration_values import Correction, QdqStyle
from edgedeploy.errors import BuildError
from edgedeploy.graph.bias import takes_bias
from edgedeploy.graph.constants import array_of
from edgedeploy.graph.corrected import to_corrected_float
from edgedeploy.graph.equalise import equalise, links
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.placement import is_weighted, output_axis
from edgedeploy.graph.qdq import quantise
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import activations
from tests.calibration.samples import calibration
from tests.graph.networks import Sketch, block, mixed, pictures, producers, ranges, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedeploy.calibration_values import Calibration
    from edgedeploy.types import Array


def _with_shared_weights() -> ir.Model:
    """Three layers that read one kernel and one bias."""
    sketch = Sketch()
    value = sketch.convolve("image", "first", (3, 3, 1, 1), act="Relu")
    for name in ("second", "third"):
        value = sketch.node("Conv", [value, "first/w", "first/b"], f"{name}/conv")
        value = sketch.node("Relu", [value], f"{name}/act")
    return sketch.model(value)


FORMS: dict[str, Callable[[], ir.Model]] = {
    "plain": block,
    "norm": lambda: block(norm=True),
    "auto_pad": lambda: block(auto_pad=True, norm=True, opset=17),
    "Gemm": lambda: block(gemm="Gemm"),
    "GemmNN": lambda: block(gemm="GemmNN", softmax=True),
    "MatMul": lambda: block(gemm="MatMul"),
    "mixed": mixed,
    "constants": lambda: mixed(constants=True),
    "shared": _with_shared_weights,
}


def _fixed(form: str) -> ir.Model:
    model = FORMS[form]()
    fix_size(model, (16, 16))
    return model


def _folded(form: str) -> ir.Model:
    model = _fixed(form)
    fold_batch_norm(model)
    return model


def _correction(node: ir.Node, draw: np.random.Generator, *, rounding: bool) -> Correction:
    """A shift, and deltas of everything but each channel's largest weight."""
    weight, axis = np.asarray(array_of(node.inputs[1])), output_axis(node)
    others = tuple(i for i in range(weight.ndim) if i != axis)
    delta = draw.integers(-2, 3, weight.shape)
    delta[np.abs(weight) == np.abs(weight).max(axis=others, keepdims=True)] = 0
    return Correction(
        bias=np.asarray(draw.normal(size=weight.shape[axis]), np.float32),
        rounding=delta.astype(np.int8) if rounding else None,
    )


def _calibration(
    form: str, seed: int, *, rounding: bool = True, equalised: bool = True
) -> Calibration:
    """Scales and corrections of everything that has a place for them."""
    model = _folded(form)
    draw: np.random.Generator = np.random.default_rng(seed)
    scales: dict[str, Array] = {}
    for link in links(model.graph) if equalised else ():
        size = np.asarray(array_of(link.producer.inputs[1])).shape[output_axis(link.producer)]
        scales[link.name] = np.asarray(draw.uniform(1, 20, size), np.float32)
    equalise(model, scales)
    layers = [node for node in model.graph if is_weighted(node) and takes_bias(node)]
    found = {n.outputs[0].name or "": _correction(n, draw, rounding=rounding) for n in layers}
    return calibration(
        ranges=ranges(activations(model)), equalisation=scales, corrections={"s8": found}
    )


def _directly(form: str, found: Calibration) -> ir.Model:
    """The Q/DQ graph of the calibration itself."""
    model = _folded(form)
    equalise(model, found.equalisation)
    quantise(model, found.ranges, QdqStyle.S8, corrections=found.corrections.get("s8"))
    return model


def _bytes(model: ir.Model) -> bytes:
    return ir.serde.serialize_model(model).SerializeToString(deterministic=True)


def _difference(one: ir.Model, two: ir.Model) -> list[str]:
    """What of two models' files differs, by name; empty if they are the same to the last bit."""
    protos = [ir.serde.serialize_model(model) for model in (one, two)]
    if protos[0].SerializeToString() == protos[1].SerializeToString():
        return []
    parts = [
        {(part.name, part.SerializeToString()) for field in fields for part in field}
        for fields in ((p.graph.node, p.graph.initializer, p.graph.value_info) for p in protos)
    ]
    return [*sorted(name for name, _ in parts[0] ^ parts[1]), "or their order"]


def _reloaded(model: ir.Model) -> ir.Model:
    """What is read of the file that is written."""
    again = ir.serde.deserialize_model(onnx.ModelProto.FromString(_bytes(model)))
    fix_size(again, (16, 16))
    fold_batch_norm(again)
    return again


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rounding", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_quantising_the_corrected_network_gives_the_calibrations_own_bytes(
    form: str, seed: int, *, rounding: bool
) -> None:
    found = _calibration(form, seed, rounding=rounding)
    model = _fixed(form)
    to_corrected_float(model, found)
    again = _reloaded(model)
    quantise(again, found.ranges, QdqStyle.S8)
    assert _difference(again, _directly(form, found)) == []


def test_either_alone_does_too() -> None:
    whole = _calibration("norm", 0)
    for found in (
        _calibration("norm", 0, equalised=False),
        replace(whole, corrections={}),
        replace(whole, equalisation={}, corrections={}),
    ):
        model = _fixed("norm")
        to_corrected_float(model, found)
        again = _reloaded(model)
        quantise(again, found.ranges, QdqStyle.S8)
        assert _difference(again, _directly("norm", found)) == []


def test_weights_near_the_smallest_floats_keep_their_integers() -> None:
    """A dead channel of a real network: its scale cannot be the largest weight over 127."""
    form = "plain"
    found = _calibration(form, 3, equalised=False)
    np.asarray(found.corrections["s8"]["head/conv"].rounding)[5] = 0  # nothing but its largest

    def dead(model: ir.Model) -> None:
        value = model.graph.initializers["head/w"]
        assert value.const_value is not None
        weight = value.const_value.numpy().copy()
        for channel, size in enumerate((1e-36, 3e-37, 1e-38, 1e-40, 1e-45, 0.0)):
            weight[channel] *= np.float32(size)
        value.const_value = ir.tensor(weight, name="head/w")

    direct = _folded(form)
    dead(direct)
    quantise(direct, found.ranges, QdqStyle.S8, corrections=found.corrections["s8"])
    model = _fixed(form)
    dead(model)
    to_corrected_float(model, found)
    again = _reloaded(model)
    quantise(again, found.ranges, QdqStyle.S8)
    assert _difference(again, direct) == []


def test_metadata_and_names_stay() -> None:
    model = _fixed("norm")
    model.metadata_props["edgedeploy.variant"] = "{}"
    model.graph.name = "a name"
    to_corrected_float(model, _calibration("norm", 0))
    proto = ir.serde.serialize_model(model)
    onnx.checker.check_model(proto, full_check=True)
    assert [(p.key, p.value) for p in proto.metadata_props] == [("edgedeploy.variant", "{}")]
    assert proto.graph.name == "a name"
    assert [o.name for o in proto.graph.output] == ["logits"]


def test_only_rounded_weights_change_and_none_exceeds_the_largest() -> None:
    found = _calibration("mixed", 1)
    before, after = _folded("mixed"), _fixed("mixed")
    equalise(before, found.equalisation)
    to_corrected_float(after, found)
    old, new = producers(before), producers(after)
    for name, correction in found.corrections["s8"].items():
        one, other = (np.asarray(array_of(nodes[name].inputs[1])) for nodes in (old, new))
        np.testing.assert_array_equal(one == other, np.asarray(correction.rounding) == 0)
        assert np.abs(one).max() == np.abs(other).max()


def test_without_corrections_the_answers_are_the_models_own() -> None:
    model = _fixed("norm")
    expected = run(model, pictures())
    to_corrected_float(model, calibration(ranges={}))
    np.testing.assert_allclose(run(model, pictures()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "correction", "problem"),
    [
        ("nowhere", Correction(bias=np.zeros(8, np.float32)), "corrects nowhere, which is no lay"),
        ("stem/norm", Correction(bias=np.zeros(7, np.float32)), r"a bias of \(7,\), .* \(8,\)"),
        (
            "stem/norm",
            Correction(bias=np.zeros(8, np.float32), rounding=np.zeros((8, 3, 3, 1), np.int8)),
            r"rounds \(8, 3, 3, 1\) weights of stem/norm, the layer has \(8, 3, 3, 3\)",
        ),
    ],
)
def test_corrections_that_do_not_fit_are_refused(
    name: str, correction: Correction, problem: str
) -> None:
    found = calibration(corrections={"s8": {name: correction}})
    with pytest.raises(BuildError, match=problem):
        to_corrected_float(_fixed("norm"), found)
