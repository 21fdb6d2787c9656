from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgedeploy import model_file
from edgedeploy.errors import FileError, UsageError
from edgedeploy.model_file import ModelHints
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.types import Family, Variant
from tests.models import save, stem

if TYPE_CHECKING:
    from pathlib import Path

RULE = Preprocessing(mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), crop_fraction=1.0)
VARIANT = Variant(Family.MOBILENET_V1, 0.25, 8)


def test_metadata_come_back_as_they_were_written(tmp_path: Path) -> None:
    proto = stem()
    model_file.set_metadata(
        proto, variant=VARIANT, base_resolution=16, preprocessing=RULE, labels=("a", "ß", "c", "d")
    )
    model = model_file.read(save(proto, tmp_path / "m.onnx"))
    assert (model.variant, model.base_resolution) == (VARIANT, 16)
    assert (model.preprocessing, model.labels) == (RULE, ("a", "ß", "c", "d"))
    assert (model.side, model.softmax) == ((8, 8), False)


def test_size_of_a_dynamic_model_comes_from_its_name(tmp_path: Path) -> None:
    path = save(stem(("N", 3, "H", "W")), tmp_path / "mobilenet_v1_0.50_160_mine.onnx")
    assert model_file.read(path).side == (160, 160)


def test_size_of_a_foreign_dynamic_model_is_unknown_until_given(tmp_path: Path) -> None:
    path = save(stem(("N", 3, "H", "W")), tmp_path / "m.onnx")
    assert model_file.read(path).side is None
    assert model_file.read(path, ModelHints(side=(32, 48))).side == (32, 48)


def test_size_that_differs_from_the_graph_is_refused_with_both(tmp_path: Path) -> None:
    path = save(stem(), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="the graph says 8x8, the command line says 9x9"):
        model_file.read(path, ModelHints(side=(9, 9)))


def test_calibrated_size_that_differs_is_refused_with_both(tmp_path: Path) -> None:
    model = model_file.read(save(stem(), tmp_path / "m.onnx"))
    with pytest.raises(UsageError, match=r"the model says 8x8, calib\.json says 9x9"):
        model_file.with_side(model, (9, 9), source="calib.json")


def test_json_beside_a_foreign_model_describes_it(tmp_path: Path) -> None:
    path = save(stem(), tmp_path / "m.onnx")
    about = {"preprocess": {"mean": [0, 0, 0], "std": [255, 255, 255]}, "labels": ["a"] * 4}
    path.with_suffix(".json").write_text(json.dumps(about))
    model = model_file.read(path)
    assert model.preprocessing == Preprocessing(mean=(0.0,) * 3, std=(255.0,) * 3)
    assert model.labels == ("a",) * 4


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"preprocess": {"mean": [1]}}',
        '{"preprocess": {"mean": [0,0,0], "std": [0,1,1]}}',
    ],
)
def test_damaged_json_beside_a_model_is_refused(tmp_path: Path, text: str) -> None:
    path = save(stem(), tmp_path / "m.onnx")
    path.with_suffix(".json").write_text(text)
    with pytest.raises(FileError, match=r"m\.json does not describe m\.onnx"):
        model_file.read(path)


def test_damaged_metadata_are_refused(tmp_path: Path) -> None:
    proto = stem()
    proto.metadata_props.add(key="edgedeploy.preprocess", value='{"mean": "no"}')
    with pytest.raises(FileError, match="metadata are damaged"):
        model_file.read(save(proto, tmp_path / "m.onnx"))


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model", b"\x89PNG\r\n\x1a\n", stem().SerializeToString()[:-40]],
    ids=["empty", "text", "png", "truncated"],
)
def test_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"m\.onnx is not an ONNX model that can be used"):
        model_file.read(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read: No such file"):
        model_file.read(tmp_path / "no.onnx")


def test_two_inputs_are_refused_by_name(tmp_path: Path) -> None:
    proto = stem()
    proto.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(FileError, match=r"has 2 inputs \(image, mask\)"):
        model_file.read(save(proto, tmp_path / "m.onnx"))


def test_two_outputs_are_refused_by_name(tmp_path: Path) -> None:
    proto = stem()
    proto.graph.output.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, None))
    with pytest.raises(FileError, match=r"has 2 outputs \(logits, p\)"):
        model_file.read(save(proto, tmp_path / "m.onnx"))


def test_nhwc_input_is_refused_with_its_shape(tmp_path: Path) -> None:
    proto = stem()
    shape = proto.graph.input[0].type.tensor_type.shape
    for dim, value in zip(shape.dim[1:], (8, 8, 3), strict=True):
        dim.dim_value = value
    proto.graph.node[0].CopyFrom(helper.make_node("Transpose", ["image"], ["c"]))
    path = save(proto, tmp_path / "m.onnx")
    with pytest.raises(
        FileError, match=r"\(any, 8, 8, 3\), a model here takes float32 \(N, 3, H, W\)"
    ):
        model_file.read(path)


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "sub/../../w.bin"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(np.zeros(108, np.float32).tobytes())
    with pytest.raises(FileError, match="keeps its data outside the model's folder"):
        model_file.read(_external(folder / "m.onnx", location))


def test_external_data_behind_a_link_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(np.zeros(108, np.float32).tobytes())
    (folder / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(FileError, match="outside the model's folder"):
        model_file.read(_external(folder / "m.onnx", "w.bin"))


def test_missing_external_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"keeps weights in w\.bin, which is not beside it"):
        model_file.read(_external(tmp_path / "m.onnx", "w.bin"))


def test_external_data_count_in_the_digest(tmp_path: Path) -> None:
    path = _external(tmp_path / "m.onnx", "w.bin")
    (tmp_path / "w.bin").write_bytes(np.zeros(108, np.float32).tobytes())
    before = model_file.read(path).sha256
    (tmp_path / "w.bin").write_bytes(np.ones(108, np.float32).tobytes())
    assert model_file.read(path).sha256 != before


def test_softmax_at_the_end_is_seen(tmp_path: Path) -> None:
    assert model_file.read(save(stem(softmax=True), tmp_path / "m.onnx")).softmax


def test_output_shape_that_the_file_omits_is_inferred(tmp_path: Path) -> None:
    proto = stem()
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    assert model_file.read(save(proto, tmp_path / "m.onnx")).output.shape == (None, 4)


def _external(path: Path, location: str) -> Path:
    proto = stem()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(proto.SerializeToString())
    assert onnx.load(path, load_external_data=False).graph.initializer[0].name == "w"
    return path
