from __future__ import annotations

from pathlib import Path

from edgedeploy.reporting import markdown, table
from tests.reporting.profiles import sweep

GOLDEN = Path(__file__).parent / "golden" / "table.md"


def test_the_table_is_the_golden_one(tmp_path: Path) -> None:
    assert markdown.render(table.rows(sweep(tmp_path))) == GOLDEN.read_text(encoding="utf-8")


def test_a_name_cannot_leave_its_cell(tmp_path: Path) -> None:
    (line,) = [
        line
        for line in markdown.render(table.rows(sweep(tmp_path))).splitlines()
        if line.startswith(r"| my\|net\[red\] |")
    ]
    assert line.replace(r"\|", "").count("|") == 13
