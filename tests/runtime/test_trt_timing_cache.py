from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.runtime import trt_api, trt_timing_cache
from edgedeploy.runtime.cuda_memory import Gpu
from tests.runtime import fake_trt

if TYPE_CHECKING:
    from pathlib import Path

ORIN = Gpu("Orin (nvgpu)/x", "8.7")


def config(trt: Any) -> Any:
    return trt.Builder(None).create_builder_config()


def save(trt: Any, path: Path, *entries: str) -> None:
    """Build with an empty cache and keep what was timed."""
    made = config(trt)
    made.set_timing_cache(made.create_timing_cache(b""), ignore_mismatch=False)
    made.get_timing_cache().entries |= set(entries)
    trt_timing_cache.save(made, trt_api.logger(trt), str(path))


def load(trt: Any, path: Path) -> set[str]:
    made = config(trt)
    trt_api.logger(trt).lines.clear()
    trt_timing_cache.load(made, trt_api.logger(trt), str(path))
    return set(made.get_timing_cache().entries)


def test_the_file_tells_library_version_and_gpu_in_safe_characters() -> None:
    place = trt_timing_cache.place("/caches", fake_trt.Library("10.3.0"), ORIN)
    assert place == "/caches/tensorrt-10.3.0-Orin_nvgpu_x-sm8.7.timing"


def test_two_gpus_and_two_versions_have_files_of_their_own() -> None:
    places = {
        trt_timing_cache.place("c", fake_trt.Library(version), gpu)
        for version in ("10.3.0", "10.13.0")
        for gpu in (ORIN, Gpu("Orin (nvgpu)/x", "8.6"), Gpu("Thor", "8.7"))
    }
    assert len(places) == 6


@pytest.mark.parametrize("generation", ["8.2.1", "8.6.1", "10.13.0", "11.1.0"])
def test_what_one_build_timed_is_there_for_the_next(generation: str, tmp_path: Path) -> None:
    trt, path = fake_trt.Library(generation), tmp_path / "new" / "folder" / "x.timing"
    assert load(trt, path) == set()
    save(trt, path, "conv1")
    assert load(trt, path) == {"conv1"}
    assert not trt_api.logger(trt).lines
    assert [entry.name for entry in path.parent.iterdir()] == ["x.timing"]


def test_builds_beside_each_other_keep_what_each_has_timed(tmp_path: Path) -> None:
    trt, path = fake_trt.Library("10.3.0"), tmp_path / "x.timing"
    save(trt, path, "conv1")
    save(trt, path, "conv2")  # started before the first was written
    assert load(trt, path) == {"conv1", "conv2"}


def test_many_writers_at_a_time_never_leave_a_damaged_file(tmp_path: Path) -> None:
    trt, path = fake_trt.Library("10.3.0"), tmp_path / "x.timing"
    writers = [threading.Thread(target=save, args=(trt, path, f"conv{i}" * 1000)) for i in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert load(trt, path)
    assert not trt_api.logger(trt).lines
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.timing"]


@pytest.mark.parametrize("kept", [0, 10, 95, 100])
def test_a_damaged_file_is_timed_anew_with_a_line_in_the_log(kept: int, tmp_path: Path) -> None:
    trt, path = fake_trt.Library("10.3.0"), tmp_path / "x.timing"
    save(trt, path, "conv1")
    path.write_bytes(path.read_bytes()[:kept])
    assert load(trt, path) == set()
    assert "is damaged: timed anew" in trt_api.logger(trt).lines[0]
    save(trt, path, "conv2")
    assert load(trt, path) == {"conv2"}


def test_a_file_of_trtexec_is_not_handed_to_tensorrt_as_ours(tmp_path: Path) -> None:
    trt, path = fake_trt.Library("10.3.0"), tmp_path / "x.timing"
    path.write_bytes(b"Orin|conv1")
    assert load(trt, path) == set()
    assert "is damaged" in trt_api.logger(trt).lines[0]


def test_timings_of_another_gpu_are_refused_by_tensorrt_and_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.timing"
    save(fake_trt.Library("10.3.0", gpu_name="Thor"), path, "conv1")
    trt = fake_trt.Library("10.3.0")
    assert load(trt, path) == set()
    assert "is of another GPU or TensorRT: timed anew" in trt_api.logger(trt).lines[0]


def test_a_folder_that_cannot_be_made_is_a_line_in_the_log(tmp_path: Path) -> None:
    trt = fake_trt.Library("10.3.0")
    (tmp_path / "file").write_text("")
    save(trt, tmp_path / "file" / "x.timing", "conv1")
    lines = list(trt_api.logger(trt).lines)
    assert any("cannot be written" in line for line in lines)
    assert not trt_api.errors(trt_api.logger(trt))


def test_a_build_that_took_no_cache_writes_none(tmp_path: Path) -> None:
    trt = fake_trt.Library("10.3.0")
    trt_timing_cache.save(config(trt), trt_api.logger(trt), str(tmp_path / "x.timing"))
    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_is_that_of_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert trt_timing_cache.default_folder() == "/somewhere/edgedeploy/tensorrt"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/user")
    assert trt_timing_cache.default_folder() == "/home/user/.cache/edgedeploy/tensorrt"


@pytest.mark.parametrize(
    ("value", "folder"),
    [("off", None), ("/somewhere", "/somewhere"), ("", "/cache/edgedeploy/tensorrt")],
)
def test_timings_are_kept_where_the_variable_says(
    monkeypatch: pytest.MonkeyPatch, value: str, folder: str | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.setenv("EDGEDEPLOY_TIMING_CACHE", value)
    assert trt_timing_cache.chosen_folder() == folder
