from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.calibration.files import SCHEMA, check, read, write
from edgedeploy.errors import FileError
from edgedeploy.files import sha256
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.types import Calibration, OnnxModel, TensorRange, TensorSpec

_FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def _ranges(draw: st.DrawFn) -> TensorRange:
    low, high = sorted(draw(st.lists(_FLOATS, min_size=2, max_size=2, unique=True)))
    least, most = sorted((draw(_FLOATS), draw(_FLOATS)))
    return TensorRange(min=least, max=most, low=low, high=high)


def _calibration(**changes: Any) -> Calibration:
    made = Calibration(
        model_sha256="a" * 64,
        data_digest="b" * 64,
        data_count=200,
        method="entropy",
        side=(224, 192),
        preprocessing=Preprocessing(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
        ranges={"block/é": TensorRange(min=-0.1, max=7.25, low=0.0, high=6.0)},
        versions={"onnxruntime": "1.2.3"},
    )
    return replace(made, **changes)


def _document(path: Path) -> dict[str, Any]:
    write(_calibration(), path)
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


@settings(max_examples=25, deadline=None)
@given(
    ranges=st.dictionaries(st.text(min_size=1), _ranges(), max_size=5),
    count=st.integers(1, 10**6),
    method=st.sampled_from(["minmax", "entropy"]),
)
def test_what_is_written_is_read_again(
    ranges: dict[str, TensorRange], count: int, method: str
) -> None:
    before = _calibration(ranges=ranges, data_count=count, method=method)
    with TemporaryDirectory() as folder:
        path = Path(folder, "calib", "model.json")
        write(before, path)
        after = read(path)
        assert after.sha256 == sha256(path)
        first = path.read_bytes()
        write(after, path)
        assert path.read_bytes() == first
    assert replace(after, sha256="") == before


def test_the_bytes_do_not_depend_on_the_order_of_the_tensors(tmp_path: Path) -> None:
    some = TensorRange(min=0, max=1, low=0, high=1)
    other = TensorRange(min=0, max=2, low=0, high=2)
    write(_calibration(ranges={"a": some, "b": other}), tmp_path / "1.json")
    write(_calibration(ranges={"b": other, "a": some}), tmp_path / "2.json")
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    found = TensorRange(min=float(np.float32(-0.1)), max=1.0, low=-0.0, high=127 * 0.1)
    write(_calibration(ranges={"t": found}), tmp_path / "c.json")
    tensors = json.loads((tmp_path / "c.json").read_bytes())["tensors"]
    assert tensors == {
        "t": {"min": -0.10000000149011612, "max": 1.0, "low": 0.0, "high": 12.700000000000001}
    }
    assert "-0.0," not in (tmp_path / "c.json").read_text()
    assert read(tmp_path / "c.json").ranges == {"t": found}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a": 1}', b"[" * 100_000]
)
def test_what_is_no_calibration_is_one_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"c\.json is no calibration that can be used"):
        read(path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot be read: No such file.*\n.*edgedeploy calibrate"):
        read(tmp_path / "none.json")


def test_another_schema_is_refused_with_both(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**_document(path), "schema": "edgedeploy.calibration/9"}))
    with pytest.raises(
        FileError, match=f"schema 'edgedeploy.calibration/9', this version reads '{SCHEMA}'"
    ):
        read(path)


@pytest.mark.parametrize(
    ("keys", "value", "problem"),
    [
        (("tensors", "block/é", "low"), float("nan"), "low of block/é is nan, no number up to"),
        (("tensors", "block/é", "max"), float("inf"), "max of block/é is inf, no number up to"),
        (("tensors", "block/é", "max"), 1e300, "max of block/é is 1e[+]300, no number up to"),
        (("tensors", "block/é", "max"), 10**400, "max of block/é is 10+, no number up to"),
        (("tensors", "block/é", "high"), "6", "high of block/é is '6', no number"),
        (("tensors", "block/é", "high"), True, "high of block/é is True, no number"),
        (("tensors", "block/é", "high"), 0.0, "low 0, which is not below high 0"),
        (("tensors", "block/é", "min"), 9.0, "min 9 above max 7.25"),
        (("tensors", "block/é"), {"min": 0, "max": 1, "low": 0}, "it has no 'high'"),
        (("tensors",), [], "no attribute 'items'"),
        (("data", "count"), 0, "data.count is 0, it must be a whole number above 0"),
        (("data", "count"), 1.5, "data.count is 1.5"),
        (("side",), [224], "not enough values"),
        (("side",), [224, -1], "side is -1"),
        (("model", "sha256"), 5, "model.sha256 is 5, no text"),
        (("method",), None, "method is None, no text"),
        (("preprocessing",), None, "preprocessing is null"),
        (("preprocessing", "std"), [0, 1, 1], "std must not be 0"),
        (("versions",), {"onnxruntime": 1}, "versions is 1, no text"),
    ],
)
def test_a_value_out_of_place_is_named(
    tmp_path: Path, keys: tuple[str, ...], value: object, problem: str
) -> None:
    path = tmp_path / "c.json"
    document = _document(path)
    place = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(document))
    with pytest.raises(FileError, match=problem):
        read(path)


@pytest.mark.parametrize(
    "key", ["model", "data", "side", "preprocessing", "method", "tensors", "versions"]
)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    path = tmp_path / "c.json"
    document = _document(path)
    del document[key]
    path.write_text(json.dumps(document))
    with pytest.raises(FileError, match=f"it has no '{key}'"):
        read(path)


def test_a_calibration_of_another_model_is_refused_with_both_digests() -> None:
    model = OnnxModel(
        path=Path("models/m.onnx"),
        sha256="c" * 64,
        input=TensorSpec("image", (None, 3, 8, 8)),
        output=TensorSpec("logits", (None, 4)),
        softmax=False,
        preprocessing=None,
        labels=None,
        variant=None,
        base_resolution=224,
    )
    check(_calibration(model_sha256="c" * 64), model)
    with pytest.raises(
        FileError, match=rf"{'a' * 64}, models/m\.onnx has {'c' * 64}\n.*calibrate models/m"
    ):
        check(_calibration(), model)
