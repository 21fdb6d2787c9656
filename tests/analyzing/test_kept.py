from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgedeploy.analyzing import kept
from edgedeploy.errors import EdgeDeployWarning, FileError
from tests.analyzing.peaks_examples import HOST


def test_what_is_kept_comes_back_for_the_same_device_only(tmp_path: Path) -> None:
    kept.write(kept.place(tmp_path, "peaks", HOST), HOST, {"x": 1})
    found = kept.read(kept.place(tmp_path, "peaks", HOST), "measure")
    assert found is not None
    assert found["x"] == 1
    assert found["host"]["cpu"] == "A CPU"
    for other in (
        replace(HOST, cpu="Another"),
        replace(HOST, threads=1),
        replace(HOST, versions={**HOST.versions, "ort": "1.21"}),
    ):
        assert kept.read(kept.place(tmp_path, "peaks", other), "measure") is None
    assert kept.read(kept.place(tmp_path, "guidelines", HOST), "measure") is None


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_damaged_file_says_how_to_replace_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(FileError, match=r"x\.json") as error:
        kept.read(path, "measure again")
    assert error.value.fix == "measure again"


def test_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert kept.default_folder() == Path("/somewhere/edgedeploy")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kept.default_folder() == Path.home() / ".cache" / "edgedeploy"


def test_a_host_has_the_versions_of_what_is_installed() -> None:
    found = kept.this_host(3)
    assert found.threads == 3
    assert "numpy" in found.versions
    assert "3 threads" in found.words
    assert kept.this_host().threads >= 1


def test_what_cannot_be_kept_is_told_and_holds_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    host = kept.this_host(threads=1)
    with pytest.warns(EdgeDeployWarning, match="is not kept: .*; set XDG_CACHE_HOME to a folder"):
        kept.write(kept.place(tmp_path / "file", "peaks", host), host, {})
