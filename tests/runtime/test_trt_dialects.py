from __future__ import annotations

import pytest

from edgedeploy.errors import UnknownNameError, UnsupportedError
from edgedeploy.runtime import trt_dialects
from tests.runtime import fake_trt

BY_GENERATION = {
    "8.2.1": "8.2",
    "8.4.1": "8.4",
    "8.5.2": "8.5",
    "8.6.1": "8.6",
    "10.3.0": "10",
    "10.13.0": "10",
    "11.1.0": "11",
}


@pytest.mark.parametrize("generation", BY_GENERATION)
def test_a_library_is_recognised_by_what_it_has_and_not_by_its_version(generation: str) -> None:
    trt = fake_trt.Library(generation)
    trt.__version__ = "99.9.9"
    assert trt_dialects.of(trt).name == BY_GENERATION[generation]


def test_tensorrt_rtx_that_is_here_has_a_row_of_its_own() -> None:
    assert trt_dialects.of(pytest.importorskip("tensorrt_rtx")).name == "rtx"


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("8.2.1", "8.2"),
        ("8.2.1.8", "8.2"),
        ("8.3.0", "8.2"),
        ("8.4.1", "8.4"),
        ("8.5.2", "8.5"),
        ("8.6.2", "8.6"),
        ("9.3.0", "8.6"),
        ("10.3.0.30", "10"),
        ("10.16.2", "10"),
        ("11.4.1", "11"),
        ("12.0.0", "11"),
    ],
)
def test_a_board_has_the_newest_row_that_is_not_newer_than_its_version(
    version: str, name: str
) -> None:
    assert trt_dialects.for_version(version).name == name


def test_a_version_before_8_2_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"TensorRT 7.1.3 is older than 8.2"):
        trt_dialects.for_version("7.1.3")


def test_rows_are_found_by_name() -> None:
    assert [trt_dialects.find(row.name) for row in trt_dialects.DIALECTS] == [
        *trt_dialects.DIALECTS
    ]
    with pytest.raises(UnknownNameError, match="no generation of TensorRT is called '9'"):
        trt_dialects.find("9")


def test_later_generations_read_no_less_than_earlier_ones() -> None:
    for before, after in zip(trt_dialects.DIALECTS, trt_dialects.DIALECTS[1:], strict=False):
        assert after.opset >= before.opset
        assert after.ir_version >= before.ir_version
        assert after.typed or not before.typed


def test_strongly_typed_generations_read_the_opset_whose_qdq_nodes_have_float16_scales() -> None:
    for row in trt_dialects.DIALECTS:
        assert ("typed" in row.int8) == row.typed
        if row.typed:
            assert row.opset >= 19
            assert row.ir_version >= 9


@pytest.mark.parametrize(
    ("name", "gpu", "dla"),
    [
        ("8.2", "implicit", "implicit"),
        ("8.4", "implicit", "implicit"),
        ("8.5", "qdq", "implicit"),
        ("8.6", "qdq", "implicit"),
        ("10", "typed", "implicit"),
        ("11", "typed", "typed"),
    ],
)
def test_int8_is_said_by_default_as_each_generation_wants_it(name: str, gpu: str, dla: str) -> None:
    row = trt_dialects.find(name)
    assert trt_dialects.int8_mode(row) == gpu == trt_dialects.int8_modes(row)[0]
    assert trt_dialects.int8_mode(row, dla=True) == dla
    assert trt_dialects.int8_modes(row, dla=True) == (dla,)


def test_an_int8_mode_that_a_generation_lacks_is_refused_with_one_that_it_has() -> None:
    with pytest.raises(UnsupportedError, match=r"'implicit' was asked for.*11 has typed") as caught:
        trt_dialects.int8_mode(trt_dialects.find("11"), "implicit")
    assert "--int8-mode typed" in caught.value.fix
    with pytest.raises(UnsupportedError, match="has on a DLA implicit"):
        trt_dialects.int8_mode(trt_dialects.find("10"), "qdq", dla=True)
    assert trt_dialects.int8_mode(trt_dialects.find("10"), "qdq") == "qdq"


def test_tensorrt_rtx_drives_no_dla() -> None:
    with pytest.raises(UnsupportedError, match="drives no DLA"):
        trt_dialects.int8_modes(trt_dialects.find("rtx"), dla=True)
