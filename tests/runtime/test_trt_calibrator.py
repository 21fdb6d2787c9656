from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import BuildError, FileError
from edgedeploy.runtime import trt_calibrator
from tests.runtime import fake_trt
from tests.runtime.fake_trt import LayerType

if TYPE_CHECKING:
    from pathlib import Path

TABLE = b"TRT-8201-EntropyCalibration2\ntensor0: 3c010204\ntensor1: 3c010204\n"


def test_a_cache_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "calibration.cache"
    path.write_bytes(TABLE)
    assert trt_calibrator.read(str(path)) == TABLE


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x01", b"{}", b"TRT-x-Entropy\n", b"image: 3c010204\n"]
)
def test_what_is_no_cache_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "calibration.cache"
    path.write_bytes(data)
    with pytest.raises(FileError, match="a calibration cache begins with a line like"):
        trt_calibrator.read(str(path))


def test_a_cache_that_is_not_there_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"calibration.cache cannot be read: No such file"):
        trt_calibrator.read(str(tmp_path / "calibration.cache"))


@pytest.mark.parametrize(
    ("version", "digits"),
    [
        ("8.2.1.8", b"8201"),
        ("8.2.3", b"8203"),
        ("8.5.2.2", b"8502"),
        ("8.6.2", b"8602"),
        ("10.3.0.30", b"100300"),
        ("10.13.0", b"101300"),
        ("10", b"100000"),
    ],
)
def test_the_header_is_that_of_the_version_that_is_here(version: str, digits: bytes) -> None:
    table = trt_calibrator.for_library(b"TRT-7134-MinMaxCalibration\nimage: 3c010204\n", version)
    assert table == b"TRT-" + digits + b"-EntropyCalibration2\nimage: 3c010204\n"


def test_tensors_are_named_as_in_the_file_with_colons_and_spaces() -> None:
    table = b"TRT-8201-EntropyCalibration2\na: b: 3c010204\n(Unnamed Layer* 3) [Shuffle]: 1\n\n"
    assert trt_calibrator.tensors(table) == {"a: b", "(Unnamed Layer* 3) [Shuffle]"}


def test_convolutions_without_a_range_are_listed() -> None:
    trt = fake_trt.Library("8.2.1", layers=(LayerType.CONVOLUTION,) * 3)
    assert trt_calibrator.lacking(trt, trt.network, TABLE) == ("convolution2",)


def test_a_cache_of_another_model_is_refused() -> None:
    trt = fake_trt.Library("8.2.1", layers=(LayerType.CONSTANT, LayerType.CONVOLUTION))
    table = b"TRT-8201-EntropyCalibration2\nother: 3c010204\n"
    with pytest.raises(BuildError, match=r"of 1 tensors.*1 convolutions, such as 'tensor1'"):
        trt_calibrator.lacking(trt, trt.network, table)


def test_a_network_without_convolutions_lacks_nothing() -> None:
    trt = fake_trt.Library("8.2.1", layers=(LayerType.CONSTANT,))
    assert trt_calibrator.lacking(trt, trt.network, TABLE) == ()


@pytest.mark.parametrize("generation", ["8.2.1", "8.6.1", "10.3.0"])
def test_the_calibrator_offers_the_cache_and_neither_images_nor_a_place_to_write(
    generation: str,
) -> None:
    trt = fake_trt.Library(generation)
    config = trt.Builder(None).create_builder_config()
    profile = trt.Builder(None).create_optimization_profile()
    profile.set_shape("image", (1,), (1,), (8,))
    calibrator = trt_calibrator.attach(trt, config, TABLE, profile)
    assert config.int8_calibrator is calibrator
    assert isinstance(calibrator, trt.IInt8EntropyCalibrator2)
    assert trt.seen.calibration_profile == ("image", (1,), (1,), (8,))
    assert calibrator.read_calibration_cache() == TABLE
    assert calibrator.get_batch_size() == 1
    calibrator.write_calibration_cache(b"other")
    assert calibrator.read_calibration_cache() == TABLE
    trt_calibrator.check_taken(calibrator, "")
    assert calibrator.get_batch(["image"]) is None
    with pytest.raises(BuildError, match=r"it asked for images: ERROR: no") as caught:
        trt_calibrator.check_taken(calibrator, "ERROR: no")
    assert "--int8-mode qdq" in caught.value.fix


def test_a_fixed_batch_needs_no_calibration_profile() -> None:
    trt = fake_trt.Library("8.2.1")
    trt_calibrator.attach(trt, trt.Builder(None).create_builder_config(), TABLE)
    assert not hasattr(trt.seen, "calibration_profile")
