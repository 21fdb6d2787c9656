from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest

from edgedeploy import model_file
from edgedeploy.calibration.checking import check, examine, network
from edgedeploy.calibration_values import Correction
from edgedeploy.errors import FileError
from edgedeploy.graph.tensors import activations
from edgedeploy.model_file import ModelHints
from edgedeploy.runtime.preprocessing import Preprocessing
from tests.calibration.samples import calibration, left_float
from tests.graph.networks import block, ranges

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.calibration_values import Calibration
    from edgedeploy.types import OnnxModel

_RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)


@pytest.fixture
def model(tmp_path: Path) -> OnnxModel:
    path = tmp_path / "block.onnx"
    path.write_bytes(ir.serde.serialize_model(block(norm=True)).SerializeToString())
    return model_file.read(path, ModelHints(preprocessing=_RULE))


def _fitting(model: OnnxModel, **changes: Any) -> Calibration:
    return calibration(
        **{
            "model_sha256": model.sha256,
            "side": (16, 16),
            "preprocessing": _RULE,
            "ranges": ranges(activations(network(model, model.side).graph)),
            **changes,
        }
    )


def test_a_calibration_of_the_model_fits(model: OnnxModel) -> None:
    found = check(_fitting(model), model, source="c.json")
    assert found.problems == ()
    assert found.serves == ("s8", "u8")


def test_tensors_without_a_range_are_all_named(model: OnnxModel) -> None:
    kept = {"stem/act": _fitting(model).ranges["stem/act"]}
    found = examine(_fitting(model, ranges=kept), model)
    assert "image" in found.missing
    assert "head/act" in found.missing
    assert "project/norm" in found.only_u8
    assert found.serves == ()
    count = len(found.missing)
    assert found.problems[0] == (
        f"{count} of the model's tensors have no range: {', '.join(found.missing)}"
    )


def test_ranges_for_trt_only_are_no_problem(model: OnnxModel) -> None:
    every = dict(_fitting(model).ranges)
    del every["project/norm"]
    found = check(_fitting(model, ranges=every), model, source="c.json")
    assert found.only_u8 == ("project/norm",)
    assert found.serves == ("s8",)


def test_ranges_of_tensors_that_are_not_there_are_named(model: OnnxModel) -> None:
    # what batch norm's folding removes is a tensor of the model all the same
    more = ranges(["stem/conv", "old/act", "older"])
    found = examine(_fitting(model, ranges={**_fitting(model).ranges, **more}), model)
    assert found.unknown == ("old/act", "older")


def test_changed_weights_size_and_preprocessing_are_refused_at_once(model: OnnxModel) -> None:
    other = Preprocessing(mean=(0.0,) * 3, std=(127.5,) * 3, resize="stretch")
    stale = _fitting(model, model_sha256="f" * 64, side=(16, 32), preprocessing=other)
    with pytest.raises(FileError) as caught:
        check(stale, model, source="c.json")
    assert caught.value.problem == (
        f"c.json does not fit {model.path} in 3 ways:\n"
        f"  - it was measured on a model with SHA-256 {'f' * 64}, this one has {model.sha256}\n"
        "  - it was measured at 16x32 pixels, the model takes 16x16 pixels\n"
        "  - it was measured with mean (0.0, 0.0, 0.0), it is now (127.5, 127.5, 127.5); "
        "resize stretch, it is now crop"
    )
    assert caught.value.fix.startswith(f"measure this model: edgedeploy calibrate {model.path}")


def test_a_single_problem_is_said_in_one_line(model: OnnxModel) -> None:
    with pytest.raises(
        FileError, match=rf"c\.json does not fit .*: it was measured on .*{'f' * 64}"
    ):
        check(_fitting(model, model_sha256="f" * 64), model, source="c.json")


def test_arrays_that_fit_no_layer_are_named(model: OnnxModel) -> None:
    one = np.ones(1, np.float32)
    stale = _fitting(
        model,
        equalisation={"expand/act": one, "gone": one},
        corrections={
            "s8": {"gone": Correction(bias=one), "stem/norm": Correction(bias=one)},
            "u8": {
                "expand/norm": Correction(
                    bias=np.ones(16, np.float32), rounding=np.zeros((16, 8), np.int8)
                )
            },
        },
    )
    assert examine(stale, model).misfits == (
        "it equalises 1 channels of 'expand/act', which has 16",
        "it equalises 'gone', which the model does not have",
        "it corrects 'gone' (s8), which is no layer of the model",
        "it corrects (1,) biases of 'stem/norm' (s8), which has 8",
        "it rounds weights (16, 8) of 'expand/norm' (u8), which has (16, 8, 1, 1)",
    )


def test_a_float_layer_that_the_model_does_not_have_is_named(model: OnnxModel) -> None:
    fitting = _fitting(model, spending={"s8": left_float("stem/norm", "stem/act")})
    assert examine(fitting, model).misfits == (
        "it leaves 'stem/act' (s8) in float, which is no layer of the model",
    )


def test_arrays_of_every_layer_fit(model: OnnxModel) -> None:
    fitting = _fitting(
        model,
        equalisation={"expand/act": np.ones(16, np.float32)},
        corrections={
            "u8-vnni": {
                "depthwise/norm": Correction(
                    bias=np.ones(16, np.float32), rounding=np.zeros((16, 1, 3, 3), np.int8)
                )
            }
        },
    )
    assert examine(fitting, model).problems == ()
