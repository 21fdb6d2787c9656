from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy.calibration import arrays
from edgedeploy.calibration_values import Correction
from tests.calibration.samples import calibration, with_arrays

if TYPE_CHECKING:
    from edgedeploy.calibration_values import Calibration


def _packed(made: Calibration) -> bytes:
    data = arrays.pack(made)
    assert data is not None
    return data


def _zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def _saved(array: Any) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def test_numpy_reads_the_archive() -> None:
    made = with_arrays()
    with np.load(io.BytesIO(_packed(made)), allow_pickle=False) as found:
        assert np.array_equal(found["equalisation.0"], made.equalisation["block/é"])
        assert np.array_equal(found["s8.0.bias"], made.corrections["s8"]["conv/a"].bias)
        rounding = made.corrections["s8"]["conv/a"].rounding
        assert rounding is not None
        assert np.array_equal(found["s8.0.rounding"], rounding)
        assert len(found.files) == 6


def test_the_same_arrays_give_the_same_bytes_in_whatever_order() -> None:
    made = with_arrays()
    styles, layers = [*made.corrections.items()], [*made.corrections["s8"].items()]
    turned = with_arrays(corrections={**dict(styles[::-1]), "s8": dict(layers[::-1])})
    assert list(turned.corrections) != list(made.corrections)
    assert _packed(turned) == _packed(made)


def test_without_arrays_there_is_no_archive() -> None:
    assert arrays.pack(calibration(corrections={"s8": {}})) is None
    assert arrays.is_empty(arrays.index(calibration()))


def test_rounding_that_is_mostly_zero_takes_little_room() -> None:
    deltas = np.zeros(1_000_000, np.int8)
    deltas[::50] = 1
    layer = Correction(bias=np.ones(4, np.float32), rounding=deltas.reshape(1000, 1000))
    assert len(_packed(calibration(corrections={"u8": {"a": layer}}))) < 10_000


def test_what_is_read_can_be_written_to() -> None:
    made = with_arrays()
    equalisation, _ = arrays.unpack(arrays.index(made), _packed(made))
    equalisation["block/é"] *= 2
    assert equalisation["block/é"].tolist() == [1.0, 4.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_neither_written_nor_read(bad: float) -> None:
    made = calibration(equalisation={"t": np.array([1, bad], np.float32)})
    with pytest.raises(ValueError, match=rf"equalisation of 't' holds {bad}, no number"):
        arrays.pack(made)
    good = with_arrays(equalisation={"t": np.array([1, 2], np.float32)}, corrections={})
    data = _packed(good)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = archive.read("equalisation.0.npy")
    hostile = _zipped({"equalisation.0.npy": member[:-4] + np.float32(bad).tobytes()})
    with pytest.raises(ValueError, match="equalisation of 't' holds"):
        arrays.unpack(arrays.index(good), hostile)


def test_scales_that_are_not_above_zero_are_refused() -> None:
    with pytest.raises(ValueError, match=r"equalisation of 't' holds 0\.0, scales are above 0"):
        arrays.pack(calibration(equalisation={"t": np.array([1, 0], np.float32)}))


def _index(shape: list[int]) -> dict[str, Any]:
    return {"equalisation": {"t": shape}, "corrections": {}}


@pytest.mark.parametrize(
    ("shape", "members", "problem"),
    [
        ([2], {"equalisation.0.npy": np.ones(3, "<f4")}, r"takes 140 bytes, <f4 \(2,\) takes 136"),
        ([2], {"equalisation.0.npy": np.ones(2, "<i4")}, r"begins with .*<i4.*it must be <f4"),
        ([2], {"equalisation.0.npy": np.ones(2, ">f4")}, r"begins with .*>f4.*it must be <f4"),
        ([2], {"equalisation.0.npy": np.array([None, {}])}, r"takes \d+ bytes"),
        ([2], {"x.npy": np.ones(2, "<f4")}, r"holds x\.npy, the index names equalisation\.0\.npy"),
        ([2], {}, r"holds nothing, the index names equalisation\.0\.npy"),
    ],
)
def test_a_member_that_is_another_array_is_refused_with_both(
    shape: list[int], members: dict[str, Any], problem: str
) -> None:
    data = _zipped({name: _saved(array) for name, array in members.items()})
    with pytest.raises(ValueError, match=problem):
        arrays.unpack(_index(shape), data)


def test_a_zip_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = _zipped({"equalisation.0.npy": bytes(200_000_000)})
    assert len(bomb) < 1_000_000
    with pytest.raises(ValueError, match=r"takes 200000000 bytes, <f4 \(2,\) takes 136"):
        arrays.unpack(_index([2]), bomb)


def test_a_shape_that_fills_the_memory_is_refused() -> None:
    layer = {"bias": [4], "rounding": [1 << 20, 1 << 20]}
    document = {"equalisation": {}, "corrections": {"u8": {"a": layer}}}
    with pytest.raises(ValueError, match=rf"take {(1 << 40) + 16} bytes, at most 1073741824"):
        arrays.unpack(document, _zipped({}))


def test_a_zip_that_is_none_or_encrypted_is_refused() -> None:
    data = bytearray(_packed(with_arrays()))
    with pytest.raises(ValueError, match="its arrays are damaged"):
        arrays.unpack(arrays.index(with_arrays()), bytes(data[:-30]))
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1
    with pytest.raises(ValueError, match=r"its arrays are damaged: .*encrypted"):
        arrays.unpack(arrays.index(with_arrays()), bytes(data))


@pytest.mark.parametrize("shape", [[], [0], [-1], [True], [2.0], "2", None, [2, 2], [1 << 40]])
def test_a_shape_that_is_none_is_shown(shape: Any) -> None:
    with pytest.raises(ValueError, match="equalisation of 't' has the shape"):
        arrays.unpack(_index(shape), b"")
