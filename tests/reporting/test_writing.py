"""`pipeline.write_report` chooses the form by the file's ending."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgedeploy import pipeline
from edgedeploy.errors import UsageError
from edgedeploy.optional import is_installed
from tests.reporting.profiles import made

if TYPE_CHECKING:
    from pathlib import Path

BEGINNINGS = {
    ".html": "<!DOCTYPE html>",
    ".md": "| model |",
    ".csv": "created,model,",
    ".json": "{",
}


@pytest.mark.parametrize("ending", BEGINNINGS)
def test_each_ending_has_its_form(tmp_path: Path, ending: str) -> None:
    if ending == ".html" and not is_installed("vl_convert"):
        pytest.skip("needs the report extra")
    path = tmp_path / f"new folder/report{ending}"
    pipeline.write_report([made(tmp_path)], path)
    assert path.read_text(encoding="utf-8").lstrip().startswith(BEGINNINGS[ending])


def test_json_holds_each_record_whole(tmp_path: Path) -> None:
    record = made(tmp_path)
    pipeline.write_report([record], tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert found == {"profiles": [record.document]}


@pytest.mark.parametrize("name", ["report", "report.pdf", "."])
def test_another_ending_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.html, \.md, \.csv, \.json"):
        pipeline.write_report([made(tmp_path)], tmp_path / "new" / name)
    assert not (tmp_path / "new").exists()
