from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from edgedeploy.calibration.files import SCHEMA, check, read, write
from edgedeploy.calibration_values import Calibration, TensorRange
from edgedeploy.errors import FileError
from edgedeploy.files import sha256
from edgedeploy.types import OnnxModel, TensorSpec
from tests.calibration.samples import (
    calibration,
    calibrations,
    is_same,
    left_float,
    with_arrays,
)


def _document(path: Path) -> dict[str, Any]:
    write(calibration(max_drop=1.0, spending={"s8": left_float("a")}), path)
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


@settings(max_examples=25, deadline=None)
@given(before=calibrations())
def test_what_is_written_is_read_again(before: Calibration) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "calib", "model.json")
        write(before, path)
        after = read(path)
        assert after.sha256 == sha256(path)
        first = {file: file.read_bytes() for file in path.parent.iterdir()}
        write(after, path)
        assert {file: file.read_bytes() for file in path.parent.iterdir()} == first
    assert is_same(after, before)


def test_a_file_of_schema_1_is_read_in_the_digits_of_float32(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    document = _document(path)
    for key in ("equalisation", "corrections", "arrays"):
        del document[key]
    del document["data"]["unreadable"]
    document["schema"] = "edgedeploy.calibration/1"
    document["tensors"] = {"t": {"min": -0.1, "max": 1.0, "low": 0.0, "high": 6.02}}
    path.write_text(json.dumps(document))
    found = read(path)
    assert found.ranges["t"].high == float(np.float32(6.02))
    assert not found.equalisation
    assert not found.corrections
    document["tensors"]["t"]["high"] = 1e39
    path.write_text(json.dumps(document))
    with pytest.raises(FileError, match=r"high of t is 1e\+39, no number up to 3\.40282e\+38"):
        read(path)


def test_the_calibrations_that_ship_are_read() -> None:
    shipped = sorted((Path(__file__).parents[2] / "calib").glob("*.json"))
    assert len(shipped) >= 4
    for path in shipped:
        assert "image" in read(path).ranges


def test_a_file_from_before_there_were_budgets_has_none(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    document = _document(path)
    del document["max_drop"], document["spending"]
    path.write_text(json.dumps(document))
    assert read(path).max_drop is None
    assert read(path).left_float == {}


def test_pictures_that_nobody_knows_are_null(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write(calibration(data_digest="", data_count=0), path)
    assert json.loads(path.read_bytes())["data"] == {
        "digest": None,
        "count": None,
        "unreadable": {},
    }
    assert (read(path).data_digest, read(path).data_count) == ("", 0)


def test_arrays_lie_beside_and_the_json_has_their_digest(tmp_path: Path) -> None:
    path = tmp_path / "v1_0.25.json"
    write(with_arrays(), path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["v1_0.25.json", "v1_0.25.npz"]
    document = json.loads(path.read_bytes())
    assert document["arrays"] == {"sha256": sha256(tmp_path / "v1_0.25.npz")}
    assert document["corrections"]["s8"]["conv/b"] == {"bias": [2], "rounding": None}
    assert is_same(read(path), with_arrays())


def test_arrays_of_another_calibration_are_refused_with_both_digests(tmp_path: Path) -> None:
    write(with_arrays(), tmp_path / "a.json")
    write(with_arrays(equalisation={}), tmp_path / "b.json")
    own, other = sha256(tmp_path / "a.npz"), sha256(tmp_path / "b.npz")
    (tmp_path / "b.npz").replace(tmp_path / "a.npz")
    with pytest.raises(FileError, match=rf"a\.json belongs to .*{own}, .*a\.npz has {other}\n"):
        read(tmp_path / "a.json")


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    write(with_arrays(), tmp_path / "a.json")
    (tmp_path / "a.npz").unlink()
    with pytest.raises(
        FileError, match=r"a\.npz, which cannot be read: No such file.*\n.*copy a\.npz"
    ):
        read(tmp_path / "a.json")


def test_a_kill_between_the_two_files_leaves_no_mixed_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write(with_arrays(), path)
    replace_file = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target == path:
            raise KeyboardInterrupt
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(with_arrays(equalisation={}), path)
    with pytest.raises(FileError, match="belongs to arrays with SHA-256"):
        read(path)


def test_arrays_are_removed_when_the_next_calibration_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(with_arrays(), path)
    write(calibration(), path)
    assert list(tmp_path.iterdir()) == [path]


def test_an_npz_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    (tmp_path / "a.npz").write_bytes(b"theirs")
    write(calibration(), path)
    assert is_same(read(path), calibration())
    write(calibration(), path)
    assert (tmp_path / "a.npz").read_bytes() == b"theirs"


def test_arrays_that_are_too_large_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write(with_arrays(), path)
    size = (tmp_path / "a.npz").stat().st_size
    monkeypatch.setattr("edgedeploy.calibration.arrays.LARGEST_BYTES", size - 1)
    with pytest.raises(FileError, match=rf"a\.npz has {size} bytes, at most {size - 1} are read"):
        read(path)


def test_the_bytes_do_not_depend_on_the_order_of_the_tensors(tmp_path: Path) -> None:
    some = TensorRange(min=0, max=1, low=0, high=1)
    other = TensorRange(min=0, max=2, low=0, high=2)
    write(calibration(ranges={"a": some, "b": other}), tmp_path / "1.json")
    write(calibration(ranges={"b": other, "a": some}), tmp_path / "2.json")
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    found = TensorRange(min=float(np.float32(-0.1)), max=1.0, low=-0.0, high=127 * 0.1)
    write(calibration(ranges={"t": found}), tmp_path / "c.json")
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
        (("data", "digest"), None, "data.digest is None, no text"),
        (("data", "digest"), "", "data.digest is empty, and data.count"),
        (("data", "unreadable"), {"a.png": 0}, "data.unreadable is 0, no text"),
        (("tensors", "\ud800"), {"min": 0, "max": 1, "low": 0, "high": 1}, "surrogates not allow"),
        (("tensors", "block/é", "method"), 7, "method of block/é is 7, no text"),
        (("equalisation",), {"a": [2]}, "it names arrays without their digest"),
        (("equalisation",), {"a": []}, r"equalisation of 'a' has the shape \[\]"),
        (("corrections",), {"s8": [1]}, r"corrections of s8 is \[1\], no object"),
        (("equalisation",), [], r"equalisation is \[\], no object"),
        (("corrections",), {"s9": {}}, "corrections are for 's9', known are s8, u8, u8-vnni"),
        (("max_drop",), 0, "max_drop is 0, it must be above 0"),
        (("max_drop",), 101, "max_drop is 101, no number up to 100"),
        (("max_drop",), float("nan"), "max_drop is nan, no number up to 100"),
        (("max_drop",), "1", "max_drop is '1', no number"),
        (("spending",), [1], "spending is for 1, known are s8, u8, u8-vnni"),
        (("spending",), {"s9": {}}, "spending is for 's9', known are s8, u8, u8-vnni"),
        (("spending",), {"s8": {"left_float": []}}, "it has no 'images'"),
        (("spending", "s8", "images"), 0, "images of spending of s8 is 0"),
        (("spending", "s8", "before"), None, "before of spending of s8 is None, no number"),
        (("spending", "s8", "after"), 1e9, "after of spending of s8 is 1000000000.0, no number"),
        (("spending", "s8", "left_float"), "ab", "left_float of spending of s8 is 'ab', no list"),
        (
            ("spending", "s8", "left_float"),
            ["a", "a"],
            "left_float of spending of s8 names a layer",
        ),
        (("spending", "s8", "left_float"), [1], "left_float of spending of s8 is 1, no text"),
        (("spending", "s8", "harms"), {"a": float("inf")}, "harm of a in spending of s8 is inf"),
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
    "key",
    [
        *("model", "data", "side", "preprocessing", "method", "tensors", "versions"),
        *("equalisation", "corrections", "arrays"),
    ],
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
    check(calibration(model_sha256="c" * 64), model)
    with pytest.raises(
        FileError, match=rf"{'a' * 64}, models/m\.onnx has {'c' * 64}\n.*calibrate models/m"
    ):
        check(calibration(), model)
