from __future__ import annotations

import contextlib
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgedeploy.errors import FileError
from edgedeploy.profiling import records
from edgedeploy.profiling.fields import FIELDS
from edgedeploy.profiling.records import ProfileRecord
from tests.profiling.documents import raw_result, record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def made(tmp_path: Path) -> ProfileRecord:
    return record(tmp_path / "artifact", result=raw_result([1_000_000] * 700))


def changed(made: ProfileRecord, path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(dict(made.document))
    *above, last = path.split(".")
    inner = document
    for key in above:
        inner = inner[key]
    inner[last] = value
    return document


def test_a_record_survives_the_disk(tmp_path: Path, made: ProfileRecord) -> None:
    path = records.write(made, tmp_path / "profiles")
    assert path.name == "20261122T073000Z-small-ort-fp32.json"
    assert records.read(path) == made


def test_a_second_profile_of_the_same_second_replaces_none(
    tmp_path: Path, made: ProfileRecord
) -> None:
    paths = [records.write(made, tmp_path) for _ in range(3)]
    assert [path.name[-7:] for path in paths] == ["32.json", "-2.json", "-3.json"]
    assert all(records.read(path) == made for path in paths)


@pytest.mark.parametrize("model", ["../../etc/passwd", "a/b", "..", "", "ü b\u202e"])
def test_a_hostile_model_name_stays_in_the_folder(
    tmp_path: Path, made: ProfileRecord, model: str
) -> None:
    folder = tmp_path / "profiles"
    path = records.write(ProfileRecord(changed(made, "model", model)), folder)
    assert path.parent == folder
    assert path.is_file()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, made: ProfileRecord) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"):
        records.write(made, tmp_path / "file" / "profiles")


@pytest.mark.parametrize("text", ["", "{", "\x00", "[" * 100_000, '{"a": NaN'])
def test_what_is_no_json_is_a_file_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(FileError, match=r"a\.json is no JSON"):
        records.read(path)


def test_bytes_that_are_no_text_are_a_file_error(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match=r"a\.json is no JSON"):
        records.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        records.read(tmp_path / "a.json")


@pytest.mark.parametrize("document", [{}, [], 7, {"schema": "edgedeploy.profile/2"}])
def test_another_schema_is_refused_with_both(tmp_path: Path, document: object) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    with pytest.raises(FileError, match=r"this version reads 'edgedeploy\.profile/1'"):
        records.read(path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("created", "yesterday"),
        ("model", "\x1b[31mred"),
        ("model", None),
        ("variant", {"alpha": 1}),
        ("artifact.backend", 7),
        ("artifact.size_bytes", -1),
        ("latency_ms.p50", None),
        ("latency_ms.p50", True),
        ("latency_ms.p99", float("inf")),
        ("latency_ms.mean", 10**400),
        ("latency_ms.count", 0),
        ("inside", "compute"),
        ("verdict.level", "excellent"),
        ("verdict.reasons", ["\x07"]),
        ("accuracy", {"top1": 61.0}),
        ("energy_mj_per_inference", "little"),
        ("memory_mb.device", -5.0),
        ("memory_mb.device_rule", "\x1b[2J"),
        ("memory_mb.device_phases", {"start": "none"}),
        ("power_mode_change", {"from": "7W"}),
        ("power_mode_change", {"from": "7W", "to": "\x1b[2J"}),
        ("samples_ns", None),
    ],
)
def test_a_damaged_value_is_named(made: ProfileRecord, path: str, value: Any) -> None:
    with pytest.raises(FileError, match=f"p.json is damaged: {path} is"):
        records.parse(changed(made, path, value), name="p.json")


def test_a_missing_value_is_named(made: ProfileRecord) -> None:
    with pytest.raises(FileError, match=r"p\.json is damaged: artifact\.backend is missing"):
        records.parse(changed(made, "artifact", None), name="p.json")


def test_samples_that_do_not_match_their_count_are_refused(made: ProfileRecord) -> None:
    with pytest.raises(FileError, match="holds 700 samples and counts 5"):
        records.parse(changed(made, "latency_ms.count", 5), name="p.json")


@pytest.mark.parametrize("text", ["", "AAAA", "not base64"])
def test_samples_that_do_not_unpack_are_refused(made: ProfileRecord, text: str) -> None:
    with pytest.raises(FileError, match=r"p\.json is damaged: the samples are damaged"):
        records.parse(changed(made, "samples_ns", text), name="p.json")


def test_keys_of_a_later_version_are_kept(made: ProfileRecord) -> None:
    document = {**made.document, "per_layer": [1]}
    assert records.parse(document, name="p.json").document["per_layer"] == [1]


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=values, data=st.data())
def test_any_value_at_any_place_is_read_or_a_file_error(
    made: ProfileRecord, value: Any, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(sorted({*FIELDS, *made.document})))
    with contextlib.suppress(FileError):
        assert records.parse(changed(made, path, value), name="p.json") is not None
