from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.errors import UnknownNameError, UsageError
from edgedeploy.runtime.trt_options import HARDWARE, INT8_MODES, TrtOptions, check
from edgedeploy.runtime.trt_options import from_json as read
from edgedeploy.runtime.trt_options import to_json as write

BATCHES = st.lists(st.integers(1, 4096), min_size=3, max_size=3).map(sorted).map(tuple)


@given(
    st.builds(
        TrtOptions,
        batch=BATCHES,
        int8_mode=st.sampled_from(INT8_MODES),
        tune=st.booleans(),
        workspace_mb=st.integers(1, 1 << 20),
        optimization_level=st.none() | st.integers(0, 5),
        version_compatible=st.booleans(),
        hardware_compatible=st.none() | st.sampled_from(HARDWARE),
        dla_core=st.none() | st.integers(0, 1),
    )
)
def test_options_survive_the_manifest(options: TrtOptions) -> None:
    assert read(write(options)) == options


def test_options_of_an_older_manifest_are_the_defaults() -> None:
    assert read({}) == TrtOptions()
    assert read({"ov_device": "CPU", "workspace_mb": 64}) == TrtOptions(workspace_mb=64)


def test_the_default_workspace_leaves_a_board_of_4_gb_alive() -> None:
    assert TrtOptions().workspace_mb <= 256


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"batch": (0, 1, 8)}, "batch is 0,1,8"),
        ({"batch": (2, 1, 8)}, "batch is 2,1,8"),
        ({"batch": (1, 8, 4)}, "batch is 1,8,4"),
        ({"batch": (1, 1, 5000)}, "from 1 to 4096"),
        ({"workspace_mb": 0}, "the workspace is 0"),
        ({"optimization_level": 6}, "the optimisation level is 6, it must be 0 to 5"),
        ({"dla_core": -1}, "the DLA core is -1"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        check(TrtOptions(**wrong))


def test_unknown_words_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="'explicit'"):
        check(TrtOptions(int8_mode="explicit"))
    with pytest.raises(UnknownNameError, match="'ampere'") as caught:
        check(TrtOptions(hardware_compatible="ampere"))
    assert "ampere-plus" in caught.value.fix


@pytest.mark.parametrize(
    "document", [{"batch": [1, 2]}, {"batch": "1"}, {"batch": [1, None, 2]}, {"workspace_mb": "x"}]
)
def test_damaged_options_are_one_error(document: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"are damaged|must be|the batch"):
        read(document)
