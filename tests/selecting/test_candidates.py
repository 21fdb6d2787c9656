from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import FileError, MeasurementError, UsageError
from edgedeploy.selecting.candidates import Wanted, candidates
from tests.selecting.variants import among, variant

if TYPE_CHECKING:
    from pathlib import Path


def test_the_newest_profile_of_each_variant_counts(tmp_path: Path) -> None:
    old, new = (variant(tmp_path, "a", created_s=when) for when in (1e9, 2e9))
    found = among(new, old, variant(tmp_path, "b"))
    assert [one.name for one in found] == ["a ort fp32", "b ort fp32"]
    assert found[0].record is new


def test_a_name_says_only_what_it_needs_to_be_told_from_others(tmp_path: Path) -> None:
    found = among(
        variant(tmp_path, "a", threads=1),
        variant(tmp_path, "a"),
        variant(tmp_path, "b", device__power_mode="MAXN"),
        variant(tmp_path, "b", device__power_mode="10W"),
        variant(tmp_path, "c", input_shape=[1, 3, 16, 16]),
        variant(tmp_path, "c"),
    )
    assert [one.name for one in found] == [
        "a ort fp32 1 thread",
        "a ort fp32 2 threads",
        "b ort fp32 10W",
        "b ort fp32 MAXN",
        "c ort fp32 16x16",
        "c ort fp32 8x8",
    ]


def test_other_scenarios_and_programs_are_left_out_until_asked_for(tmp_path: Path) -> None:
    records = [
        variant(tmp_path, "a"),
        variant(tmp_path, "b", scenario="offline"),
        variant(tmp_path, "c", source="trtexec", inside=["compute"]),
        variant(tmp_path, "d", artifact__backend="openvino"),
    ]
    assert [one.record.model for one in candidates(records, Wanted())] == ["a", "d"]
    assert [one.record.model for one in candidates(records, Wanted(backend="openvino"))] == ["d"]
    assert [one.record.model for one in candidates(records, Wanted(scenario="offline"))] == ["b"]
    assert [one.record.model for one in candidates(records, Wanted(source="trtexec"))] == ["c"]
    with pytest.raises(FileError, match="no profile has backend 'trt'; there is openvino, ort"):
        candidates(records, Wanted(backend="trt"))


def test_several_devices_are_not_compared(tmp_path: Path) -> None:
    records = [variant(tmp_path, "a"), variant(tmp_path, "a", device__name="jetson-nano")]
    with pytest.raises(UsageError, match="of several devices: jetson-nano, local"):
        candidates(records, Wanted())
    (one,) = candidates(records, Wanted(device="jetson-nano"))
    assert one.record.document["device"]["name"] == "jetson-nano"


def test_numbers_that_do_not_contain_the_same_are_refused(tmp_path: Path) -> None:
    one = variant(tmp_path, "a")
    with pytest.raises(
        MeasurementError, match=r"inside is h2d \+ compute \+ d2h of a.* compute of b"
    ):
        among(one, variant(tmp_path, "b", inside=["compute"]))
    with pytest.raises(MeasurementError, match=r"batch is 1 of a.* and 8 of b"):
        among(one, variant(tmp_path, "b", input_shape=[8, 3, 8, 8]))
