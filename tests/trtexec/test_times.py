from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.errors import EdgeDeployError, FileError
from edgedeploy.trtexec import times
from tests.trtexec.runs import exported

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = json.loads(exported([2.0]))[0]


@pytest.mark.parametrize("end_to_end", [True, False])
def test_times_are_read_with_and_without_end_to_end(*, end_to_end: bool) -> None:
    found = times.parse(exported([1.5, 2.5], end_to_end=end_to_end), name="t")
    assert found.latency_ms.tolist() == [1.5, 2.5]
    assert found.compute_ms.tolist() == pytest.approx([1.47, 2.45])
    assert found.enqueue_ms.tolist() == pytest.approx([0.15, 0.25])
    assert found.last(1).latency_ms.tolist() == [2.5]


def test_values_as_nvidias_program_writes_them_are_read() -> None:
    text = """[
  { "startEnqMs" : 3.1, "endEnqMs" : 3.2, "startH2dMs" : 3, "endH2dMs" : 3.1, "startComputeMs" : 3.1, "endComputeMs" : 4, "startD2hMs" : 4, "endD2hMs" : 4, "h2dMs" : 0.1, "computeMs" : 0.9, "d2hMs" : 1e-05, "latencyMs" : 1 }
, { "startEnqMs" : 4.1, "endEnqMs" : 4.3, "startH2dMs" : 4, "endH2dMs" : 4.1, "startComputeMs" : 4.1, "endComputeMs" : 5, "startD2hMs" : 5, "endD2hMs" : 5, "h2dMs" : 0.1, "computeMs" : 0.9, "d2hMs" : 0, "latencyMs" : 1.00001 }
]
"""  # noqa: E501
    assert times.parse(text, name="t").latency_ms.tolist() == [1, 1.00001]


@pytest.mark.parametrize(
    "text",
    ["", "[", "null", "{}", "[]", "[1]", "[[]]", "[null]", "\x00", "[" * 100_000, '{"a":' * 50_000],
)
def test_what_is_no_list_of_queries_is_refused(text: str) -> None:
    with pytest.raises(FileError, match=r"t\.json is damaged"):
        times.parse(text, name="t.json")


@pytest.mark.parametrize(
    "value",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "-1",
        "1e999",
        "1e10",
        "9" * 5000,
        "null",
        "true",
        '"1"',
        "{}",
    ],
)
@pytest.mark.parametrize("key", ["latencyMs", "computeMs", "startEnqMs", "endEnqMs"])
def test_a_value_that_is_no_time_is_refused(key: str, value: str) -> None:
    text = json.dumps([{**WHOLE, key: "VALUE"}]).replace('"VALUE"', value)
    with pytest.raises(FileError, match=r"t is damaged"):
        times.parse(text, name="t")


@pytest.mark.parametrize("key", ["latencyMs", "computeMs", "startEnqMs", "endEnqMs"])
def test_a_value_that_is_missing_is_named(key: str) -> None:
    query = {name: value for name, value in WHOLE.items() if name != key}
    with pytest.raises(FileError, match=f"{key} of a query is missing"):
        times.parse(json.dumps([WHOLE, query]), name="t")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        times.read(tmp_path / "none.json")


def test_a_file_too_large_is_not_read_at_all(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no room
    with pytest.raises(FileError, match="1099512 MB"):
        times.read(path)


def test_a_number_of_a_million_digits_takes_no_time() -> None:
    text = json.dumps([{**WHOLE, "latencyMs": "VALUE"}]).replace('"VALUE"', "7" * 1_000_000)
    with pytest.raises(FileError, match="latencyMs"):
        times.parse(text, name="t")


@given(st.text())
def test_no_text_crashes_the_reading(text: str) -> None:
    with contextlib.suppress(EdgeDeployError):
        times.parse(text, name="t")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(list(WHOLE)) | st.text(), inner)
        ),
        max_leaves=20,
    )
)
def test_no_document_crashes_the_reading(document: object) -> None:
    with contextlib.suppress(EdgeDeployError):
        times.parse(json.dumps(document), name="t")
