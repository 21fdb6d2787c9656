from __future__ import annotations

import base64
import zlib
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.worker import samples


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_every_sample_survives_the_round_trip(ns: list[int]) -> None:
    assert list(samples.decode(samples.encode(array("q", ns)))) == ns


def test_the_three_lines_of_the_documentation_decode_it() -> None:
    text = samples.encode(array("q", [3, 2**40, 5]))
    raw = zlib.decompress(base64.b64decode(text))
    assert np.frombuffer(raw, dtype="<i8").tolist() == [3, 2**40, 5]


@pytest.mark.parametrize(
    "text",
    [
        "not base64!",
        base64.b64encode(b"not zlib").decode(),
        base64.b64encode(zlib.compress(b"\0" * 16)[:-3]).decode(),
        base64.b64encode(zlib.compress(b"\0" * 15)).decode(),
        "é",
    ],
)
def test_damaged_samples_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"samples are damaged|ascii"):
        samples.decode(text)


def test_a_text_that_expands_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST", 10)
    with pytest.raises(ValueError, match="go on for too long"):
        samples.decode(samples.encode(array("q", range(11))))
