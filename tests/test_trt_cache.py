from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.calibration_values import TensorRange
from edgedeploy.errors import FileError, UnknownNameError, UsageError
from edgedeploy.trt_cache import (
    TrtCache,
    digits,
    of_ranges,
    parse,
    parse_header,
    read,
    render,
    scale_of,
    write,
)
from tests.calibration.samples import NAMES, SCALES

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = b"TRT-8201-EntropyCalibration2\n"
_VERSIONS = st.from_regex(r"[0-9]{1,6}", fullmatch=True)
_ALGORITHMS = st.sampled_from(["EntropyCalibration2", "MinMaxCalibration", "LegacyCalibration"])


@given(version=_VERSIONS, algorithm=_ALGORITHMS, scales=st.dictionaries(NAMES, SCALES, max_size=5))
def test_what_is_rendered_is_parsed_again(
    version: str, algorithm: str, scales: dict[str, float]
) -> None:
    before = TrtCache(version=version, algorithm=algorithm, scales=scales)
    after = parse(render(before))
    assert after == before
    assert list(after.scales) == list(scales)
    assert parse_header(before.header) == (version, algorithm)


def test_a_cache_of_tensorrt_is_read() -> None:
    # the two numbers are from TensorRT's own files: 1/127, and TensorRT issue 2036
    found = parse(
        b"TRT-8203-MinMaxCalibration\ninput: 3c010204\n"
        b"(Unnamed Layer* 5) [Shuffle]_output: 3c009976\nmodel/a:0: 1\n"
    )
    assert (found.version, found.algorithm) == ("8203", "MinMaxCalibration")
    assert list(found.scales) == ["input", "(Unnamed Layer* 5) [Shuffle]_output", "model/a:0"]
    assert found.scales["input"] == float(np.float32(1 / 127))
    assert found.scales["(Unnamed Layer* 5) [Shuffle]_output"] * 127 == pytest.approx(0.997, 1e-3)
    assert found.scales["model/a:0"] == float(np.float32(1e-45))  # leading zeros may be absent


def test_line_ends_of_windows_capitals_and_empty_lines_are_read() -> None:
    found = parse(b"TRT-8201-EntropyCalibration2\r\n\r\na: 3C010204\r\nb: 3f800000")
    assert list(found.scales) == ["a", "b"]


@pytest.mark.parametrize("name", ["a: b", ": a", " ", "a:", "é\t\x85\u2028", "x\r", "a: 3c010204"])
def test_odd_names_survive(name: str) -> None:
    cache = TrtCache(version="8201", algorithm="EntropyCalibration2", scales={name: 0.5})
    assert parse(render(cache)) == cache


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", r"m\.cache is empty, .* begins with a line like 'TRT-8201-EntropyCalibration2'"),
        (b"\n", r"begins with ''"),
        (b"a: 3c010204\n", r"begins with 'a: 3c010204'"),
        (b"TRT-8201\n", r"begins with 'TRT-8201'"),
        (b"TRT-x-EntropyCalibration2\n", r"begins with 'TRT-x-"),
        (b"TRT-8201-Entropy Calibration\n", r"begins with 'TRT-8201-Entropy Cal"),
        ("TRT-٨٢٠١-EntropyCalibration2\n".encode(), r"begins with 'TRT-٨"),
        (b"ftrt\x00\x01\xff\xfe", r"is no text: byte 6 of 8 is 0xff"),
        (_HEAD + b"a 3c010204\n", r"line 2 is 'a 3c010204', it must be 'TENSOR: '"),
        (_HEAD + b"\na: \n", r"line 3 is 'a:'"),
        (_HEAD + b": 3c010204\n", r"line 2 is ': 3c010204'"),
        (_HEAD + b"a: 3c0102040\n", r"line 2 is 'a: 3c0102040'"),
        (_HEAD + b"a: 0x3c01\n", r"line 2 is 'a: 0x3c01'"),
        (_HEAD + b"a: 3c01 204\n", r"line 2 is"),
        (_HEAD + b"x" * 99 + b"\n", r"line 2 is 'x{59}…'"),
        (
            _HEAD + b"a: 3f800000\nb: 1\na: 3c010204\n",
            r"line 4: 'a' has the scale 0.00787\d*, .* 1",
        ),
        (_HEAD + b"a: 3f800000\na: 3f800000\n", r"line 3: 'a' has the scale 1, .* gave it 1\n"),
        (_HEAD + b"a: 7fc00000\n", r"line 2: 'a' has 7fc00000, the scale nan"),
        (_HEAD + b"a: 7f800000\n", r"line 2: 'a' has 7f800000, the scale inf"),
        (_HEAD + b"a: bc010204\n", r"line 2: 'a' has bc010204, the scale -0.00787"),
        (_HEAD + b"a: 0\n", r"line 2: 'a' has 0, the scale 0; it must be finite and above 0"),
        (_HEAD + b"a: 80000000\n", r"line 2: 'a' has 80000000, the scale -0"),
    ],
)
def test_what_is_no_cache_is_refused_with_its_line(data: bytes, problem: str) -> None:
    with pytest.raises(FileError, match=problem) as caught:
        parse(data, source="m.cache")
    assert caught.value.fix


@pytest.mark.parametrize(
    ("cache", "problem"),
    [
        (TrtCache(version="8.2", algorithm="A", scales={}), r"'TRT-8\.2-A' is no header"),
        (TrtCache(version="8201-A", algorithm="B", scales={}), r"'TRT-8201-A-B' is no header"),
        (TrtCache(version="1", algorithm="A", scales={"a\nb": 1.0}), r"cannot name .* 'a\\nb'"),
        (TrtCache(version="1", algorithm="A", scales={"": 1.0}), r"cannot name the tensor ''"),
        (TrtCache(version="1", algorithm="A", scales={"\ud800": 1.0}), r"cannot name the tensor"),
        (
            TrtCache(version="1", algorithm="A", scales={"a": 0.1}),
            r"'a' has the scale 0\.1, .*float32",
        ),
        (TrtCache(version="1", algorithm="A", scales={"a": 1e39}), r"scale 1e\+39"),
        (TrtCache(version="1", algorithm="A", scales={"a": -1.0}), r"scale -1\.0"),
        (TrtCache(version="1", algorithm="A", scales={"a": float("nan")}), r"scale nan"),
    ],
)
def test_what_no_cache_can_hold_is_not_rendered(cache: TrtCache, problem: str) -> None:
    with pytest.raises(FileError, match=problem):
        render(cache)


def test_files_are_written_and_read(tmp_path: Path) -> None:
    cache = TrtCache(version="100300", algorithm="MinMaxCalibration", scales={"image": 0.25})
    write(cache, tmp_path / "m.cache")
    text = (tmp_path / "m.cache").read_text()
    assert text == f"TRT-100300-MinMaxCalibration\nimage: {struct.pack('>f', 0.25).hex()}\n"
    assert read(tmp_path / "m.cache") == cache
    with pytest.raises(FileError, match=r"none\.cache cannot be read: No such file"):
        read(tmp_path / "none.cache")


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("8.2.1", "8201"),
        ("8.2.1.9", "8201"),
        ("8.5.2.2-1+cuda11.4", "8502"),
        ("8.6", "8600"),
        ("9.3.0", "9300"),
        ("10.0.1", "100001"),
        ("10.3.0", "100300"),
        ("10.16.2.10", "101602"),
        ("11.4.1.post1", "110401"),
    ],
)
def test_versions_are_written_as_tensorrt_writes_them(version: str, wanted: str) -> None:
    assert digits(version) == wanted
    assert parse_header(f"TRT-{digits(version)}-EntropyCalibration2") is not None


@pytest.mark.parametrize("version", ["", "8", "8201", "v8.2.1", "eight.two"])
def test_what_is_no_version_has_no_digits(version: str) -> None:
    with pytest.raises(UsageError, match=rf"'{version}' is no version of TensorRT\n.*8\.2\.1"):
        digits(version)


def test_a_cache_of_ranges_holds_the_largest_magnitude_over_127() -> None:
    found = {"a": TensorRange(-1, 2, -6.0, 3.0), "b": TensorRange(0, 1, 0.0, 0.0)}
    cache = of_ranges(found, version=digits("10.3.0"), algorithm="MinMaxCalibration")
    assert cache.header == "TRT-100300-MinMaxCalibration"
    assert dict(cache.scales) == {name: scale_of(each) for name, each in found.items()}
    assert cache.scales["a"] == np.float32(6 / 127)
    assert parse(render(cache)) == cache
    with pytest.raises(UnknownNameError, match="'Entropy2'"):
        of_ranges(found, version="8201", algorithm="Entropy2")
    with pytest.raises(UsageError, match=r"'10\.3', a cache holds digits"):
        of_ranges(found, version="10.3")
